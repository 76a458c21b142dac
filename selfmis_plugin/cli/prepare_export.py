"""``selfmis prepare export``: a store's records in another toolkit's files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from selfmis_plugin.data.leads import STANDARD_LEADS, parse_leads
from selfmis_plugin.utils import arguments

TITLE = "a store's records as files for the recipes of fairseq-signals"

#: Whose files, and of which kind and scale; see :mod:`selfmis_plugin.methods.host.export_signals`.
FORMAT = "fairseq-signals"
_CLASSIFICATION = "classification"
KINDS = ("plain", "cmsc", _CLASSIFICATION)
SCALES = ("zscore", "mV")

#: Exit status after Ctrl-C, by the shell's custom.
_INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``selfmis prepare export``."""
    parser.add_argument("data", type=Path, metavar="STORE", help="a store, or manifests of one")
    parser.add_argument("--format", choices=(FORMAT,), required=True, help="whose files to write")
    parser.add_argument(
        "--dest", "--out", type=Path, required=True, metavar="DIR", help="folder to make"
    )
    parser.add_argument(
        "--kind",
        choices=KINDS,
        default="plain",
        help="plain: a file a record, for wav2vec 2.0, 3KG and SimCLR; cmsc: its two halves, for "
        "CMSC and W2V-CMSC; classification: with labels (default: %(default)s)",
    )
    parser.add_argument(
        "--leads",
        type=arguments.told(parse_leads),
        default=STANDARD_LEADS,
        metavar="NAMES",
        help="leads to keep, such as I; the others are zero (default: all twelve)",
    )
    parser.add_argument(
        "--scale",
        choices=SCALES,
        default="zscore",
        help="zscore: each lead of a record at mean 0 and deviation 1, as the toolkit's "
        "preprocessing leaves it; mV: millivolts (default: %(default)s)",
    )
    parser.add_argument(
        "--sample-rate",
        "--rate",
        type=arguments.positive,
        metavar="HZ",
        help="decimate to so many Hz (default: the store's)",
    )
    parser.add_argument(
        "--label-set", metavar="NAME", help="the store's label set, for classification"
    )
    parser.add_argument(
        "--workers", type=arguments.workers, default=1, metavar="N", help="processes"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an export of something else at DIR"
    )


def run(args: argparse.Namespace) -> int:
    """Write the files; return the exit status."""
    from selfmis_plugin.data.store import StoreError
    from selfmis_plugin.methods.host.export_signals import ExportOptions, export_signals

    if args.label_set is not None and args.kind != _CLASSIFICATION:
        print(
            f"selfmis prepare export: --label-set is of --kind {_CLASSIFICATION}: --kind "
            f"{args.kind} writes no labels",
            file=sys.stderr,
        )
        return 1
    options = ExportOptions(args.kind, args.leads, args.scale, args.label_set, args.sample_rate)
    try:
        summary = export_signals(
            args.data, args.dest, options, workers=args.workers, overwrite=args.overwrite
        )
    except (StoreError, OSError) as error:
        print(f"selfmis prepare export: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("selfmis prepare export: interrupted; the same command goes on", file=sys.stderr)
        return _INTERRUPTED
    print(f"{summary}\n  train in {FORMAT} with task.data={summary.dest}")
    return 0
