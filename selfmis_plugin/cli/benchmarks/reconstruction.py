"""``selfmis benchmark reconstruction``: all leads from one, against what needs no model."""

from __future__ import annotations

import argparse
from pathlib import Path

from selfmis_plugin.cli.checkpoint_options import add_checkpoint_options, hand_over
from selfmis_plugin.profiling.benchmark import Benchmark


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the benchmark's options."""
    add_checkpoint_options(parser, "reconstruction", "folder of a store or manifests")
    parser.add_argument("--lead", default="I", help="the lead to make the others from (default: I)")
    parser.add_argument(
        "--train",
        type=Path,
        help="records that the baselines know: train.tsv of this folder (default: of --data)",
    )


def run(options: argparse.Namespace) -> int:
    """Reconstruct, write and print; return the exit status."""
    from selfmis_plugin.benchmark.studies.reconstruction import reconstruction_study

    answer = reconstruction_study(
        options.checkpoint,
        options.data,
        options.split,
        options.lead,
        None if options.train is None else (options.train, "train"),
        options.against,
    )
    return hand_over(answer, options.dest)


BENCHMARK = Benchmark("reconstruction", "twelve leads from one", add_arguments, run)
