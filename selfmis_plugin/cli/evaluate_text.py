"""The figures of ``selfmis evaluate`` as lines of text."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from selfmis_plugin.data.labels import (
    ANY_INFARCTION,
    INFARCTION_NAMES,
    INFARCTION_TYPES,
    infarctions_first,
)
from selfmis_plugin.data.provenance import headline, provenance_from
from selfmis_plugin.data.trained_people import SeenInTraining
from selfmis_plugin.evaluation.calibrating import PERHAPS_FITTED_HERE, calibration_text
from selfmis_plugin.evaluation.own_thresholds import threshold_text
from selfmis_plugin.metrics.defaults import FEW_PATIENTS
from selfmis_plugin.metrics.wilson import wilson_interval
from selfmis_plugin.utils.p_values import shown_p

__all__ = ["lines_of"]

#: Labels that one line names.
_NAMED = 12


def lines_of(figures: Mapping[str, Any], level: str) -> list[str]:
    """Return the figures of :func:`~selfmis_plugin.evaluation.judging.judge_checkpoint` in words.

    Parameters
    ----------
    figures
        All of them.
    level
        What a table counts, "record" or "patient".
    """
    if "median_rank" in figures:
        return [*_title(figures), *_retrieval_lines(figures)]
    lines = [*_title(figures), *_figure_lines(figures, level), *_coverage_lines(figures)]
    if figures["perhaps_fitted_here"]:
        lines.append(PERHAPS_FITTED_HERE)
    lines += [*calibration_text(figures["calibrated"]), *_any_calibration_lines(figures)]
    if figures["own_thresholds"] is not None:
        lines += ["", *threshold_text(figures["own_thresholds"])]
    lines += _predictive_lines(figures, level)
    lines += _group_lines(figures, level)
    return lines + _against_lines(figures, level)


def _title(figures: Mapping[str, Any]) -> list[str]:
    return [
        f"{figures['checkpoint']} on {figures['records']} records of {figures['split']}",
        headline(provenance_from(figures["trained_on"])),
        *_seen_lines(figures["seen_in_training"]),
    ]


def _seen_lines(seen: Mapping[str, Any] | None) -> list[str]:
    return [] if seen is None else [str(SeenInTraining.from_dict(seen))]


def _retrieval_lines(figures: Mapping[str, Any]) -> list[str]:
    records = figures["records"]
    lines = [
        "retrieval of a record's 12-lead embedding by its single-lead embedding, among "
        f"{records:,} records; 95 % intervals (Wilson) take records as independent",
        f"{'':5} {'share':>7}  {'interval':17} {'chance':>7}",
    ]
    for key in (key for key in figures if key[1:].isdigit()):
        low, high = wilson_interval(figures[key], records)
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


def _with_any(figures: Mapping[str, Any], level: str) -> dict[str, Any]:
    """Return figures of every label, and of any infarction where there are some."""
    either = figures["any_infarction"]
    labels = figures[level]["labels"]
    return labels if either is None else {ANY_INFARCTION: either[level], **labels}


def _figure_lines(figures: Mapping[str, Any], level: str) -> list[str]:
    if level not in figures:
        return _plain_lines(figures)  # without intervals
    report, labels = figures[level], _with_any(figures, level)
    width = _width(labels)
    lines = [
        f"95 % intervals by patient, of {report['patients']:,}; one unit is a {level}",
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
    if (label := figures["any_infarction_label"]) is not None:
        lines.append(
            f"{ANY_INFARCTION}: by all types that the model knows, against the data's label {label}"
        )
    if figures["not_covered"] and figures["infarction"]:
        lines.append(
            f"no output for {', '.join(figures['not_covered'])}: the mean over the infarction "
            "types is one over the others, and any infarction has their records among its positives"
        )
    for key, said in (
        ("not_in_data", "not a label of the data, so left out"),
        ("not_predicted", "labels of the data that the model does not predict"),
    ):
        if names := figures[key]:
            more = f" and {len(names) - _NAMED} more (--json)" if len(names) > _NAMED else ""
            lines.append(f"{said}: {', '.join(names[:_NAMED])}{more}")
    return lines


def _any_calibration_lines(figures: Mapping[str, Any]) -> list[str]:
    line = (figures["any_infarction"] or {}).get("calibrated")
    if line is None or line["error"] is None:
        return []
    return [
        f"calibration error of {ANY_INFARCTION}: {line['raw_error']:.3f} as the network gives it, "
        f"{line['error']:.3f} by the calibration that the model brings"
    ]


def _predictive_lines(figures: Mapping[str, Any], level: str) -> list[str]:
    if level not in figures:
        return []
    labels = _with_any(figures, level)
    stated = {name: label for name, label in labels.items() if label.get("predictive_values")}
    if not stated:
        return []
    width = _width(stated)
    lines = [
        "",
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


def _group_lines(figures: Mapping[str, Any], level: str) -> list[str]:
    """One table a label: its figures in each group."""
    by_any = (figures["any_infarction"] or {}).get("by", {})
    lines = []
    for name, groups in figures.get("by", {}).items():
        reports = {group: found[level] for group, found in groups.items()}
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


def _against_lines(figures: Mapping[str, Any], level: str) -> list[str]:
    if "against" not in figures:
        return []
    difference = figures["difference"][level]
    found = dict(difference["labels"])
    if (of_any := (figures["any_infarction"] or {}).get("difference")) is not None:
        found[ANY_INFARCTION] = of_any[level]
    width = _width(found)
    lines = [
        "",
        f"AUC minus that of {figures['against']}",
        *_seen_lines(figures["against_seen_in_training"]),
        f"{'label':{width}} {'difference':23} p",
    ]
    rows = [(_marked(name), found[name]) for name in infarctions_first(found)]
    rows.append(("macro AUC", difference["macro_auc"]))
    if difference["mi_auc"]["value"] is not None:
        rows.append(("mean of *", difference["mi_auc"]))
    for name, row in rows:
        lines.append(f"{name:{width}} {_interval(row, sign='+'):23} {shown_p(row['p_value'])}")
    tests = sum(row["p_value"] is not None for _, row in rows)
    if tests > 1:
        lines.append(f"p of each line by itself: of {tests}, some may be small by chance")
    if len(difference["labels"]) < len(figures["positives"]):
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
