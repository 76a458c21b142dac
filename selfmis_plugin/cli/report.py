"""``selfmis report``: a trained classifier as one HTML page with pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from selfmis_plugin.metrics.defaults import DRAWS
from selfmis_plugin.utils.arguments import (
    HUB_MODEL_HELP,
    LABELS_HELP,
    add_checkpoint,
    add_dest,
    labels,
    whole,
)


def main(argv: Sequence[str]) -> int:
    """Write the report; return the exit status."""
    options = parser().parse_args(argv)
    from selfmis_plugin.report.build import Request, write_report

    request = Request(
        checkpoint=options.checkpoint,
        data=options.data,
        split=options.split,
        dest=options.dest,
        pretraining=options.pretraining,
        draws=options.draws,
        worst=options.worst,
        labels=options.labels,
        batch_size=options.batch_size,
    )
    try:
        page = write_report(request)
    except (OSError, ValueError) as error:
        print(f"selfmis report: {error}", file=sys.stderr)
        return 1
    print(page)
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="selfmis report",
        description="Write one self-contained HTML page about a trained classifier, and its "
        "pictures as PNG: figures with intervals, ROC curves with bands, calibration, learning "
        "curves, the records that it gets most wrong, its config and versions; with the "
        "pre-training's checkpoint also retrieval and a map of the embeddings.",
    )
    add_checkpoint(parser, f"a classifier: {HUB_MODEL_HELP}")
    parser.add_argument("--labels", type=labels, metavar="NAMES", help=LABELS_HELP)
    parser.add_argument("--data", type=Path, required=True, help="folder of a store or manifests")
    parser.add_argument("--split", default="test", help="which manifest (default: test)")
    parser.add_argument("--batch-size", type=whole(1), default=128, metavar="N")
    parser.add_argument(
        "--pretraining",
        type=Path,
        metavar="CHECKPOINT",
        help="the pre-training that the classifier started from: adds retrieval and a map",
    )
    parser.add_argument(
        "--draws", type=whole(1), default=DRAWS, metavar="N", help="bootstrap draws"
    )
    parser.add_argument("--worst", type=whole(0), default=6, metavar="N", help="ECGs to draw")
    add_dest(parser, "folder for the report")
    return parser
