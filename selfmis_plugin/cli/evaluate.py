"""``selfmis evaluate``: figures of a classifier with intervals, or retrieval of two towers."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfmis_plugin.data.labels import INFARCTION_NAMES, INFARCTION_TYPES, infarctions_first
from selfmis_plugin.data.person import GROUPINGS
from selfmis_plugin.metrics.defaults import DRAWS, FEW_PATIENTS
from selfmis_plugin.utils.arguments import (
    LABELS_HELP,
    MODEL_HELP,
    add_checkpoint,
    add_json,
    known_names,
    labels,
    parquet,
    prevalence,
    whole,
)
from selfmis_plugin.utils.files import printing_beside, write_json
from selfmis_plugin.utils.hub import on_this_machine

if TYPE_CHECKING:
    from selfmis_plugin.data.splits import Split
    from selfmis_plugin.metrics.predictions import Predictions

#: Of the normal distribution, on either side of a 95 % interval.
_Z = 1.959964
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
    try:
        with printing_beside(options.json):
            figures, lines = _evaluate(options)
            if options.json:
                write_json(options.json, figures)
            print("\n".join(lines))
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
        MODEL_HELP + ", evaluated by its own head: as published, through those of its 150 classes "
        "that name a statement of the data",
    )
    parser.add_argument("--labels", type=labels, metavar="NAMES", help=LABELS_HELP)
    parser.add_argument("--data", type=Path, required=True, help="folder of a store or manifests")
    parser.add_argument("--split", default="test", help="which manifest (default: test)")
    parser.add_argument("--batch-size", type=whole(1), default=128, metavar="N")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKPOINT",
        help="a second classifier: also print the differences with intervals and p-values",
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
        "1 for all labels, or AMI=0.02,IMI=0.03",
    )
    add_json(parser)
    parser.add_argument(
        "--predictions",
        type=parquet,
        metavar="FILE.parquet",
        help="also write each record's logits",
    )
    return parser


def _evaluate(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from selfmis_plugin.checkpoints.contract import Classifies, Trained, lacks
    from selfmis_plugin.checkpoints.loading import load_trained
    from selfmis_plugin.data.splits import open_split
    from selfmis_plugin.evaluation.calibrating import calibration_figures, calibration_text
    from selfmis_plugin.evaluation.evaluate import (
        coverage,
        difference_of,
        evaluate,
        figures_of,
        fitting_split,
        predict_split,
    )
    from selfmis_plugin.evaluation.subgroups import figures_by, refuse_unrecorded

    place = options.data, options.split, options.batch_size
    typed = str(options.checkpoint)
    options.checkpoint = on_this_machine(options.checkpoint)
    trained: Trained = load_trained(options.checkpoint, options.labels)
    if not isinstance(trained, Classifies):
        needless = options.against, options.predictions, options.by, options.prevalence
        if any(needless) or options.level != _RECORD:
            lacks(
                trained,
                "predicts no label",
                "--against, --predictions, --by, --prevalence and --level patient need a "
                "classifier's checkpoint",
            )
        part = open_split(options.data, options.split)
        figures = {**evaluate(options.checkpoint, *place), **_facts(options.checkpoint, part)}
        figures["checkpoint"] = typed
        return figures, [*_title(figures), *_retrieval_lines(figures)]
    against = on_this_machine(options.against) if options.against else None
    if against is not None:
        load_trained(against, options.against_labels)  # refused before anything is computed
    part = fitting_split(trained, options.data, options.split)
    shares = _shares(options.prevalence, trained.labels, part.store.info.labels)
    refuse_unrecorded(part, options.by)
    predictions = predict_split(options.checkpoint, *place, options.labels)
    if options.predictions:
        predictions.write(options.predictions)
    figures = {
        "kind": "classifier",
        "checkpoint": typed,
        "data": str(options.data),
        "split": options.split,
        "records": len(predictions),
        **figures_of(predictions, options.draws, shares),
        **coverage(trained, options.data, options.split),
        **_facts(options.checkpoint, part),
        "calibrated": calibration_figures(
            options.checkpoint,
            options.data,
            options.split,
            predictions,
            options.batch_size,
            options.labels,
        ),
    }
    lines = [*_title(figures), *_figure_lines(figures, options), *_coverage_lines(figures)]
    lines += calibration_text(figures["calibrated"])
    if shares:
        lines += ["", *_predictive_lines(figures[options.level])]
    if options.by:
        figures["by"] = figures_by(predictions, part, options.by, options.draws, shares)
        lines += _group_lines(figures["by"], options.level)
    if against is not None:
        other = predict_split(against, *place, options.against_labels)
        figures["against"] = str(options.against)
        figures["difference"] = difference_of(predictions, other)
        facts = _facts(against, part)
        figures["against_seen_in_training"] = facts["seen_in_training"]
        lines += ["", f"AUC minus that of {options.against}", *_seen_lines(facts)]
        lines += _difference_lines(figures["difference"][options.level], predictions)
    return figures, lines


def _facts(checkpoint: Path, part: Split) -> dict[str, Any]:
    from selfmis_plugin.checkpoints.facts import read_facts
    from selfmis_plugin.data.trained_people import seen_in_training

    provenance = read_facts(checkpoint).provenance
    seen = seen_in_training(provenance, part)
    return {
        "trained_on": [step.to_dict() for step in provenance],
        "seen_in_training": None if seen is None else seen.to_dict(),
    }


def _title(figures: Mapping[str, Any]) -> list[str]:
    from selfmis_plugin.data.provenance import headline, provenance_from

    return [
        f"{figures['checkpoint']} on {figures['records']} records of {figures['split']}",
        headline(provenance_from(figures["trained_on"])),
        *_seen_lines(figures),
    ]


def _seen_lines(facts: Mapping[str, Any]) -> list[str]:
    from selfmis_plugin.data.trained_people import SeenInTraining

    seen = facts["seen_in_training"]
    return [] if seen is None else [str(SeenInTraining(**seen))]


def _retrieval_lines(figures: Mapping[str, Any]) -> list[str]:
    records = figures["records"]
    lines = [
        "retrieval of a record's 12-lead embedding by its single-lead embedding, among "
        f"{records:,} records; 95 % intervals (Wilson) take records as independent",
        f"{'':5} {'share':>7}  {'interval':17} {'chance':>7}",
    ]
    for key in (key for key in figures if key[1:].isdigit()):
        low, high = wilson(figures[key], records)
        lines.append(
            f"R@{key[1:]:3} {100 * figures[key]:>6.1f} %  "
            f"{f'({100 * low:.1f}, {100 * high:.1f}) %':17} "
            f"{_percent(int(key[1:]) / records):>5} %"
        )
    middle = (records + 1) / 2
    return [*lines, f"median rank {figures['median_rank']:g} (by chance {middle:g})"]


def _percent(chance: float) -> str:
    """Two digits, of a share that may be above 1: fewer records than places."""
    return f"{100 * chance:.2g}" if chance < 0.995 else "100"


def wilson(share: float, number: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of *number* records (Wilson, 1927)."""
    spread = _Z**2 / number
    centre = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / number + spread / (4 * number))
    return max(0.0, centre - half), min(1.0, centre + half)


