"""``selfmis evaluate``: figures of a classifier with intervals, or retrieval of two towers."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfmis_plugin.data.labels import (
    ANY_INFARCTION,
    INFARCTION_NAMES,
    INFARCTION_TYPES,
    infarctions_first,
)
from selfmis_plugin.data.person import GROUPINGS
from selfmis_plugin.metrics.defaults import DRAWS, FEW_PATIENTS
from selfmis_plugin.utils.arguments import (
    HUB_MODEL_HELP,
    LABELS_HELP,
    add_checkpoint,
    add_json,
    known_names,
    labels,
    parquet,
    prevalence,
    whole,
)
from selfmis_plugin.utils.files import printing_beside, require_file, write_json
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
        if options.predictions:
            require_file(options.predictions)
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
        "1 for all labels, or AMI=0.02,IMI=0.03 (a name with a comma in quotation marks)",
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
    from selfmis_plugin.checkpoints.operation import read_operation
    from selfmis_plugin.data.splits import open_split
    from selfmis_plugin.evaluation.any_infarction import (
        any_figures,
        is_derived,
        predictions_of_any,
    )
    from selfmis_plugin.evaluation.calibrating import (
        PERHAPS_FITTED_HERE,
        calibration_of,
        calibration_text,
        line_of_any,
        measured,
        perhaps_fitted_here,
    )
    from selfmis_plugin.evaluation.evaluate import (
        coverage,
        difference_of,
        evaluate,
        figures_of,
        fitting_split,
        predict_split,
    )
    from selfmis_plugin.evaluation.own_thresholds import threshold_figures, threshold_text
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
    brought = read_operation(options.checkpoint)
    judged = [name for name in trained.labels if name in part.store.info.labels]
    shares = _shares(options.prevalence, judged, is_derived(judged))
    share_of_any = {n: shares.pop(n) for n in (ANY_INFARCTION,) if n in shares and n not in judged}
    refuse_unrecorded(part, options.by)
    predictions = predict_split(options.checkpoint, *place, options.labels)
    if options.predictions:
        predictions.write(options.predictions)
    either = predictions_of_any(predictions, part)
    # The model's own line and threshold are of all the types that it knows.
    types = [name for name in trained.labels if name in INFARCTION_TYPES]
    own_either = either if set(types) <= set(predictions.labels) else None
    fitted = calibration_of(
        options.checkpoint,
        options.data,
        predictions,
        brought,
        options.split,
        options.batch_size,
        options.labels,
    )
    figures = {
        "kind": "classifier",
        "checkpoint": typed,
        "data": str(options.data),
        "split": options.split,
        "records": len(predictions),
        **figures_of(predictions, options.draws, shares),
        **coverage(trained, options.data, options.split),
        **_facts(options.checkpoint, part),
        "any_infarction": None
        if either is None
        else any_figures(either, options.draws, share_of_any),
        "calibrated": measured(fitted, predictions),
        "perhaps_fitted_here": perhaps_fitted_here(brought, options.split),
        "own_thresholds": threshold_figures(brought, predictions, own_either),
    }
    lines = [*_title(figures), *_figure_lines(figures, options), *_coverage_lines(figures)]
    if figures["perhaps_fitted_here"]:
        lines.append(PERHAPS_FITTED_HERE)
    lines += calibration_text(figures["calibrated"])
    if own_either is not None and ANY_INFARCTION in brought.calibration:
        line = line_of_any(brought.calibration[ANY_INFARCTION], own_either)
        figures["any_infarction"]["calibrated"] = line
        if line["error"] is not None:
            lines.append(
                f"calibration error of {ANY_INFARCTION}: {line['raw_error']:.3f} as the network "
                f"gives it, {line['error']:.3f} by the calibration that the model brings"
            )
    if figures["own_thresholds"] is not None:
        lines += ["", *threshold_text(figures["own_thresholds"])]
    if shares or share_of_any:
        lines += ["", *_predictive_lines(_with_any(figures, options.level))]
    if options.by:
        figures["by"] = figures_by(predictions, part, options.by, options.draws, shares)
        by_any: dict[str, Any] = {}
        if either is not None:
            by_any = figures_by(either, part, options.by, options.draws, share_of_any)
            figures["any_infarction"]["by"] = by_any
        lines += _group_lines(figures["by"], by_any, options.level)
    if against is not None:
        other = predict_split(against, *place, options.against_labels)
        figures["against"] = str(options.against)
        figures["difference"] = difference_of(predictions, other)
        other_either = predictions_of_any(other, part)
        if either is not None and other_either is not None:
            figures["any_infarction"]["difference"] = {
                level: found["labels"][ANY_INFARCTION]
                for level, found in difference_of(either, other_either).items()
            }
        facts = _facts(against, part)
        figures["against_seen_in_training"] = facts["seen_in_training"]
        lines += ["", f"AUC minus that of {options.against}", *_seen_lines(facts)]
        of_any = (figures["any_infarction"] or {}).get("difference")
        lines += _difference_lines(
            figures["difference"][options.level],
            predictions,
            None if of_any is None else of_any[options.level],
        )
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


def _with_any(figures: Mapping[str, Any], level: str) -> dict[str, Any]:
    """Return figures of every label, and of any infarction where there are some."""
    either = figures["any_infarction"]
    labels = figures[level]["labels"]
    return labels if either is None else {ANY_INFARCTION: either[level], **labels}


def _figure_lines(figures: Mapping[str, Any], options: argparse.Namespace) -> list[str]:
    if not options.draws:
        return _plain_lines(figures)
    report, labels = figures[options.level], _with_any(figures, options.level)
    width = _width(labels)
    lines = [
        f"95 % intervals by patient, of {report['patients']:,}; one unit is a {options.level}",
        f"{'label':{width}} {'positives':>9}  {'AUC':20} {'average precision':20} "
        f"{'sens. at 90 % spec.':20} {'Brier':>6} {'calib.':>6}",
    ]
    for name in infarctions_first(labels):
        label = labels[name]
        few = "!" if 0 < label["positive_patients"] < FEW_PATIENTS else " "
        lines.append(
            f"{_marked(name, width)} {label['positives']:>9}{few} {_interval(label['auc']):20} "
            f"{_interval(label['average_precision']):20} "
            f"{_interval(label['sensitivity_at_90_specificity']):20} "
            f"{_number(label['brier']['value']):>6} {label['calibration']['error']:6.3f}"
            + _words(name)
        )
    for key, text in (("macro_auc", "macro AUC"), ("mi_auc", "mean over the infarction types (*)")):
        mean = report[key]
        if key == "mi_auc" and not mean["labels"]:
            continue
        lines.append(f"{text}, {mean['labels']} labels: {_interval(mean)}")
        if 0 < mean["fewest"] < FEW_PATIENTS:
            lines.append(
                f"  the rarest of them has {mean['fewest']} positive "
                f"patient{'s' if mean['fewest'] > 1 else ''}, and how little that says is in the "
                "interval"
            )
    if any(0 < label["positive_patients"] < FEW_PATIENTS for label in labels.values()):
        lines.append(
            f"! fewer than {FEW_PATIENTS} positive patients: read the interval, not the figure"
        )
    return lines + _undefined_lines(figures)


def _plain_lines(figures: Mapping[str, Any]) -> list[str]:
    aucs, positives = dict(figures["per_label"]), dict(figures["positives"])
    if figures["any_infarction"] is not None:
        aucs[ANY_INFARCTION] = figures["any_infarction"]["auc"]
        positives[ANY_INFARCTION] = figures["any_infarction"]["positives"]
    width = _width(aucs)
    lines = [f"{'label':{width}} {'positives':>9}  AUC"]
    for name in infarctions_first(aucs):
        auc = _number(aucs[name])
        lines.append(f"{_marked(name, width)} {positives[name]:>9}  {auc:5}{_words(name)}")
    lines.append(f"macro AUC: {_number(figures['macro_auc'])}")
    if figures["mi_auc"] is not None:
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
            "types is one over the others, and any infarction has their records among its positives"
        )
    if figures["not_in_data"]:
        lines.append(f"not a label of the data, so left out: {', '.join(figures['not_in_data'])}")
    return lines


def _shares(stated: Mapping[str, float], labels: Sequence[str], with_any: bool) -> dict[str, float]:
    """Return the prevalence of each label for which it was stated, of those that a classifier and
    the data share; that of any infarction is another, and has to be named."""
    if not labels:
        return {}  # what the two lack is said by who computes
    judged = [*labels, *([ANY_INFARCTION] if with_any else [])]
    if unknown := [name for name in stated if name and name not in judged]:
        raise ValueError(
            f"--prevalence names {', '.join(unknown)}, of which there is no figure; labels: "
            f"{', '.join(judged)}"
        )
    return dict.fromkeys(labels, stated[""]) if "" in stated else dict(stated)


def _predictive_lines(labels: Mapping[str, Any]) -> list[str]:
    stated = {name: label for name, label in labels.items() if label.get("predictive_values")}
    width = _width(stated)
    lines = [
        "predictive values at 90 % specificity, where the label is as common as stated",
        f"{'label':{width}} {'prevalence':>10}  {'positive':20} {'negative':20}",
    ]
    for name, label in stated.items():
        values = label["predictive_values"]
        lines.append(
            f"{_marked(name, width)} {values['prevalence']:>10g}  "
            f"{_interval(values['positive']):20} {_interval(values['negative']):20}"
        )
    return lines


def _group_lines(by: Mapping[str, Any], by_any: Mapping[str, Any], level: str) -> list[str]:
    """One table a label: its figures in each group."""
    lines = []
    for name, groups in by.items():
        reports = {group: figures[level] for group, figures in groups.items()}
        of_any = {group: found[level]["labels"] for group, found in by_any.get(name, {}).items()}
        rows = {group: of_any.get(group, {}) | reports[group]["labels"] for group in reports}
        labels = next(iter(rows.values()))
        width = _width(labels)
        lines += ["", f"by {name}, each group with its own threshold of 90 % specificity"]
        lines.append(
            f"{'label':{width}} {'group':12} {level + 's':>8} {'positives':>9}  {'AUC':20} "
            f"{'sens. at 90 % spec.':20}"
        )
        first = (ANY_INFARCTION, *INFARCTION_TYPES)
        shown = [label for label in labels if label in first] or list(labels)
        for label in shown:
            if not any(found[label]["positives"] for found in rows.values()):
                continue
            for group, report in reports.items():
                own = rows[group][label]
                few = "!" if 0 < own["positive_patients"] < FEW_PATIENTS else " "
                lines.append(
                    f"{_marked(label, width)} {group:12} {report['units']:>8} "
                    f"{own['positives']:>9}{few} {_interval(own['auc']):20} "
                    f"{_interval(own['sensitivity_at_90_specificity']):20}"
                )
        for group, report in reports.items():
            mean = report["mi_auc"] if report["mi_auc"]["labels"] else report["macro_auc"]
            if mean["labels"]:
                lines.append(f"{group}: mean of {mean['labels']} labels {_interval(mean)}")
        if len(shown) < len(labels):
            lines.append("the other labels are in --json")
    return lines


def _difference_lines(
    difference: Mapping[str, Any], predictions: Predictions, of_any: Mapping[str, Any] | None
) -> list[str]:
    found = dict(difference["labels"])
    if of_any is not None:
        found[ANY_INFARCTION] = of_any
    width = _width(found)
    lines = [f"{'label':{width}} {'difference':23} p"]
    rows = [(_marked(name), found[name]) for name in infarctions_first(found)]
    rows.append(("macro AUC", difference["macro_auc"]))
    if difference["mi_auc"]["value"] is not None:
        rows.append(("mean of *", difference["mi_auc"]))
    for name, row in rows:
        lines.append(f"{name:{width}} {_interval(row, sign='+'):23} {_number(row['p_value'])}")
    if len(difference["labels"]) < len(predictions.labels):
        lines.append("labels that only one of the two has are left out")
    return lines


def _width(labels: Collection[str]) -> int:
    """Signs of a column of labels' names."""
    return len(ANY_INFARCTION) if ANY_INFARCTION in labels else 9


def _marked(name: str, width: int = 0) -> str:
    return f"{name}{'*' if name in INFARCTION_TYPES else ''}".ljust(width)


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
