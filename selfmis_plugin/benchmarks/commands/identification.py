"""``selfmis benchmark identification``: persons by the nearest neighbour of an embedding."""

from __future__ import annotations

import argparse
from pathlib import Path

from selfmis_plugin.benchmarks.benchmark import Benchmark, BenchmarkError
from selfmis_plugin.studies.identification import identification_study
from selfmis_plugin.studies.study import write_answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the benchmark's options."""
    parser.add_argument("--checkpoint", type=Path, required=True, help="a run's checkpoint_best.pt")
    parser.add_argument(
        "--data", type=Path, required=True, help="persons with several recordings, such as ECG-ID"
    )
    parser.add_argument("--split", default="test", help="which manifest (default: test)")
    parser.add_argument("--lead", default="I", help="the lead to identify by (default: I)")
    parser.add_argument("--dest", type=Path, default=Path("outputs/identification"))


def run(options: argparse.Namespace) -> int:
    """Identify, write and print; return the exit status."""
    try:
        answer = identification_study(options.checkpoint, options.data, options.split, options.lead)
    except ValueError as error:
        raise BenchmarkError(str(error)) from error
    print(answer.text)
    print("\n".join(map(str, write_answer(answer, options.dest))))
    return 0


BENCHMARK = Benchmark(
    "identification", "persons by the nearest neighbour of their embedding", add_arguments, run
)
