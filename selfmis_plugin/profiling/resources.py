"""What one training takes: parameters, operations and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from selfmis_plugin.nn.net1d.config import count_parameters
from selfmis_plugin.profiling.macs import forward_macs, with_plain_encoders
from selfmis_plugin.profiling.memory import peak_device_memory
from selfmis_plugin.profiling.training_memory import counted_training_memory, take_steps
from selfmis_plugin.profiling.trainings.inference import lead_i_macs
from selfmis_plugin.profiling.trainings.models import Recipe, Trained

__all__ = ["Resources", "measure"]

MIB = 2**20
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Resources:
    """What one training takes.

    Attributes
    ----------
    parameters, trained
        Parameters of the model, and those that are trained.
    macs
        Multiply-accumulate operations of the model's forward pass of one whole record of 10 s.
    step_macs
        Those of a training step's forward pass, a record: of what is masked only the rest. None
        where the host's own code fails.
    lead_macs
        Those of the encoder that embeds lead I alone of such a record; None where it has none.
    memory
        Bytes of a training step by precision; None where it could not be had.
    reasons
        Why not, by precision.
    """

    parameters: int
    trained: int
    macs: int
    step_macs: int | None
    lead_macs: int | None
    memory: dict[str, int | None]
    reasons: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for a JSON file."""
        return {
            "parameters": self.parameters,
            "trained_parameters": self.trained,
            "gmac": self.macs / 1e9,
            "gmac_step": None if self.step_macs is None else self.step_macs / 1e9,
            "gmac_lead_i": None if self.lead_macs is None else self.lead_macs / 1e9,
            **{
                f"memory_{name}_mib": None if value is None else value / MIB
                for name, value in self.memory.items()
            },
            **{f"memory_{name}_reason": reason for name, reason in self.reasons.items()},
        }


def measure(recipe: Recipe, batch: int, device: str) -> Resources:
    """Measure one training.

    Parameters
    ----------
    recipe
        The training.
    batch
        Records of the batch that memory is asked for.
    device
        ``cuda``: memory is the most that two steps allocate. ``cpu``: it is counted
        (:func:`~selfmis_plugin.profiling.training_memory.counted_training_memory`).
    """
    trained = recipe.build()
    lead_macs = lead_i_macs(trained)
    parameters = count_parameters(trained.model)
    learned = count_parameters(trained.model, trainable_only=True)
    memory: dict[str, int | None] = {}
    reasons: dict[str, str] = {}
    for precision in PRECISIONS:
        try:
            memory[precision] = (
                peak_device_memory(_train, recipe, batch, precision)
                if device == "cuda"
                else _counted_memory(trained, batch, precision)
            )
        except torch.cuda.OutOfMemoryError:
            memory[precision], reasons[precision] = None, "the GPU's memory does not suffice"
        except RuntimeError as error:
            if not recipe.is_hosts:
                raise
            memory[precision], reasons[precision] = None, f"the host's own code fails: {error}"
    plain = with_plain_encoders(trained.model).eval()
    macs = forward_macs(lambda: plain(**trained.record))
    step_macs = _step_macs(trained, recipe.is_hosts)
    return Resources(parameters, learned, macs, step_macs, lead_macs, memory, reasons)


def _step_macs(trained: Trained, is_hosts: bool) -> int | None:
    # Of two records, since some criteria compare them.
    try:
        return forward_macs(lambda: trained.loss(trained.batch(2))) // 2
    except RuntimeError:
        if not is_hosts:
            raise
        return None


def _counted_memory(trained: Trained, batch: int, precision: str) -> int:
    def loss_of(records: int) -> Tensor:
        with _precise("cpu", precision):
            loss: Tensor = trained.loss(trained.batch(records))
        return loss

    return counted_training_memory(trained.model, loss_of, batch)


def _train(recipe: Recipe, batch: int, precision: str) -> None:
    trained = recipe.build()
    trained.model.cuda()
    trained.criterion.cuda()
    records = _to_cuda(trained.batch(batch))

    def loss() -> Tensor:
        with _precise("cuda", precision):
            value: Tensor = trained.loss(records)
        return value

    take_steps(trained.model, loss)


def _to_cuda(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_cuda(item) for key, item in value.items()}
    return value.cuda() if isinstance(value, Tensor) else value


def _precise(device: str, precision: str) -> torch.autocast:
    return torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16")
