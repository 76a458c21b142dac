"""``selfmis prepare recordings``: own recordings of a wearable beside a reference."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from selfmis_plugin.data.origin import OriginError
from selfmis_plugin.data.thresholds import PUBLISHED_THRESHOLD
from selfmis_plugin.preparation.listing import DatabaseError
from selfmis_plugin.preparation.recordings.channels import (
    REFERENCE_SHARE,
    WEARABLE,
    parse_channels,
)
from selfmis_plugin.preparation.recordings.long_recording import ReadingOptions
from selfmis_plugin.preparation.recordings.subject_splits import SHARE, SubjectSplits
from selfmis_plugin.preparation.recordings.units import told_microvolts
from selfmis_plugin.utils import arguments

TITLE = "own recordings: one channel of a wearable beside a reference of several, of any format"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments on *parser*."""
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder of the recordings")
    parser.add_argument(
        "--dest",
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the store to make",
    )
    parser.add_argument(
        "--single", required=True, metavar="CHANNEL", help="the wearable's channel, such as CH20"
    )
    parser.add_argument(
        "--multi",
        required=True,
        metavar="LEAD=CHANNEL,...",
        help="the reference's channels by standard lead, such as I=CH1,II=CH2,V1=CH3, in the same "
        "files; other leads are zero and cleared in lead_mask",
    )
    parser.add_argument(
        "--name",
        default=WEARABLE,
        help="name of the wearable's channel in the store, for model.lead (default: %(default)s)",
    )
    parser.add_argument(
        "--rate",
        "--sample-rate",
        type=arguments.positive,
        metavar="HZ",
        help="samples a second of text files; their column of times is then not read",
    )
    parser.add_argument(
        "--units",
        "--unit",
        type=told_microvolts,
        metavar="UNIT",
        help="unit of the values: uV, mV, V, or the microvolts in one step; default: the files'",
    )
    parser.add_argument(
        "--overlap",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="seconds that a window of 10 s shares with the next (default: %(default)s)",
    )
    parser.add_argument(
        "--quality",
        type=_quality,
        default=PUBLISHED_THRESHOLD,
        metavar="FIGURE",
        help="lowest mean correlation of the beats with the average beat, 0 to 1, or auto: Otsu's "
        "threshold over all windows, between 0.5 and 0.8 (default: %(default)s)",
    )
    parser.add_argument(
        "--reference-share",
        type=float,
        default=REFERENCE_SHARE,
        metavar="SHARE",
        help="share of the reference's channels that must be neither missing, flat, clipped, off "
        "nor noisy in a window; the others are zero there (default: %(default)s)",
    )
    parser.add_argument(
        "--group",
        metavar="PATTERN",
        help="subject and activity from the paths below ROOT, such as '{subject}/{activity}/*'; "
        "default: the top folder is the subject",
    )
    parser.add_argument(
        "--table",
        type=Path,
        metavar="CSV",
        help="subjects and activities from a table with the columns file, subject, activity",
    )
    for split in ("valid", "test"):
        parser.add_argument(
            f"--{split}-fraction",
            type=float,
            metavar="SHARE",
            help=f"share of the subjects in {split}.tsv, by a hash (default: {SHARE})",
        )
        parser.add_argument(
            f"--{split}-subjects",
            type=arguments.names,
            default=(),
            metavar="NAMES",
            help=f"the subjects in {split}.tsv, apart by commas, in place of a share",
        )
    parser.add_argument(
        "--seed", type=arguments.whole(0), default=0, help="draws the shares (default: 0)"
    )
    parser.add_argument(
        "--workers",
        type=arguments.workers,
        default=1,
        metavar="N",
        help="recordings read at once (default: 1)",
    )
    arguments.add_origin(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the store that is at DIR")


def run(args: argparse.Namespace) -> int:
    """Prepare what the arguments say; return the exit status."""
    # Draws pictures, for which the preparation of other databases should not wait.
    from selfmis_plugin.data.store import StoreError
    from selfmis_plugin.preparation.recordings import run as preparation
    from selfmis_plugin.preparation.run import PreparationError

    try:
        options = preparation.RecordingsOptions(
            channels=parse_channels(args.single, args.multi, args.name),
            reading=ReadingOptions(args.rate, args.units),
            overlap=args.overlap,
            quality=args.quality,
            reference_share=args.reference_share,
            splits=SubjectSplits(
                args.valid_fraction,
                args.test_fraction,
                args.valid_subjects,
                args.test_subjects,
                args.seed,
            ),
            origin=args.origin,
        )
        summary = preparation.prepare_recordings(
            preparation.find_sources(args.root, args.group, args.table),
            args.dest,
            options,
            args.workers,
            args.overwrite,
        )
    except (DatabaseError, OriginError, PreparationError, StoreError, OSError) as error:
        print(f"selfmis prepare recordings: {error}", file=sys.stderr)
        return 1
    print(summary)
    return 0


def _quality(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor auto") from None
