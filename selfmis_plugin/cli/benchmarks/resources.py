"""``selfmis benchmark resources``: what each training takes, as in the SelfMIS paper's table 4."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from selfmis_plugin.benchmark import paper
from selfmis_plugin.methods import known_methods
from selfmis_plugin.profiling.benchmark import Benchmark, BenchmarkError
from selfmis_plugin.utils.arguments import add_json
from selfmis_plugin.utils.files import write_json
from selfmis_plugin.utils.messages import without_messages

if TYPE_CHECKING:
    from selfmis_plugin.profiling.resources import Resources

_MIB = 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    parser.add_argument("--batch", type=int, default=128, help="records of a batch (128)")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), help="default: cuda where there is one"
    )
    parser.add_argument("--only", metavar="NAME", action="append", help="a config or method; again")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Measure every training, print the table, write it where asked."""
    if options.batch < 1:
        raise BenchmarkError(f"--batch must be at least 1, not {options.batch}")
    from selfmis_plugin.profiling.machine import chosen_device, describe_machine

    device = chosen_device(options.device)
    # They import the training toolkit, which takes seconds and which other benchmarks do not need.
    from selfmis_plugin.profiling.resources import measure
    from selfmis_plugin.profiling.trainings.models import models_without_config, recipes

    found: dict[str, Resources] = {}
    with tempfile.TemporaryDirectory() as folder, without_messages():
        known = {recipe.name: recipe for recipe in recipes(Path(folder))}
        unknown = sorted(set(options.only or ()) - set(known))
        if unknown:
            raise BenchmarkError(f"--only {unknown[0]}: there is {', '.join(known)}")
        for name, recipe in known.items():
            if name in (options.only or known):
                found[name] = measure(recipe, options.batch, device)
    machine = describe_machine()
    _print(found, options.batch, device, machine)
    for name in models_without_config():
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


def _print(
    found: Mapping[str, Resources], batch: int, device: str, machine: Mapping[str, str]
) -> None:
    for name, text in machine.items():
        print(f"{name:12}{text}")
    papers = paper.table_4_by_config(known_methods().values())
    width = max(map(len, [*found, *papers]))
    columns = (
        f"{'parameters':>12} {'GMac':>7} {'step':>7} {'lead I':>7} {'float32':>10} {'bfloat16':>10}"
    )
    beside = f"{'parameters':>10} {'GMac':>6} {'MiB':>6} {'AMP':>6}"
    print(f"\n{'':{width}}  {'here':{len(columns)}} | the paper's table 4")
    print(f"{'':{width}}  {columns} | {beside}")
    for name in dict.fromkeys([*found, *papers]):
        print(f"{name:{width}}  {_ours(found.get(name))} | {_papers(papers.get(name))}".rstrip())
    how = (
        "the most that two steps with AdamW allocate"
        if device == "cuda"
        else "counted, not measured: weights, gradients, AdamW's moments and what the forward "
        "pass keeps for backward, scaled from 4 records"
    )
    print(
        "\nGMac: forward pass of one whole 10 s record, attention's products included. Step: as a "
        "training\nstep computes it, which leaves out what is masked. Lead I: what the encoder "
        "takes, when training\nis over, to embed lead I alone of a record, as it is probed.\n"
        f"Memory: a training step of {batch} records; {how}.\n"
        f"The paper counts {paper.UNUSED_NORM_PARAMETERS:,} parameters more for each encoder: "
        "batch norms that ECGFounder's code builds and never uses."
    )
    for name, resources in found.items():
        for precision, reason in resources.reasons.items():
            print(f"{name}, {precision}: {reason}")


def _ours(resources: Resources | None) -> str:
    if resources is None:
        return f"{'-':>12} {'-':>7} {'-':>7} {'-':>7} {'-':>10} {'-':>10}"
    memory = [
        "fails" if value is None else f"{value / _MIB:,.0f} MiB"
        for value in resources.memory.values()
    ]
    operations = " ".join(
        f"{'-' if macs is None else f'{macs / 1e9:.3f}':>7}"
        for macs in (resources.macs, resources.step_macs, resources.lead_macs)
    )
    return f"{resources.parameters:>12,} {operations} " + " ".join(f"{text:>10}" for text in memory)


def _papers(row: paper.Resources | None) -> str:
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