def _figure_lines(figures: Mapping[str, Any], options: argparse.Namespace) -> list[str]:
    if not options.draws:
        return _plain_lines(figures)
    report = figures[options.level]
    lines = [
        f"95 % intervals by patient, of {report['patients']:,}; one unit is a {options.level}",
        f"{'label':9} {'positives':>9}  {'AUC':20} {'average precision':20} "
        f"{'sens. at 90 % spec.':20} {'Brier':>6} {'calib.':>6}",
    ]
    for name in infarctions_first(report["labels"]):
        label = report["labels"][name]
        few = "!" if 0 < label["positive_patients"] < FEW_PATIENTS else " "
        lines.append(
            f"{_marked(name)} {label['positives']:>9}{few} {_interval(label['auc']):20} "
            f"{_interval(label['average_precision']):20} "
            f"{_interval(label['sensitivity_at_90_specificity']):20} "
            f"{_number(label['brier']['value']):>6} {label['calibration']['error']:6.3f}"
            + _words(name)
        )
    for key, text in (("macro_auc", "macro AUC"), ("mi_auc", "mean over the infarction types (*)")):
        mean = report[key]
        lines.append(f"{text}, {mean['labels']} labels: {_interval(mean)}")
        if 0 < mean["fewest"] < FEW_PATIENTS:
            lines.append(
                f"  the rarest of them has {mean['fewest']} positive "
                f"patient{'s' if mean['fewest'] > 1 else ''}, and how little that says is in the "
                "interval"
            )
    if any(0 < label["positive_patients"] < FEW_PATIENTS for label in report["labels"].values()):
        lines.append(
            f"! fewer than {FEW_PATIENTS} positive patients: read the interval, not the figure"
        )
    return lines + _undefined_lines(figures)


def _plain_lines(figures: Mapping[str, Any]) -> list[str]:
    lines = [f"{'label':9} {'positives':>9}  AUC"]
    for name in infarctions_first(figures["per_label"]):
        auc = _number(figures["per_label"][name])
        lines.append(f"{_marked(name)} {figures['positives'][name]:>9}  {auc:5}{_words(name)}")
    lines.append(f"macro AUC: {_number(figures['macro_auc'])}")
    lines.append(f"mean over the infarction types (*): {_number(figures['mi_auc'])}")
    return lines + _undefined_lines(figures)


