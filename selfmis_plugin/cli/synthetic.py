"""Command line: write a synthetic cohort."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from selfmis_plugin.cli.cohort_option import add_cohort
from selfmis_plugin.data.origin import LATEST_COHORT
from selfmis_plugin.utils.arguments import whole, workers

__all__ = ["TITLE", "add_arguments", "run"]

#: Databases that a cohort can imitate; see :data:`selfmis_plugin.synthetic.cohort.LAYOUTS`.
LAYOUTS = ("ptbxl", "mimic-iv-ecg", "ecgid")

TITLE = "a synthetic cohort, for trying things out without data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments on *parser*."""
    parser.add_argument("dest", type=Path, metavar="DEST", help="folder to make")
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default="ptbxl",
        help="database to imitate; mimic-iv-ecg has no labels, ecgid holds lead I of healthy "
        "persons, several recordings each (default: %(default)s)",
    )
    parser.add_argument(
        "--records", type=whole(1), default=2000, help="number of records (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=whole(0), default=0, help="seed of every draw (default: %(default)s)"
    )
    add_cohort(parser)
    parser.add_argument(
        "--workers", type=workers, default=1, help="processes (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the cohort and print what it holds; returns the exit status."""
    from selfmis_plugin.synthetic import CohortError, write_cohort

    try:
        summary = write_cohort(
            args.dest,
            args.layout,
            args.records,
            args.seed,
            args.workers,
            args.cohort or LATEST_COHORT,
        )
    except (CohortError, OSError) as error:
        print(f"synthetic: {error}", file=sys.stderr)
        return 1
    print(summary)
    return 0
