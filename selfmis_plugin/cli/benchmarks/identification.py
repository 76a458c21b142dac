"""``selfmis benchmark identification``: persons by the nearest neighbour of an embedding."""

from __future__ import annotations

import argparse

from selfmis_plugin.cli.checkpoint_options import add_checkpoint_options, hand_over
from selfmis_plugin.profiling.benchmark import Benchmark, BenchmarkError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the benchmark's options."""
    add_checkpoint_options(
        parser, "identification", "persons with several recordings, such as ECG-ID's store"
    )
    parser.add_argument("--lead", default="I", help="the lead to identify by (default: I)")


def run(options: argparse.Namespace) -> int:
    """Identify, write and print; return the exit status."""
    from selfmis_plugin.benchmark.studies.identification import identification_study

    try:
        answer = identification_study(
            options.checkpoint, options.data, options.split, options.lead, options.against
        )
    except ValueError as error:
        raise BenchmarkError(str(error)) from error
    return hand_over(answer, options.dest)


BENCHMARK = Benchmark(
    "identification", "persons by the nearest neighbour of their embedding", add_arguments, run
)