def _undefined_lines(figures: Mapping[str, Any]) -> list[str]:
    if not figures["undefined"]:
        return []
    names = ", ".join(figures["undefined"])
    return [f"without a positive or without a negative, so left out: {names}"]


def _coverage_lines(figures: Mapping[str, Any]) -> list[str]:
    lines = []
    if figures["not_covered"] and figures["infarction"]:
        lines.append(
            f"no output for {', '.join(figures['not_covered'])}: the mean over the infarction "
            "types is one over the others"
        )
    if figures["not_in_data"]:
        lines.append(f"not a label of the data, so left out: {', '.join(figures['not_in_data'])}")
    return lines


def _shares(
    stated: Mapping[str, float], outputs: Sequence[str], known: Collection[str]
) -> dict[str, float]:
    """Return the prevalence of each label for which it was stated, of those that a classifier's
    outputs and the data share."""
    labels = [name for name in outputs if name in known]
    if not labels:
        return {}  # what the two lack is said by who computes
    if unknown := [name for name in stated if name and name not in labels]:
        raise ValueError(
            f"--prevalence names {', '.join(unknown)}, of which there is no figure; labels: "
            f"{', '.join(labels)}"
        )
    return dict.fromkeys(labels, stated[""]) if "" in stated else dict(stated)


def _predictive_lines(report: Mapping[str, Any]) -> list[str]:
    lines = [
        "predictive values at 90 % specificity, where the label is as common as stated",
        f"{'label':9} {'prevalence':>10}  {'positive':20} {'negative':20}",
    ]
    for name, label in report["labels"].items():
        if values := label.get("predictive_values"):
            lines.append(
                f"{_marked(name)} {values['prevalence']:>10g}  {_interval(values['positive']):20} "
                f"{_interval(values['negative']):20}"
            )
    return lines


def _group_lines(by: Mapping[str, Any], level: str) -> list[str]:
    """One table a label: its figures in each group."""
    lines = []
    for name, groups in by.items():
        reports = {group: figures[level] for group, figures in groups.items()}
        lines += ["", f"by {name}, each group with its own threshold of 90 % specificity"]
        lines.append(
            f"{'label':9} {'group':12} {level + 's':>8} {'positives':>9}  {'AUC':20} "
            f"{'sens. at 90 % spec.':20}"
        )
        labels = next(iter(reports.values()))["labels"]
        shown = [label for label in labels if label in INFARCTION_TYPES] or list(labels)
        for label in shown:
            if not any(report["labels"][label]["positives"] for report in reports.values()):
                continue
            for group, report in reports.items():
                own = report["labels"][label]
                few = "!" if 0 < own["positive_patients"] < FEW_PATIENTS else " "
                lines.append(
                    f"{_marked(label)} {group:12} {report['units']:>8} {own['positives']:>9}{few} "
                    f"{_interval(own['auc']):20} "
                    f"{_interval(own['sensitivity_at_90_specificity']):20}"
                )
        for group, report in reports.items():
            mean = report["mi_auc"] if report["mi_auc"]["labels"] else report["macro_auc"]
            if mean["labels"]:
                lines.append(f"{group}: mean of {mean['labels']} labels {_interval(mean)}")
        if len(shown) < len(labels):
            lines.append("the other labels are in --json")
    return lines


def _difference_lines(difference: Mapping[str, Any], predictions: Predictions) -> list[str]:
    lines = [f"{'label':9} {'difference':23} p"]
    found = difference["labels"]
    rows = [(_marked(name), found[name]) for name in infarctions_first(found)]
    rows += [("macro AUC", difference["macro_auc"]), ("mean of *", difference["mi_auc"])]
    for name, row in rows:
        lines.append(f"{name:9} {_interval(row, sign='+'):23} {_number(row['p_value'])}")
    if len(difference["labels"]) < len(predictions.labels):
        lines.append("labels that only one of the two has are left out")
    return lines


def _marked(name: str) -> str:
    return f"{name}{'*' if name in INFARCTION_TYPES else ''}".ljust(9)


def _words(name: str) -> str:
    return f"  {INFARCTION_NAMES[name]}" if name in INFARCTION_NAMES else ""


def _interval(row: Mapping[str, Any], sign: str = "") -> str:
    if row["value"] is None:
        return "-"
    value = f"{row['value']:{sign}.3f}"
    if row["low"] is None:
        return value
    return f"{value} ({row['low']:{sign}.3f}, {row['high']:{sign}.3f})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
