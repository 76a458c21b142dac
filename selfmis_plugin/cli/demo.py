"""``selfmis demo``: the main job from start to end on a synthetic cohort."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str]) -> int:
    """Run the demo; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="selfmis demo",
        description="Write a synthetic cohort as WFDB files, prepare it, train every row of the "
        "table through the host's command line, and report AUCs of the nine infarction types. "
        "Steps that are done already are not repeated.",
    )
    parser.add_argument("--dest", type=Path, default=Path("outputs/demo"), help="folder to fill")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds (default: 1)")
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="share of the records and epochs to use; below 1 only tries whether everything runs",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=2,
        help="processes that prepare records, and trainings at a time (default: 2)",
    )
    options = parser.parse_args(argv)
    try:
        # The report names the host, and deciding on it may fail with all that a user should see.
        run = importlib.import_module("selfmis_plugin.demo.run")
    except RuntimeError as error:
        print(f"selfmis demo: {error}", file=sys.stderr)
        return 2
    try:
        run.run_demo(options.dest, options.seeds, options.scale, options.workers)
    except (run.DemoError, run.CommandError) as error:
        print(f"selfmis demo: {error}", file=sys.stderr)
        return 1
    return 0
