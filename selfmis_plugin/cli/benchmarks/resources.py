"""``selfmis benchmark resources``: what each training takes, as in the SelfMIS paper's table 4."""

from __future__ import annotations

import argparse
import importlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from selfmis_plugin.nn.net1d.config import count_parameters
from selfmis_plugin.profiling.benchmark import Benchmark, BenchmarkError
from selfmis_plugin.profiling.machine import describe_machine
from selfmis_plugin.profiling.macs import forward_macs, with_plain_encoders
from selfmis_plugin.profiling.memory import peak_device_memory
from selfmis_plugin.profiling.training_memory import counted_training_memory, take_steps
from selfmis_plugin.utils.files import write_json
from selfmis_plugin.utils.messages import without_messages

MIB = 2**20
PRECISIONS = ("float32", "bfloat16")

#: Batch norms that ECGFounder's code builds in each encoder and never uses.
UNUSED_NORM_PARAMETERS = 66_368


@dataclass(frozen=True)
class PaperRow:
    """A row of the SelfMIS paper's table 4: millions of parameters, GMac, MiB at batch 128."""

    parameters: float
    gmac: float
    memory: int
    amp_memory: int | None = None


PAPER: dict[str, PaperRow] = {
    "selfmis_pretrain": PaperRow(61.32, 2.33, 10404, 5926),
    "baselines/simclr": PaperRow(90.37, 18.06, 59548),
    "baselines/wav2vec2": PaperRow(90.88, 18.13, 63282),
    "baselines/3kg": PaperRow(90.37, 18.06, 59548),
    "baselines/w2v_cmsc": PaperRow(90.88, 18.13, 79592),
    "baselines/clocs": PaperRow(90.37, 18.06, 31254),
    "ST-MEM": PaperRow(88.5, 36.79, 10318),
    "HeartLang": PaperRow(44.56, 10.6, 18562),
}


@dataclass(frozen=True)
class Resources:
    """What one training takes.

    Attributes
    ----------
    parameters, trained
        Parameters of the model, and those that are trained.
    macs
        Multiply-accumulate operations of a forward pass of one record of 10 s.
    memory
        Bytes of a training step by precision; None where it could not be had.
    reasons
        Why not, by precision.
    """

    parameters: int
    trained: int
    macs: int
    memory: dict[str, int | None]
    reasons: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for a JSON file."""
        return {
            "parameters": self.parameters,
            "trained_parameters": self.trained,
            "gmac": self.macs / 1e9,
            **{
                f"memory_{name}_mib": None if value is None else value / MIB
                for name, value in self.memory.items()
            },
            **{f"memory_{name}_reason": reason for name, reason in self.reasons.items()},
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    parser.add_argument("--batch", type=int, default=128, help="records of a batch (128)")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), help="default: cuda where there is one"
    )
    parser.add_argument("--only", metavar="NAME", action="append", help="a config or method; again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE too")


def run(options: argparse.Namespace) -> int:
    """Measure every training, print the table, write it where asked."""
    if options.batch < 1:
        raise BenchmarkError(f"--batch must be at least 1, not {options.batch}")
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise BenchmarkError("--device cuda: no CUDA GPU is found here; use --device cpu")
    # It imports the training toolkit, which takes seconds and which other benchmarks do not need.
    models = importlib.import_module("selfmis_plugin.profiling.trainings.models")
    found: dict[str, Resources] = {}
    with tempfile.TemporaryDirectory() as folder, without_messages():
        recipes = {recipe.name: recipe for recipe in models.recipes(Path(folder))}
        unknown = sorted(set(options.only or ()) - set(recipes))
        if unknown:
            raise BenchmarkError(f"--only {unknown[0]}: there is {', '.join(recipes)}")
        for name, recipe in recipes.items():
            if name in (options.only or recipes):
                found[name] = measure(recipe, options.batch, device)
    machine = describe_machine()
    _print(found, options.batch, device, machine)
    for name in models.models_without_config():
        print(f"{name}: registered, but no config trains it")
    if options.json is not None:
        write_json(
            options.json,
            {
                "machine": machine,
                "batch": options.batch,
                "device": device,
                "memory": "measured" if device == "cuda" else "counted",
                "models": {name: resources.to_dict() for name, resources in found.items()},
            },
        )
    return 0


def measure(recipe: Any, batch: int, device: str) -> Resources:
    """Measure one training.

    Parameters
    ----------
    recipe
        A :class:`~selfmis_plugin.profiling.trainings.models.Recipe`.
    batch
        Records of the batch that memory is asked for.
    device
        ``cuda``: memory is the most that two steps allocate. ``cpu``: it is counted
        (:func:`~selfmis_plugin.profiling.training_memory.counted_training_memory`).
    """
    trained = recipe.build()
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
    return Resources(parameters, learned, macs, memory, reasons)


def _counted_memory(trained: Any, batch: int, precision: str) -> int:
    def loss_of(records: int) -> Tensor:
        with _precise("cpu", precision):
            loss: Tensor = trained.loss(trained.batch(records))
        return loss

    return counted_training_memory(trained.model, loss_of, batch)


def _train(recipe: Any, batch: int, precision: str) -> None:
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


def _print(found: dict[str, Resources], batch: int, device: str, machine: dict[str, str]) -> None:
    for name, text in machine.items():
        print(f"{name:12}{text}")
    width = max(map(len, [*found, *PAPER]))
    columns = f"{'parameters':>12} {'GMac':>7} {'float32':>10} {'bfloat16':>10}"
    paper = f"{'parameters':>10} {'GMac':>6} {'MiB':>6} {'AMP':>6}"
    print(f"\n{'':{width}}  {'here':{len(columns)}} | the paper's table 4")
    print(f"{'':{width}}  {columns} | {paper}")
    for name in [*found, *(name for name in PAPER if name not in found)]:
        print(f"{name:{width}}  {_ours(found.get(name))} | {_papers(PAPER.get(name))}".rstrip())
    how = (
        "the most that two steps with AdamW allocate"
        if device == "cuda"
        else "counted, not measured: weights, gradients, AdamW's moments and what the forward "
        "pass keeps for backward, scaled from 4 records"
    )
    print(
        "\nGMac: forward pass of one 10 s record, attention's products included.\n"
        f"Memory: a training step of {batch} records; {how}.\n"
        f"The paper counts {UNUSED_NORM_PARAMETERS:,} parameters more for each encoder: "
        "batch norms that ECGFounder's code builds and never uses."
    )
    for name, resources in found.items():
        for precision, reason in resources.reasons.items():
            print(f"{name}, {precision}: {reason}")


def _ours(resources: Resources | None) -> str:
    if resources is None:
        return f"{'-':>12} {'-':>7} {'-':>10} {'-':>10}"
    memory = [
        "fails" if value is None else f"{value / MIB:,.0f} MiB"
        for value in resources.memory.values()
    ]
    return f"{resources.parameters:>12,} {resources.macs / 1e9:>7.3f} " + " ".join(
        f"{text:>10}" for text in memory
    )


def _papers(row: PaperRow | None) -> str:
    if row is None:
        return ""
    amp = "" if row.amp_memory is None else f"{row.amp_memory:,}"
    return f"{row.parameters:>8.2f} M {row.gmac:>6.2f} {row.memory:>6,} {amp:>6}"


BENCHMARK = Benchmark(
    name="resources",
    title="parameters, operations and memory of every training, as in the paper's table 4",
    add_arguments=add_arguments,
    run=run,
)
