"""``selfmis benchmark``: speed, memory and methods, measured against a reference in one run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from selfmis_plugin.cli.benchmarks import known_benchmarks
from selfmis_plugin.profiling.benchmark import BenchmarkError


def main(argv: Sequence[str]) -> int:
    """Run one benchmark; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="selfmis benchmark",
        description="Measure on this machine, as ratios against a reference in the same run.",
    )
    commands = parser.add_subparsers(dest="benchmark", required=True, metavar="BENCHMARK")
    benchmarks = known_benchmarks()
    for name, benchmark in benchmarks.items():
        command = commands.add_parser(name, help=benchmark.title, description=benchmark.title)
        benchmark.add_arguments(command)
    options = parser.parse_args(argv)
    # Help should not wait for PyTorch.
    from selfmis_plugin.checkpoints import CheckpointError
    from selfmis_plugin.data.store import StoreError

    try:
        return benchmarks[options.benchmark].run(options)
    except (BenchmarkError, CheckpointError, StoreError, OSError) as error:
        print(f"selfmis benchmark {options.benchmark}: {error}", file=sys.stderr)
        return 1
