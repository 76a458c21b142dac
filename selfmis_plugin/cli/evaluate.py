"""``selfmis evaluate``: figures of a classifier with intervals, or retrieval of two towers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from selfmis_plugin.data.person import GROUPINGS
from selfmis_plugin.metrics.defaults import DRAWS
from selfmis_plugin.utils.arguments import (
    HUB_MODEL_HELP,
    LABELS_HELP,
    add_checkpoint,
    add_json,
    known_names,
    labels,
    parquet,
    prevalence,
    said,
    whole,
)
from selfmis_plugin.utils.files import printing_beside, require_file, write_json

#: What a table counts unless it is said.
_RECORD = "record"


def main(argv: Sequence[str]) -> int:
    """Evaluate and print; return the exit status."""
    reads = parser()
    options = reads.parse_args(argv)
    if not options.draws and (options.by or options.prevalence):
        reads.error("--by and --prevalence give figures with intervals: not with --draws 0")
    if not options.draws and options.level != _RECORD:
        reads.error(f"--level {options.level} is of figures with intervals: not with --draws 0")
    if options.against_labels and not options.against:
        reads.error("--against-labels names the outputs of --against CHECKPOINT: give that too")
    from selfmis_plugin.cli.evaluate_text import lines_of
    from selfmis_plugin.evaluation.judging import Request, judge_checkpoint

    try:
        if options.predictions:
            require_file(options.predictions)
        with printing_beside(options.json):
            figures = judge_checkpoint(
                Request(
                    checkpoint=options.checkpoint,
                    data=options.data,
                    split=options.split,
                    batch_size=options.batch_size,
                    labels=options.labels,
                    against=options.against,
                    against_labels=options.against_labels,
                    by_patient=options.level != _RECORD,
                    draws=options.draws,
                    by=options.by,
                    prevalence=options.prevalence,
                    predictions=options.predictions,
                    any_infarction=options.any_infarction,
                )
            )
            if options.json:
                write_json(options.json, figures)
            print("\n".join(lines_of(figures, options.level)))
    except (OSError, ValueError) as error:
        print(f"selfmis evaluate: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="selfmis evaluate",
        description="Evaluate a checkpoint on a split of a store. A classifier: AUC, average "
        "precision, sensitivity at 90 % specificity, Brier score and calibration of each label, "
        "macro AUC and the mean over the nine infarction types, with 95 % intervals by patient. "
        "A pre-training checkpoint: retrieval of the 12-lead by the single-lead embedding.",
    )
    add_checkpoint(
        parser,
        f"{HUB_MODEL_HELP}; an ECGFounder file is evaluated by its own head: as published, through "
        "those of its 150 classes that name a statement of the data",
    )
    parser.add_argument("--labels", type=labels, metavar="NAMES", help=LABELS_HELP)
    parser.add_argument("--data", type=Path, required=True, help="folder of a store or manifests")
    parser.add_argument("--split", default="test", help="which manifest (default: test)")
    parser.add_argument("--batch-size", type=whole(1), default=128, metavar="N")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKPOINT",
        help="a second classifier (or hf:ORG/NAME): also print the differences with intervals "
        "and p-values",
    )
    parser.add_argument(
        "--against-labels", type=labels, metavar="NAMES", help="as --labels, of that second one"
    )
    parser.add_argument(
        "--level",
        choices=(_RECORD, "patient"),
        default=_RECORD,
        help="what the printed table counts; --json has both (default: record)",
    )
    parser.add_argument(
        "--draws",
        type=whole(0),
        default=DRAWS,
        metavar="N",
        help="bootstrap draws of the intervals of average precision, sensitivity and Brier score; "
        "0: no intervals at all (default: %(default)s)",
    )
    parser.add_argument(
        "--by",
        type=known_names(tuple(GROUPINGS)),
        default=(),
        metavar="NAMES",
        help=f"also the figures of groups of the records: {','.join(GROUPINGS)} or one of them",
    )
    parser.add_argument(
        "--prevalence",
        type=prevalence,
        default={},
        metavar="SHARE",
        help="also predictive values at 90 %% specificity where a label is so common: one share of "
        "1 for all labels (any infarction has to be named), or AMI=0.02,IMI=0.03 (a name with a "
        "comma in quotation marks)",
    )
    parser.add_argument(
        "--any-infarction",
        type=said,
        metavar="LABEL",
        help="the data's label of an infarction of whatever type, such as MI: it is then the truth "
        "of any infarction, of records whose types are not told apart",
    )
    add_json(parser)
    parser.add_argument(
        "--predictions",
        type=parquet,
        metavar="FILE.parquet",
        help="also write each record's logits",
    )
    return parser
