"""The cross-validated benchmark's pictures; each row in the colour of its method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from selfmis_plugin.benchmark.cross_validation import MEAN
from selfmis_plugin.benchmark.folds_rows import judged, ordered, protocol
from selfmis_plugin.benchmark.picture_parts import (
    BOUND,
    draw_bound,
    draw_chance,
    positives_in_words,
    whose,
)
from selfmis_plugin.benchmark.row_colors import color_of
from selfmis_plugin.methods.method import FINETUNE, PROBE, UNTRAINED, ZERO_SHOT
from selfmis_plugin.metrics.any_infarction import ANY
from selfmis_plugin.visualization.figure import new_figure

__all__ = ["draw_aucs", "draw_costs", "draw_differences", "draw_labels"]

#: Points of the picture of costs, by how a row was judged; a diamond otherwise.
_MARKERS = {PROBE: "o", FINETUNE: "s", ZERO_SHOT: "^", UNTRAINED: "x"}
#: Lines of the picture of labels, by the same; dashes otherwise.
_STYLES = {PROBE: "-"}
#: Letters of a line below a panel.
_LINE = 70


def draw_aucs(report: Mapping[str, Any], titles: Mapping[str, str]) -> Figure:
    """Draw any infarction and the mean by row, with intervals, every seed, chance and the bound.

    Parameters
    ----------
    report
        What :func:`~selfmis_plugin.benchmark.cross_validation.run_folds` returned.
    titles
        What methods are called, by their names and in their order.
    """
    rows = ordered(report, titles)
    names = [name for name in (ANY, MEAN) if any(name in row["figures"] for row in rows)]
    figure = new_figure(6 * len(names) + 2, 2.2 + 0.34 * len(rows), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        draw_chance(axes, upright=True)
        draw_bound(axes, _bounds(rows, name), upright=True)
        for height, row in enumerate(rows):
            _point(axes, height, row["figures"].get(name), color_of(row["method"]))
        axes.set_xlabel(f"AUC in %, {_any(report) if name == ANY else _mean(report)}")
        axes.grid(axis="x", alpha=0.3)
    _name_rows(panels[0], rows, titles)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower right", ncols=2)
    figure.suptitle(_heading(report), fontsize=11)
    return figure


def draw_differences(report: Mapping[str, Any], titles: Mapping[str, str]) -> Figure:
    """Draw differences of any infarction from the named row, with intervals, and the bound's.

    Parameters
    ----------
    report, titles
        As for :func:`draw_aucs`.
    """
    rows = [r for r in ordered(report, titles) if "difference" in r["figures"].get(ANY, {})]
    rival = titles[report["against"]]
    figure = new_figure(8.5, 1.9 + 0.34 * len(rows), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color="0.4", linewidth=1, label=f"as good as {rival}")
    own = [row["figures"][ANY]["difference"]["value"] for row in rows if row["method"] == BOUND]
    draw_bound(axes, [None if value is None else 100 * value for value in own], upright=True)
    for height, row in enumerate(rows):
        _point(axes, height, row["figures"][ANY]["difference"], color_of(row["method"]))
    _name_rows(axes, rows, titles)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel(f"AUC of {_any(report)} minus that of\n{rival}, percent points, 95 % interval")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower right", fontsize=8)
    figure.suptitle(_heading(report), fontsize=11)
    return figure


def draw_labels(report: Mapping[str, Any], titles: Mapping[str, str]) -> Figure:
    """Draw any infarction by the share of the training labels that was used, a line a row.

    Parameters
    ----------
    report, titles
        As for :func:`draw_aucs`.
    """
    figure = new_figure(9, 5, layout="constrained")
    axes = figure.add_subplot()
    lines: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in ordered(report, titles):
        if row["fraction"] and ANY in row["figures"]:
            lines.setdefault((row["method"], row["mode"]), []).append(row)
    for (method, mode), rows in lines.items():
        rows = sorted(rows, key=lambda row: row["fraction"])
        found = [row["figures"][ANY] for row in rows]
        shares = [100 * row["fraction"] for row in rows]
        color, style = color_of(method), _STYLES.get(mode, "--")
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
    draw_bound(axes, _bounds(report["rows"], ANY))
    draw_chance(axes)
    axes.set_xscale("log")
    axes.set_xticks(shares_shown := sorted({100 * row["fraction"] for row in report["rows"]} - {0}))
    axes.set_xticklabels([f"{share:g} %" for share in shares_shown])
    axes.minorticks_off()
    axes.set_xlabel("labelled training records used")
    _finish(figure, axes, report)
    return figure


def draw_costs(report: Mapping[str, Any], titles: Mapping[str, str]) -> Figure:
    """Draw any infarction against what all trainings of a row took.

    Parameters
    ----------
    report, titles
        As for :func:`draw_aucs`.
    """
    figure = new_figure(9, 5, layout="constrained")
    axes = figure.add_subplot()
    for row in ordered(report, titles):
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
            label=f"{titles[row['method']]}, {judged(row, report['rows'])}",
        )
    draw_bound(axes, _bounds(report["rows"], ANY))
    draw_chance(axes)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("processor time of all its trainings, seconds, mean over folds and seeds")
    _finish(figure, axes, report)
    return figure


def _finish(figure: Figure, axes: Axes, report: Mapping[str, Any]) -> None:
    axes.set_ylabel(f"AUC in %, {_any(report)}")
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    axes.set_title(_heading(report), fontsize=11)


def _heading(report: Mapping[str, Any]) -> str:
    return f"{whose(report)}: {protocol(report)}"


def _any(report: Mapping[str, Any]) -> str:
    return f"{ANY} ({report['positives'][ANY]:,} positives)"


def _mean(report: Mapping[str, Any]) -> str:
    """The types that the mean is over, a line or two of words with their positives."""
    types = report["populated"]
    said = positives_in_words(report["positives"], types, _LINE)
    return "\n".join([f"mean of {len(types)} types, with their positives", *said])


def _bounds(rows: Sequence[Mapping[str, Any]], name: str) -> list[float | None]:
    found = [row["figures"].get(name) for row in rows if row["method"] == BOUND]
    return [
        None if figure is None or figure["value"] is None else 100 * figure["value"]
        for figure in found
    ]


def _point(axes: Axes, height: float, figure: Mapping[str, Any] | None, color: Any) -> None:
    if figure is None or figure["value"] is None:
        return
    if figure["low"] is not None:
        axes.plot([100 * figure["low"], 100 * figure["high"]], [height] * 2, color=color)
    axes.plot([100 * v for v in figure["seeds"]], [height] * len(figure["seeds"]), "|", color=color)
    axes.plot(100 * figure["value"], height, "o", color=color)


def _name_rows(axes: Axes, rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> None:
    axes.set_yticks(range(len(rows)), [f"{titles[r['method']]}, {judged(r, rows)}" for r in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
