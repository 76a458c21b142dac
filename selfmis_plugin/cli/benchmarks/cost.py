"""``selfmis benchmark cost``: SelfMIS's training step beside those of the host's own methods."""

from __future__ import annotations

import argparse
import importlib
import tempfile
from pathlib import Path
from typing import Any

from selfmis_plugin.methods import known_methods
from selfmis_plugin.methods.method import UNLABELLED
from selfmis_plugin.profiling.benchmark import Benchmark, BenchmarkError
from selfmis_plugin.profiling.machine import describe_machine
from selfmis_plugin.profiling.timing import Speed, compare, ratio, threads
from selfmis_plugin.utils import arguments
from selfmis_plugin.utils.files import write_json
from selfmis_plugin.utils.messages import without_messages

SELFMIS = "selfmis_pretrain"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    parser.add_argument(
        "--size", choices=("full", "small"), default="full", help="which configs (default: full)"
    )
    parser.add_argument(
        "--methods",
        type=arguments.known_names(tuple(_pretrainings())),
        default=tuple(_pretrainings()),
        metavar="NAMES",
        help=f"beside selfmis, comma-separated: {', '.join(_pretrainings())} (default: all)",
    )
    parser.add_argument(
        "--batch", type=arguments.whole(2), default=16, help="records of a batch (default: 16)"
    )
    parser.add_argument(
        "--rounds", type=arguments.whole(1), default=3, help="timed turns (default: 3)"
    )
    parser.add_argument("--threads", type=arguments.whole(1), help="threads of PyTorch")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE too")


def _pretrainings() -> dict[str, str]:
    """Return the configs of the host's own pre-trainings, by method."""
    return {
        name: method.encoder.config
        for name, method in known_methods().items()
        if method.encoder is not None
        and method.encoder.data == UNLABELLED
        and method.encoder.export
    }


def run(options: argparse.Namespace) -> int:
    """Measure, print the table and the ratios, write them where asked."""
    # They import the training toolkit, which takes seconds and which other benchmarks do not need.
    try:
        models = importlib.import_module("selfmis_plugin.profiling.trainings.models")
    except RuntimeError as error:
        raise BenchmarkError(str(error)) from error
    steps = importlib.import_module("selfmis_plugin.profiling.trainings.steps")
    costs = importlib.import_module("selfmis_plugin.profiling.trainings.costs")
    size = "" if options.size == "full" else "_small"
    wanted = {"selfmis": SELFMIS} | {name: _pretrainings()[name] for name in options.methods}
    with (
        threads(options.threads),
        without_messages(),
        tempfile.TemporaryDirectory() as folder,
    ):
        machine = describe_machine()
        recipes = {recipe.name: recipe for recipe in models.recipes(Path(folder))}
        ways, counted = {}, {}
        for name, config in wanted.items():
            recipe = recipes.get(config + size)
            if recipe is None:
                continue
            trained = recipe.build()
            batch = steps.records_of(trained, options.batch)
            ways[name] = steps.training_step(trained, batch, options.batch)
            counted[name] = costs.counted_cost(recipe.build())
        speeds = compare(ways, rounds=options.rounds)
    times = {name: ratio(speeds, "selfmis", name) for name in ways if name != "selfmis"}
    _print(options, machine, speeds, counted, times)
    for name in wanted.keys() - ways.keys():
        print(f"{name}: the host here lacks it, see 'selfmis benchmark mi --methods {name}'")
    if options.json is not None:
        write_json(
            options.json,
            {
                "machine": machine,
                "setting": {key: getattr(options, key) for key in ("size", "batch", "rounds")},
                "methods": {
                    name: {
                        "ecg_per_s": speed.median,
                        "ecg_per_s_rounds": list(speed.rounds),
                        **counted[name].to_dict(),
                    }
                    for name, speed in speeds.items()
                },
                "selfmis_times_as_fast": times,
            },
        )
    return 0


def _print(
    options: argparse.Namespace,
    machine: dict[str, str],
    speeds: dict[str, Speed],
    counted: dict[str, Any],
    times: dict[str, float],
) -> None:
    for name, text in machine.items():
        print(f"{name:12}{text}")
    print(
        f"{'setting':12}{options.size} size, batch {options.batch}, float32; medians of "
        f"{options.rounds} turns (slowest to fastest)\n"
    )
    header = f"{'ECG/s':>24} {'s/ECG':>9} {'MiB/ECG':>9} {'parameters':>12} {'GMac':>7}"
    print(f"{'':10}{header} {'SelfMIS is':>12}")
    for name, speed in speeds.items():
        slowest, fastest = speed.spread
        shown = f"{speed.median:.2f} ({slowest:.2f} to {fastest:.2f})"
        cost = counted[name]
        faster = f"{times[name]:.1f} times" if name in times else ""
        print(
            f"{name:10}{shown:>24} {1 / speed.median:>9.4f} {cost.kept_mib:>9.1f} "
            f"{cost.parameters:>12,} {cost.gmac:>7.3f} {faster:>12}".rstrip()
        )
    print(
        "\nECG/s: records of 10 s trained a second, forward, backward and AdamW, with the data in "
        "memory;\nSelfMIS with the frozen encoder's embeddings kept, as from the second epoch on. "
        "The last column\nis the median of the turns' ratios. MiB/ECG: counted, what the forward "
        "pass keeps for backward.\nGMac: forward pass of one record, for SelfMIS of both encoders."
    )


BENCHMARK = Benchmark(
    name="cost",
    title="a pre-training step of SelfMIS beside those of fairseq-signals' own methods",
    add_arguments=add_arguments,
    run=run,
)
