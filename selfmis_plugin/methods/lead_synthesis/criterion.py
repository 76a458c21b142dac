"""What generators of leads minimise, and by what they are chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

import torch

from selfmis_plugin import toolkit
from selfmis_plugin.methods.lead_synthesis.step import (
    ADVERSARIAL,
    CODE,
    CYCLE,
    DISCRIMINATOR,
    IDENTITY,
    LABEL,
    SIGNAL,
)
from selfmis_plugin.methods.lead_synthesis.training_model import LATENT, Synthesis
from selfmis_plugin.training.contract import RecordTask
from selfmis_plugin.training.split_criterion import SplitCriterion

#: Losses that the config weighs.
_WEIGHED = (SIGNAL, ADVERSARIAL, CODE, CYCLE, IDENTITY, LATENT)
#: Losses by which no generator can be chosen: an adversary's opinion, and other networks' losses.
_NO_MEASURE = (ADVERSARIAL, DISCRIMINATOR, LABEL, CODE)
_MICROVOLTS = 1000


def _weight(of: str) -> Any:
    return field(
        default=None, metadata={"help": f"weight of {of}; null: the method's own, if it has it"}
    )


@dataclass
class LeadSynthesisCriterionConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Keys of ``criterion: {_name: lead_synthesis}``."""

    signal_weight: Optional[float] = _weight("the error of the made leads")  # noqa: UP045
    adversarial_weight: Optional[float] = _weight("what the discriminator says")  # noqa: UP045
    code_weight: Optional[float] = _weight("the distance of the codes (EKGAN)")  # noqa: UP045
    cycle_weight: Optional[float] = _weight("what a round trip loses (CycleGAN)")  # noqa: UP045
    identity_weight: Optional[float] = _weight("what is changed that was right (CycleGAN)")  # noqa: UP045
    latent_weight: Optional[float] = _weight(  # noqa: UP045
        "the distance of the embeddings of made and real records, by model.latent_checkpoint"
    )


@toolkit.register_criterion("lead_synthesis", dataclass=LeadSynthesisCriterionConfig)
class LeadSynthesisCriterion(SplitCriterion):
    """Weighted sum of a generator's losses and its adversaries', for one optimiser.

    Validation reports of the leads that were made, the given one left out, ``made_mae`` and
    ``made_rmse`` in microvolts and ``made_correlation``, the mean over leads and records; and
    ``objective``, the weighted losses without the adversary's opinion, by which generators can be
    compared.
    """

    figure_names = ("made_mae", "made_rmse", "made_correlation", "objective")

    def __init__(self, cfg: LeadSynthesisCriterionConfig, task: RecordTask) -> None:
        super().__init__(task)
        given = {name: getattr(cfg, f"{name}_weight") for name in _WEIGHED}
        self.weights = {name: value for name, value in given.items() if value is not None}
        for name, value in self.weights.items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"criterion.{name}_weight={value} must be 0 or more")

    @classmethod
    def build_criterion(
        cls, cfg: LeadSynthesisCriterionConfig, task: RecordTask
    ) -> LeadSynthesisCriterion:
        """Build the criterion from its config."""
        return cls(cfg, task)

    def compute(self, model: Any, sample: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        """Return the loss summed over the batch's records, and figures of each record.

        Raises
        ------
        ValueError
            If a loss is weighed that the model does not have.
        """
        output: Synthesis = model(signal=sample["net_input"]["signal"], records=sample["id"])
        if missing := [name for name in self.weights if name not in output.losses]:
            raise ValueError(
                f"criterion.{missing[0]}_weight={self.weights[missing[0]]} weighs a loss that this "
                f"model does not have ({', '.join(output.losses)})"
                + (": give model.latent_checkpoint" if missing[0] == LATENT else "")
            )
        weights = {**output.weights, **self.weights}
        # A loss of weight 0 stays in the sum: every parameter keeps a gradient, which the hosts'
        # distributed training expects.
        weighed = {name: weights[name] * loss for name, loss in output.losses.items()}
        loss = torch.stack(list(weighed.values())).sum()
        if self.training:
            return loss, {}
        chosen = [value for name, value in weighed.items() if name not in _NO_MEASURE]
        rows = {**_fit(output), "objective": torch.stack(chosen).sum(0)}
        return loss, {name: value[:, None] for name, value in rows.items()}

    def figures(self, collected: dict[str, torch.Tensor]) -> dict[str, float]:
        """Return the means over the split."""
        mean = {name: float(value.double().mean()) for name, value in collected.items()}
        return {
            "made_mae": mean["absolute"],
            "made_rmse": mean["squared"] ** 0.5,
            "made_correlation": mean["correlation"],
            "objective": mean["objective"],
        }


def _fit(output: Synthesis) -> dict[str, torch.Tensor]:
    """Return figures of each record's made leads, the given one left out."""
    others = torch.ones(output.made.shape[:2], device=output.made.device)
    others.scatter_(1, output.lead[:, None], 0.0)
    count = others.sum(1)
    difference = (output.made - output.real) * _MICROVOLTS
    made, real = (side - side.mean(-1, keepdim=True) for side in (output.made, output.real))
    norms = made.norm(dim=-1) * real.norm(dim=-1)
    # Of a flat lead there is none; it counts as 0.
    correlation = (made * real).sum(-1) / norms.clamp_min(1e-9)
    by_lead = {
        "absolute": difference.abs().mean(-1),
        "squared": difference.square().mean(-1),
        "correlation": correlation,
    }
    return {name: (value * others).sum(1) / count for name, value in by_lead.items()}
