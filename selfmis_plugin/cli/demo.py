"""``selfmis demo``: a method's main job from start to end on a synthetic cohort."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from selfmis_plugin.cli.cohort_option import add_cohort
from selfmis_plugin.demo.demo import DEMO_COHORT, known_demos
from selfmis_plugin.utils.arguments import positive, whole, workers

_DEFAULT = "selfmis"


def main(argv: Sequence[str]) -> int:
    """Run the demo; return its exit status."""
    demos = known_demos()
    options = parser().parse_args(argv)
    folder = "demo" if options.name == _DEFAULT else f"demo-{options.name}"
    dest = options.dest or Path("outputs") / folder
    try:
        # The report names the host, and deciding on it may fail with all that a user should see.
        from selfmis_plugin.demo.engines import CommandError, DemoError, run_demo
    except RuntimeError as error:
        print(f"selfmis demo: {error}", file=sys.stderr)
        return 2
    try:
        run_demo(
            demos[options.name],
            dest,
            options.seeds,
            options.scale,
            options.workers,
            options.cohort or DEMO_COHORT,
        )
    except (DemoError, CommandError, OSError) as error:
        print(f"selfmis demo: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    demos = known_demos()
    listing = "\n".join(f"  {name:16}{demo.title}" for name, demo in demos.items())
    parser = argparse.ArgumentParser(
        prog="selfmis demo",
        description="Write a synthetic cohort as WFDB files, prepare it, train every row of the\n"
        "table through the host's command line, and report figures on held-out records. Steps\n"
        "that are done already are not repeated.",
        epilog=f"demos:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "name",
        nargs="?",
        choices=demos,
        default=_DEFAULT,
        metavar="DEMO",
        help="which, see below (default: %(default)s)",
    )
    parser.add_argument(
        "--dest",
        "--out",
        type=Path,
        help="folder to fill (default: outputs/demo, outputs/demo-DEMO)",
    )
    parser.add_argument("--seeds", type=whole(1), default=1, help="number of seeds (default: 1)")
    parser.add_argument(
        "--scale",
        type=positive,
        default=1.0,
        help="share of the records and epochs to use; below 1 only tries whether everything runs",
    )
    add_cohort(parser, default=DEMO_COHORT)
    parser.add_argument(
        "--workers",
        type=workers,
        default=2,
        help="processes that prepare records, and trainings at a time (default: 2)",
    )
    return parser
