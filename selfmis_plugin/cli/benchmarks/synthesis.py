"""``selfmis benchmark synthesis``: made leads against real ones, and the latent gap."""

from __future__ import annotations

import argparse
from pathlib import Path

from selfmis_plugin.cli.checkpoint_options import add_checkpoint_options, hand_over
from selfmis_plugin.profiling.benchmark import Benchmark, BenchmarkError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the benchmark's options."""
    add_checkpoint_options(parser, "synthesis", "folder of a store or manifests")
    parser.add_argument(
        "--encoder",
        type=Path,
        required=True,
        help="a file with an encoder of twelve leads, such as 12_lead_ECGFounder.pth or a "
        "twelve-lead classifier's checkpoint: distances are between what it says",
    )
    parser.add_argument("--view", help="which encoder of a file that has several")
    parser.add_argument("--lead", default="I", help="the lead that is given (default: I)")
    parser.add_argument(
        "--train",
        type=Path,
        help="records that what needs no model knows: train.tsv of this folder (default: of "
        "--data)",
    )


def run(options: argparse.Namespace) -> int:
    """Compare, write and print; return the exit status."""
    from selfmis_plugin.benchmark.studies.synthesis import synthesis_study

    try:
        answer = synthesis_study(
            options.checkpoint,
            options.data,
            options.encoder,
            options.split,
            None if options.train is None else (options.train, "train"),
            options.against,
            options.view,
            options.lead,
        )
    except ValueError as error:
        raise BenchmarkError(str(error)) from error
    return hand_over(answer, options.dest)


BENCHMARK = Benchmark("synthesis", "made leads against real ones", add_arguments, run)
