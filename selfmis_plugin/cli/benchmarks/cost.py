"""``selfmis benchmark cost``: SelfMIS's training step beside those of other pre-trainings."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from selfmis_plugin.methods import known_methods
from selfmis_plugin.methods.method import UNLABELLED, Method, owners_first
from selfmis_plugin.profiling.benchmark import SIZES, Benchmark, BenchmarkError
from selfmis_plugin.utils import arguments
from selfmis_plugin.utils.files import write_json
from selfmis_plugin.utils.messages import without_messages

if TYPE_CHECKING:
    from selfmis_plugin.profiling.cost import Costs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    subject, others = _compared()
    parser.add_argument(
        "--size", choices=SIZES, default="full", help="which configs (default: full)"
    )
    parser.add_argument(
        "--methods",
        type=arguments.known_names(tuple(others)),
        default=tuple(others),
        metavar="NAMES",
        help=f"beside {subject.name}, comma-separated: {', '.join(others)} (default: all)",
    )
    parser.add_argument(
        "--batch", type=arguments.whole(2), default=16, help="records of a batch (default: 16)"
    )
    parser.add_argument(
        "--rounds", type=arguments.whole(1), default=3, help="timed turns (default: 3)"
    )
    parser.add_argument("--threads", type=arguments.whole(1), help="threads of PyTorch")
    arguments.add_json(parser)


def _compared() -> tuple[Method, dict[str, str]]:
    """Return the method that it is about, and the configs of the others' pre-trainings."""
    methods = known_methods()
    subject = next(method for method in methods.values() if method.subject)
    # Rows that leave out a part train by their method's config; what needs a file trains nothing.
    seen = {subject.encoder.config} if subject.encoder is not None else set()
    others: dict[str, str] = {}
    for method in owners_first(methods.values()):
        stage = method.encoder
        if stage is None or stage.data != UNLABELLED or stage.needs_file:
            continue
        if stage.config not in seen:
            others[method.name] = stage.config
            seen.add(stage.config)
    return subject, others


def run(options: argparse.Namespace) -> int:
    """Measure, print the table and the ratios, write them where asked."""
    # It imports the training toolkit, which takes seconds and which other benchmarks do not need.
    try:
        from selfmis_plugin.profiling.cost import compare_costs
    except RuntimeError as error:
        raise BenchmarkError(str(error)) from error
    from selfmis_plugin.profiling.machine import describe_machine
    from selfmis_plugin.profiling.timing import threads

    subject, others = _compared()
    if subject.encoder is None:
        raise BenchmarkError(f"{subject.name} pre-trains nothing, so it has no cost to compare")
    wanted = {subject.name: subject.encoder.config} | {n: others[n] for n in options.methods}
    suffix = "" if options.size == "full" else "_small"
    configs = {name: config + suffix for name, config in wanted.items()}
    with threads(options.threads), without_messages():
        machine = describe_machine()
        found = compare_costs(configs, options.batch, options.rounds)
    _print(options, machine, found, subject.title)
    for name in configs.keys() - found.speeds.keys():
        print(f"{name}: the host here lacks it, see 'selfmis benchmark mi --methods {name}'")
    if options.json is not None:
        write_json(
            options.json,
            {
                "machine": machine,
                "setting": {key: getattr(options, key) for key in ("size", "batch", "rounds")},
                "methods": found.to_dict(),
                f"{subject.name}_times_as_fast": found.times,
            },
        )
    return 0


def _print(
    options: argparse.Namespace, machine: Mapping[str, str], found: Costs, title: str
) -> None:
    for name, text in machine.items():
        print(f"{name:12}{text}")
    print(
        f"{'setting':12}{options.size} size, batch {options.batch}, float32; medians of "
        f"{options.rounds} turns (slowest to fastest)\n"
    )
    header = f"{'ECG/s':>24} {'s/ECG':>9} {'MiB/ECG':>9} {'parameters':>12} {'GMac':>7}"
    width = max(10, *(len(name) + 1 for name in found.speeds))
    print(f"{'':{width}}{header} {f'{title} is':>12}")
    for name, speed in found.speeds.items():
        slowest, fastest = speed.spread
        shown = f"{speed.median:.2f} ({slowest:.2f} to {fastest:.2f})"
        cost = found.counted[name]
        faster = f"{found.times[name]:.1f} times" if name in found.times else ""
        print(
            f"{name:{width}}{shown:>24} {1 / speed.median:>9.4f} {cost.kept_mib:>9.1f} "
            f"{cost.parameters:>12,} {cost.gmac:>7.3f} {faster:>12}".rstrip()
        )
    print(
        "\nECG/s: records of 10 s trained a second, forward, backward and AdamW, with the data in "
        f"memory;\n{title} with the frozen encoder's embeddings kept, as from the second epoch on. "
        "The last column\nis the median of the turns' ratios. MiB/ECG: counted, what the forward "
        f"pass keeps for backward.\nGMac: forward pass of one record, for {title} of both encoders."
    )


BENCHMARK = Benchmark(
    name="cost",
    title="a pre-training step of SelfMIS beside those of the other methods",
    add_arguments=add_arguments,
    run=run,
)
