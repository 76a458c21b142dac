"""``selfmis benchmark reconstruction``: all leads from one, against what needs no model."""

from __future__ import annotations

import argparse
from pathlib import Path

from selfmis_plugin.benchmarks.benchmark import Benchmark
from selfmis_plugin.studies.reconstruction import reconstruction_study
from selfmis_plugin.studies.study import write_answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the benchmark's options."""
    parser.add_argument("--checkpoint", type=Path, required=True, help="a run's checkpoint_best.pt")
    parser.add_argument("--data", type=Path, required=True, help="folder of a store or manifests")
    parser.add_argument("--split", default="test", help="which manifest (default: test)")
    parser.add_argument("--lead", default="I", help="the lead to make the others from (default: I)")
    parser.add_argument(
        "--train",
        type=Path,
        help="records that the baselines know: train.tsv of this folder (default: of --data)",
    )
    parser.add_argument("--dest", type=Path, default=Path("outputs/reconstruction"))


def run(options: argparse.Namespace) -> int:
    """Reconstruct, write and print; return the exit status."""
    answer = reconstruction_study(
        options.checkpoint,
        options.data,
        options.split,
        options.lead,
        None if options.train is None else (options.train, "train"),
    )
    print(answer.text)
    print("\n".join(map(str, write_answer(answer, options.dest))))
    return 0


BENCHMARK = Benchmark("reconstruction", "twelve leads from one", add_arguments, run)
