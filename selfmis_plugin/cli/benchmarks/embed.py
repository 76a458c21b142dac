"""``selfmis benchmark embed``: strips a second into a folder of parts, by processes."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from selfmis_plugin.profiling.benchmark import SIZES, Benchmark
from selfmis_plugin.utils.arguments import add_json, default_workers, whole
from selfmis_plugin.utils.arguments import workers as processes
from selfmis_plugin.utils.files import write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    parser.add_argument("--strips", type=whole(4), default=4000, help="of 10 s (4000)")
    parser.add_argument(
        "--workers",
        type=processes,
        default=default_workers(),
        metavar="N",
        help="most processes; one, and powers of two below N, come first (default: %(default)s)",
    )
    parser.add_argument(
        "--config", choices=SIZES, default="full", help="encoder: ECGFounder's, or a small one"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, print the table, write it where asked."""
    from selfmis_plugin.benchmark.parts_speed import embed_in_parts_speeds
    from selfmis_plugin.profiling.machine import describe_machine

    machine = describe_machine()
    for name, text in machine.items():
        print(f"{name:12}{text}")
    print(
        f"{'encoder':12}{options.config}, lead I, random weights; {options.strips:,} strips of "
        "noise, 10 s at 500 Hz, from a store\n\n"
        f"{'processes':>10}{'seconds':>10}{'strips/s':>12}{'memory':>14}{'ten million strips':>22}"
    )
    most = options.workers
    counts = sorted({1, most, *(2**k for k in range(most.bit_length()) if 2**k < most)})
    found = []
    with tempfile.TemporaryDirectory(prefix="selfmis-benchmark-") as folder:
        for one in embed_in_parts_speeds(options.config, options.strips, counts, Path(folder)):
            found.append(one)
            memory = f"{one.peak_memory / 2**20:,.0f} MiB"
            days = f"{one.days_for_ten_million:.2f} days"
            print(
                f"{one.workers:>10}{one.seconds:>10.1f}{one.strips_per_s:>12,.1f}{memory:>14}{days:>22}",
                flush=True,
            )
    print("\nstrips/s and the projection leave out the start of processes, which seconds have")
    if options.json is not None:
        write_json(
            options.json,
            {
                "machine": machine,
                "setting": {"strips": options.strips, "config": options.config},
                "embed_parts_per_s": {str(one.workers): one.strips_per_s for one in found},
                "seconds": {str(one.workers): one.seconds for one in found},
                "peak_memory_bytes": {str(one.workers): one.peak_memory for one in found},
                "projected_days_ten_million": {
                    str(one.workers): one.days_for_ten_million for one in found
                },
            },
        )
    return 0


BENCHMARK = Benchmark(
    name="embed",
    title="strips a second of selfmis embed into a folder of parts, by processes",
    add_arguments=add_arguments,
    run=run,
)
