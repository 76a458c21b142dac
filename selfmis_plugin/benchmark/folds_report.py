"""The cross-validated benchmark's report: table, paired differences, rows as CSV, pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from selfmis_plugin.benchmark.cross_validation import MEAN
from selfmis_plugin.benchmark.report import ending_sections, measured_on
from selfmis_plugin.benchmark.row_colors import color_of
from selfmis_plugin.data.labels import in_words
from selfmis_plugin.methods.method import FINETUNE, PROBE, UNTRAINED, ZERO_SHOT, Method
from selfmis_plugin.metrics.any_infarction import ANY
from selfmis_plugin.utils import markdown
from selfmis_plugin.utils.files import whole_files, write_json
from selfmis_plugin.visualization.figure import new_figure

__all__ = ["write_folds_report"]

#: The upper bound: a row whose classifier sees the whole record.
_BOUND = "twelve_lead"
_CHANCE = 0.5
#: What ``rates.json`` says beside the trials: on what they were made.
_CHOSEN = ("selfmis_plugin", "host", "size", "budget", "folds", "strat_folds", "tuned")
#: Points of the picture of costs, by how a row was judged; a diamond otherwise.
_MARKERS = {PROBE: "o", FINETUNE: "s", ZERO_SHOT: "^", UNTRAINED: "x"}
_BELOW = "(!)"
_FIRST = ("Method", "judged by", ANY)


def write_folds_report(dest: Path, report: Mapping[str, Any], methods: Sequence[Method]) -> str:
    """Write ``report.json``, ``report.md``, ``rows.csv`` and pictures: ``report.png``,
    ``differences.png``, ``labels.png`` (by labels used) and ``costs.png`` (by processor time);
    ``rates.json``, what was chosen, which says nothing of this machine and can be handed on.

    The pictures are there if they have something to show.

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
        write["report.png"] = lambda path: _draw_aucs(report, titles, path)
    if any("difference" in row["figures"].get(ANY, {}) for row in report["rows"]):
        write["differences.png"] = lambda path: _draw_differences(report, titles, path)
    if len({row["fraction"] for row in report["rows"]} - {0.0}) > 1:
        write["labels.png"] = lambda path: _draw_labels(report, titles, path)
    if any(row["cpu_seconds"] for row in report["rows"]):
        write["costs.png"] = lambda path: _draw_costs(report, titles, path)
    if report["tuned"]:
        write["rates.json"] = lambda path: write_json(path, {key: report[key] for key in _CHOSEN})
    write["report.json"] = lambda path: write_json(path, report)
    with whole_files(*(dest / name for name in write)) as paths:
        for to, path in zip(write.values(), paths, strict=True):
            to(path)
    return text


