"""The cross-validated benchmark's report: table, paired differences, rows as CSV, pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from selfmis_plugin.benchmark.cross_validation import MEAN
from selfmis_plugin.benchmark.folds_pictures import (
    draw_aucs,
    draw_costs,
    draw_differences,
    draw_labels,
)
from selfmis_plugin.benchmark.folds_rows import judged, ordered, protocol
from selfmis_plugin.benchmark.picture_parts import DPI
from selfmis_plugin.benchmark.report import (
    ending_sections,
    measured_on,
    seen_paragraphs,
    write_files,
)
from selfmis_plugin.benchmark.tested_people import never_saw
from selfmis_plugin.benchmark.trials import TRIED
from selfmis_plugin.data.labels import in_words
from selfmis_plugin.methods.method import Method
from selfmis_plugin.metrics.any_infarction import ANY
from selfmis_plugin.utils import markdown
from selfmis_plugin.utils.files import write_json
from selfmis_plugin.utils.p_values import shown_p

__all__ = ["write_folds_report"]

#: What ``rates.json`` says beside the trials: on what they were made.
_CHOSEN = (*TRIED, "tuned")
#: Pictures that such a report may have.
_PICTURES = ("report.png", "differences.png", "labels.png", "costs.png")
_BELOW = "(!)"
_FIRST = ("Method", "judged by", ANY)


def write_folds_report(dest: Path, report: Mapping[str, Any], methods: Sequence[Method]) -> str:
    """Write ``report.json``, ``report.md``, ``rows.csv`` and pictures: ``report.png``,
    ``differences.png``, ``labels.png`` (by labels used) and ``costs.png`` (by processor time);
    ``rates.json``, what was chosen, which says nothing of this machine and can be handed on.

    The pictures are there if they have something to show; those of an earlier report are removed.

    Parameters
    ----------
    dest
        Folder of the benchmark.
    report
        What :func:`~selfmis_plugin.benchmark.cross_validation.run_folds` returned.
    methods
        The rows, in their order.

    Returns
    -------
    str
        What ``report.md`` holds.
    """
    titles = {method.name: method.title for method in methods}
    text = _markdown(report, titles)
    write: dict[str, Callable[[Path], object]] = {
        "report.md": lambda path: path.write_text(text, encoding="utf-8"),
        "rows.csv": lambda path: _lines(report).to_csv(path, index=False),
    }
    if report["rows"]:
        write["report.png"] = lambda path: draw_aucs(report, titles).savefig(path, dpi=DPI)
    if _is_compared(report):
        write["differences.png"] = lambda path: draw_differences(report, titles).savefig(
            path, dpi=DPI
        )
    if _has_shares(report):
        write["labels.png"] = lambda path: draw_labels(report, titles).savefig(path, dpi=DPI)
    if any(row["cpu_seconds"] for row in report["rows"]):
        write["costs.png"] = lambda path: draw_costs(report, titles).savefig(path, dpi=DPI)
    if report["tuned"]:
        write["rates.json"] = lambda path: write_json(path, {key: report[key] for key in _CHOSEN})
    write["report.json"] = lambda path: write_json(path, report)
    write_files(dest, write, _PICTURES)
    return text


def _markdown(report: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    parts = [f"# Infarction benchmark, {protocol(report)}\n\n{measured_on(report)}"]
    if report["rows"]:
        parts += [_how_to_read(report), *seen_paragraphs(report["rows"], titles)]
        parts.append(_table(report, titles))
        if not _is_compared(report) and report["against"]:
            rival = titles.get(report["against"], report["against"])
            parts.append(
                f"**No differences from {rival}**: no row of it that another could be compared "
                "with is finished, or this host cannot train it."
            )
        if _is_compared(report):
            rival = titles[report["against"]]
            parts.append(
                f"## Minus {rival}, pair by pair\n\n{_differences(report, titles)}\n\n"
                "AUC in percent points, mean over seeds, on the same records, from the row that "
                f"was judged alike or, where {rival} has none, from its own. *p* is of a row by "
                f"itself, *Holm* corrected over {_compared(report)}: of other rows it is another."
            )
    if moved := {role: count for role, count in report["moved"].items() if count}:
        lines = [f"- {role}: {count:,}" for role, count in moved.items()]
        parts.append(
            "## Kept apart\n\nIn each rotation records of these roles follow the patients of the "
            "labelled folds: nothing reads those of its test fold, and those of its validation "
            "fold are there for choosing alone. Records that changed places by it, all rotations "
            "together:\n\n" + "\n".join(lines)
        )
    if report["tuned"]:
        parts.append(f"## Learning rates tried\n\n{_trials(report, titles)}")
    return "\n\n".join([*parts, *ending_sections(report)]) + "\n"


def _is_compared(report: Mapping[str, Any]) -> bool:
    return any("difference" in row["figures"].get(ANY, {}) for row in report["rows"])


def _compared(report: Mapping[str, Any]) -> str:
    """Say over how many networks p-values are corrected; of shares of the labels each by itself."""
    found = [row["figures"].get(ANY, {}).get("difference") for row in report["rows"]]
    numbers = sorted({one["holm_over"] for one in found if one is not None})
    text = f"{' or '.join(map(str, numbers))} comparison{'' if numbers == [1] else 's'}"
    return text + (" at one share of the labels" if _has_shares(report) else "")


def _has_shares(report: Mapping[str, Any]) -> bool:
    return len({row["fraction"] for row in report["rows"]} - {0.0}) > 1


def _how_to_read(report: Mapping[str, Any]) -> str:
    types = len(report["populated"])
    seeds = max(len(row["seeds"]) for row in report["rows"])
    apart = (
        "that the model, and all that it started from, never saw"
        if all(map(never_saw, report["rows"]))
        else "that were kept from all trainings here"
    )
    return (
        "AUC in percent with 95 % intervals by patient, "
        + ("one seed" if seeds == 1 else f"mean over {seeds} seeds (± their standard deviation)")
        + f"; predictions of records {apart}"
        + ("" if report["held_out"] else ", put together by their rank in their fold")
        + ". *Any infarction* is the main "
        "figure: the probability of at least one of the nine types. The mean is over the "
        f"{types} type{'' if types == 1 else 's'} with {report['min_positives']} positives or "
        "more."
    )


def _table(report: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    types = report["populated"]
    rows = [
        [
            titles[row["method"]] + (f" {_BELOW}" if row["below_floor"] else ""),
            judged(row, report["rows"]),
            *(_shown(row["figures"].get(name), name in (ANY, MEAN)) for name in (ANY, MEAN)),
            *(_shown(row["figures"].get(name)) for name in types),
        ]
        for row in ordered(report, titles)
    ]
    counts = [str(report["positives"].get(name, "")) for name in (ANY, MEAN, *types)]
    rows.append(["positive records", "", *counts])
    text = markdown.table([*_FIRST, f"mean of {len(types)}", *map(in_words, types)], rows)
    if any(row["below_floor"] for row in report["rows"]):
        text += f"\n\n{_BELOW}: below a probe on an untrained encoder of its kind, in {ANY}."
    for row in ordered(report, titles):
        if row["lacks"]:
            text += (
                f"\n\n{titles[row['method']]}, {judged(row, report['rows'])}, has no output for "
                f"{', '.join(row['lacks'])}: records with it count among the positives of {ANY}."
            )
    return text


def _differences(report: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    rows = [
        [
            titles[row["method"]],
            judged(row, report["rows"]),
            *(_shown_difference(row["figures"].get(name, {})) for name in (ANY, MEAN)),
        ]
        for row in ordered(report, titles)
        if "difference" in row["figures"].get(ANY, {})
    ]
    return markdown.table([*_FIRST, f"mean of {len(report['populated'])}"], rows)


def _trials(report: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    rows = [
        [
            f"{titles.get(one['method'], one['method'])}: {one['name']}",
            f"{trial['rate']:g}" + (" (chosen)" if trial["rate"] == one["rate"] else ""),
            "-" if trial["auc"] is None else f"{100 * trial['auc']:.1f}",
            "-" if not trial["records_seen"] else f"{trial['records_seen']:,}",
            "-" if trial["seconds"] is None else f"{trial['seconds']:,.0f}",
        ]
        for one in report["tuned"]
        for trial in one["trials"]
    ]
    header = ["training", "rate", f"AUC of {ANY}, validation", "ECGs read", "seconds"]
    places: dict[str, list[str]] = {}
    for one in report["tuned"]:
        places.setdefault(_tried_on(one["tried"]), []).append(one["name"])
    where = [
        place if len(places) == 1 else f"{place}: {', '.join(names)}"
        for place, names in places.items()
    ]
    return markdown.table(header, rows) + (
        "\n\nOne seed, the training and validation records of the first rotation of what was "
        f"tried, {'; '.join(where)}. Every training had as many trials."
    )


def _tried_on(tried: Mapping[str, Any]) -> str:
    """Say over which folds trials were."""
    known = {"folds", "strat_folds"} <= tried.keys()
    return protocol({"held_out": None, **tried}) if known else "folds not recorded"


def _shown(figure: Mapping[str, Any] | None, with_spread: bool = False) -> str:
    if figure is None or figure["value"] is None:
        return "-"
    text = f"{100 * figure['value']:.1f}"
    if figure["low"] is not None:
        text += f" ({100 * figure['low']:.1f} to {100 * figure['high']:.1f})"
    if with_spread and figure["deviation"] is not None:
        text += f" ± {100 * figure['deviation']:.1f}"
    return text


def _shown_difference(figure: Mapping[str, Any]) -> str:
    found = figure.get("difference")
    if found is None or found["value"] is None:
        return "-"
    text = f"{100 * found['value']:+.1f}"
    if found["low"] is not None:
        text += f" ({100 * found['low']:+.1f} to {100 * found['high']:+.1f})"
    if found.get("p_holm") is not None:
        text += f", p {shown_p(found['p_value'])}, Holm {shown_p(found['p_holm'])}"
    return text


def _lines(report: Mapping[str, Any]) -> pd.DataFrame:
    """Return a line for each figure of each row."""
    lines = []
    for row in report["rows"]:
        for name, figure in row["figures"].items():
            found = figure.get("difference", {})
            lines.append(
                {
                    **{key: row[key] for key in ("method", "mode", "fraction", "records")},
                    "cpu_seconds": row["cpu_seconds"],
                    "seeds": len(row["seeds"]),
                    "figure": name,
                    "positives": report["positives"].get(name),
                    **{key: figure[key] for key in ("value", "low", "high", "deviation")},
                    "against": report["against"] if found else None,
                    "difference": found.get("value"),
                    "difference_low": found.get("low"),
                    "difference_high": found.get("high"),
                    "p": found.get("p_value"),
                    "p_holm": found.get("p_holm"),
                }
            )
    return pd.DataFrame(lines)
