"""Command line: write a synthetic cohort."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.synthetic import LAYOUTS, CohortError, CohortSummary, write_cohort

__all__ = ["TITLE", "add_arguments", "run"]

TITLE = "a synthetic cohort, for trying things out without data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments on *parser*."""
    parser.add_argument("dest", type=Path, metavar="DEST", help="folder to make")
    parser.add_argument(
        "--layout",
        choices=tuple(LAYOUTS),
        default="ptbxl",
        help="database to imitate; mimic-iv-ecg has no labels, ecgid holds lead I of healthy "
        "persons, several recordings each (default: %(default)s)",
    )
    parser.add_argument(
        "--records", type=int, default=2000, help="number of records (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of every draw (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Write the cohort and print what it holds; returns the exit status."""
    try:
        summary = write_cohort(args.dest, args.layout, args.records, args.seed, args.workers)
    except (CohortError, OSError) as error:
        print(f"synthetic: {error}", file=sys.stderr)
        return 1
    print(_describe(summary))
    return 0


def _describe(summary: CohortSummary) -> str:
    """Records, patients, time and positives, the nine infarction types first."""
    done = "already there" if summary.already_there else f"written in {summary.seconds:.1f} s"
    lines = [
        f"{summary.path}: {summary.layout}, {summary.records} records of "
        f"{summary.patients} patients, seed {summary.seed}, {done}"
    ]
    if summary.layout != "ptbxl":
        lines.append("simulated statements (this layout has no labels on disk):")
    else:
        lines.append("records per statement:")
    others = [code for code in summary.positives if code not in INFARCTION_TYPES]
    for codes in (INFARCTION_TYPES, others):
        lines.append("  " + "  ".join(f"{code} {summary.positives.get(code, 0)}" for code in codes))
    return "\n".join(lines)