def _markdown(report: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    parts = [f"# Infarction benchmark, {_protocol(report)}\n\n{measured_on(report)}"]
    if report["rows"]:
        parts.append(f"{_how_to_read(report)}\n\n{_table(report, titles)}")
        if any("difference" in row["figures"].get(ANY, {}) for row in report["rows"]):
            rival = titles[report["against"]]
            parts.append(
                f"## Minus {rival}, pair by pair\n\n{_differences(report, titles)}\n\n"
                "AUC in percent points, mean over seeds, on the same records, from the row that "
                f"was judged alike or, where {rival} has none, from its own; p corrected over all "
                "rows (Holm)."
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


def _protocol(report: Mapping[str, Any]) -> str:
    if report["held_out"]:
        return f"folds {', '.join(map(str, report['held_out']))} held out"
    chosen = report["strat_folds"]
    of = f" of the folds {', '.join(map(str, chosen))}" if chosen else ""
    return f"cross-validated over {report['folds']} folds{of}"


def _how_to_read(report: Mapping[str, Any]) -> str:
    types = len(report["populated"])
    seeds = max(len(row["seeds"]) for row in report["rows"])
    return (
        "AUC in percent with 95 % intervals by patient, "
        + ("one seed" if seeds == 1 else f"mean over {seeds} seeds (± their standard deviation)")
        + "; predictions of records "
        "that the model, and all that it started from, never saw"
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
            _judged(row),
            *(_shown(row["figures"].get(name), name in (ANY, MEAN)) for name in (ANY, MEAN)),
            *(_shown(row["figures"].get(name)) for name in types),
        ]
        for row in _ordered(report, titles)
    ]
    counts = [str(report["positives"].get(name, "")) for name in (ANY, MEAN, *types)]
    rows.append(["positive records", "", *counts])
    text = markdown.table([*_FIRST, f"mean of {len(types)}", *map(in_words, types)], rows)
    if any(row["below_floor"] for row in report["rows"]):
        text += f"\n\n{_BELOW}: below a probe on an untrained encoder of its kind, in {ANY}."
    return text


def _differences(report: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    rows = [
        [
            titles[row["method"]],
            _judged(row),
            *(_shown_difference(row["figures"].get(name, {})) for name in (ANY, MEAN)),
        ]
        for row in _ordered(report, titles)
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
    return markdown.table(header, rows) + (
        "\n\nOne seed, the training and validation records of the first rotation; every training "
        "had as many trials."
    )


def _ordered(report: Mapping[str, Any], titles: Mapping[str, str]) -> list[Mapping[str, Any]]:
    order = list(titles)
    return sorted(report["rows"], key=lambda row: (order.index(row["method"]), row["mode"]))


def _judged(row: Mapping[str, Any]) -> str:
    part = row["fraction"]
    return row["mode"] + (f", {100 * part:g} % of the labels" if part not in (0.0, 1.0) else "")


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
    return text + ("" if found.get("p_holm") is None else f", p {_shown_p(found['p_holm'])}")


def _shown_p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


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


def _draw_aucs(report: Mapping[str, Any], titles: Mapping[str, str], path: Path) -> None:
    """Draw any infarction and the mean by row, with intervals, every seed, chance and the bound."""
    rows = _ordered(report, titles)
    names = [name for name in (ANY, MEAN) if any(name in row["figures"] for row in rows)]
    figure = new_figure(6 * len(names) + 2, 1.6 + 0.34 * len(rows), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        bound = max(
            (
                row["figures"][name]["value"]
                for row in rows
                if row["method"] == _BOUND and name in row["figures"]
            ),
            default=None,
        )
        axes.axvline(100 * _CHANCE, color="0.6", linestyle=":", label="chance")
        if bound is not None:
            axes.axvline(100 * bound, color="0.6", linestyle="--", label="12 leads")
        for height, row in enumerate(rows):
            _point(axes, height, row["figures"].get(name), color_of(row["method"]))
        what = ANY if name == ANY else f"mean of {len(report['populated'])} types"
        axes.set_xlabel(f"AUC in %, {what}")
        axes.grid(axis="x", alpha=0.3)
    _name_rows(panels[0], rows, titles)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower right", ncols=2)
    figure.suptitle(f"{_database(report)}: {_protocol(report)}", fontsize=11)
    figure.savefig(path, dpi=130)


def _draw_differences(report: Mapping[str, Any], titles: Mapping[str, str], path: Path) -> None:
    """Draw differences of any infarction from the named row, with intervals."""
    rows = [r for r in _ordered(report, titles) if "difference" in r["figures"].get(ANY, {})]
    figure = new_figure(8, 1.6 + 0.34 * len(rows), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color="0.4", linewidth=1)
    for height, row in enumerate(rows):
        _point(axes, height, row["figures"][ANY]["difference"], color_of(row["method"]))
    _name_rows(axes, rows, titles)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel(
        f"AUC of {ANY} minus that of\n{titles[report['against']]}, percent points, 95 % interval"
    )
    figure.suptitle(f"{_database(report)}: {_protocol(report)}", fontsize=11)
    figure.savefig(path, dpi=130)


def _draw_labels(report: Mapping[str, Any], titles: Mapping[str, str], path: Path) -> None:
    """Draw any infarction by the share of the training labels that was used, a line a row."""
    figure = new_figure(9, 5, layout="constrained")
    axes = figure.add_subplot()
    lines: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in _ordered(report, titles):
        if row["fraction"] and ANY in row["figures"]:
            lines.setdefault((row["method"], row["mode"]), []).append(row)
    for (method, mode), rows in lines.items():
        rows = sorted(rows, key=lambda row: row["fraction"])
        found = [row["figures"][ANY] for row in rows]
        shares = [100 * row["fraction"] for row in rows]
        color, style = color_of(method), "-" if mode == PROBE else "--"
        axes.plot(
            shares,
            [100 * figure["value"] for figure in found],
            style,
            marker="o",
            color=color,
            label=f"{titles[method]}, {mode}",
        )
        if all(figure["low"] is not None for figure in found):
            low, high = ([100 * figure[end] for figure in found] for end in ("low", "high"))
            axes.fill_between(shares, low, high, color=color, alpha=0.08, linewidth=0)
    axes.axhline(100 * _CHANCE, color="0.6", linestyle=":", label="chance")
    axes.set_xscale("log")
    axes.set_xticks(shares_shown := sorted({100 * row["fraction"] for row in report["rows"]} - {0}))
    axes.set_xticklabels([f"{share:g} %" for share in shares_shown])
    axes.minorticks_off()
    axes.set_xlabel("labelled training records used")
    axes.set_ylabel(f"AUC in %, {ANY}")
    axes.set_title(f"{_database(report)}: {_protocol(report)}", fontsize=11)
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    figure.savefig(path, dpi=130)


def _draw_costs(report: Mapping[str, Any], titles: Mapping[str, str], path: Path) -> None:
    """Draw any infarction against what all trainings of a row took."""
    figure = new_figure(9, 5, layout="constrained")
    axes = figure.add_subplot()
    for row in _ordered(report, titles):
        found = row["figures"].get(ANY)
        if not row["cpu_seconds"] or found is None or found["value"] is None:
            continue
        color, marker = color_of(row["method"]), _MARKERS.get(row["mode"], "D")
        if found["low"] is not None:
            ends = [100 * found["low"], 100 * found["high"]]
            axes.plot([row["cpu_seconds"]] * 2, ends, color=color, linewidth=1)
        axes.plot(
            row["cpu_seconds"],
            100 * found["value"],
            marker,
            color=color,
            label=f"{titles[row['method']]}, {_judged(row)}",
        )
    axes.axhline(100 * _CHANCE, color="0.6", linestyle=":", label="chance")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("processor time of all its trainings, seconds, mean over folds and seeds")
    axes.set_ylabel(f"AUC in %, {ANY}")
    axes.set_title(f"{_database(report)}: {_protocol(report)}", fontsize=11)
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    figure.savefig(path, dpi=130)


def _point(axes: Any, height: float, figure: Mapping[str, Any] | None, color: Any) -> None:
    if figure is None or figure["value"] is None:
        return
    if figure["low"] is not None:
        axes.plot([100 * figure["low"], 100 * figure["high"]], [height] * 2, color=color)
    axes.plot([100 * v for v in figure["seeds"]], [height] * len(figure["seeds"]), "|", color=color)
    axes.plot(100 * figure["value"], height, "o", color=color)


def _name_rows(axes: Any, rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> None:
    axes.set_yticks(range(len(rows)), [f"{titles[r['method']]}, {_judged(r)}" for r in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)


def _database(report: Mapping[str, Any]) -> str:
    labelled = report["data"]["labelled"]
    kinds = {origin["kind"] for origin in labelled["origins"]}
    return f"{labelled['database']}{' (synthetic)' if kinds == {'synthetic'} else ''}"
