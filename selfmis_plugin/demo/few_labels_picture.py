"""The picture of a demo on few labels: AUC of each infarction type by row, and retrieval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from selfmis_plugin.benchmark.row_colors import color_of
from selfmis_plugin.data.labels import INFARCTION_NAMES, INFARCTION_TYPES
from selfmis_plugin.methods.demo_plan import FewLabels
from selfmis_plugin.visualization.figure import new_figure

__all__ = ["draw_few_labels"]

_CHANCE: dict[str, Any] = {"color": "black", "linewidth": 1, "linestyle": ":", "label": "chance"}


def draw_few_labels(
    plan: FewLabels, report: Mapping[str, Any], retrievals: Mapping[str, Mapping[str, Any]]
) -> Figure:
    """Draw the AUC of each infarction type, a bar a row, and R@k of pre-trainings.

    A row has the colour that its method has in the pictures of the benchmark; chance and the upper
    bound are lines.

    Parameters
    ----------
    plan
        The demo.
    report
        What ``report.json`` holds.
    retrievals
        The pre-trainings' retrieval, by row.
    """
    figure = new_figure(15, 6, layout="constrained")
    bars, curve = figure.subplots(1, 2, width_ratios=(3.4, 1))
    _draw_types(bars, plan, report)
    _draw_retrieval(curve, plan, retrievals)
    seeds = len(report["seeds"])
    over = f"mean over {seeds} seeds" if seeds > 1 else "one seed"
    figure.suptitle(f"{report['data']} (no figure says anything of people), {over}", fontsize=11)
    figure.legend(*bars.get_legend_handles_labels(), loc="outside lower left", ncols=4, fontsize=8)
    return figure


def _draw_types(axes: Axes, plan: FewLabels, report: Mapping[str, Any]) -> None:
    rows = report["rows"]
    positions = np.arange(len(INFARCTION_TYPES) + 1)
    compared = [name for name in rows if name != plan.upper_bound]
    width = 0.8 / len(compared)
    axes.axhline(0.5, **_CHANCE)
    for index, name in enumerate(compared):
        spread = rows[name]["mi_auc_sd"]
        errors = [float("nan")] * len(INFARCTION_TYPES) + [spread or 0.0]
        axes.bar(
            positions + (index - (len(compared) - 1) / 2) * width,
            _heights(rows[name]),
            width,
            label=name.replace("_", " "),
            color=_color(plan, name),
            yerr=errors if spread else None,
        )
    if plan.upper_bound:
        axes.hlines(
            _heights(rows[plan.upper_bound]),
            positions - 0.45,
            positions + 0.45,
            color=_color(plan, plan.upper_bound),
            linestyle="--",
            label=f"{plan.upper_bound.replace('_', ' ')} (upper bound)",
        )
    positives = next(iter(rows.values()))["positives"]
    names = [
        f"{label}\n{INFARCTION_NAMES[label].removesuffix(' infarction')}\n{positives.get(label, 0)}"
        for label in INFARCTION_TYPES
    ]
    axes.set_xticks(positions, [*names, "mean\nof nine"], fontsize=7)
    values = [v for row in rows.values() for v in _heights(row) if not np.isnan(v)]
    axes.set_ylim(max(0.0, min(0.45, min(values, default=0.5) - 0.03)), 1.0)
    axes.margins(x=0.01)
    axes.set_ylabel("AUC")
    axes.set_title("Infarction by type, with the positives of the test split", fontsize=10)


def _draw_retrieval(
    axes: Axes, plan: FewLabels, retrievals: Mapping[str, Mapping[str, Any]]
) -> None:
    ranks: list[int] = []
    for name, figures in retrievals.items():
        ranks = sorted(int(rank[1:]) for rank in figures if rank[1:].isdigit())
        shares = [100 * figures[f"r{rank}"] for rank in ranks]
        axes.plot(ranks, shares, "o-", color=_color(plan, name), label=name.replace("_", " "))
    records = next(iter(retrievals.values()))["records"]
    axes.plot(ranks, [100 * rank / records for rank in ranks], **_CHANCE)
    axes.axhline(100, color="black", linewidth=1, linestyle="--", label="upper bound")
    axes.set(xscale="log", xlabel="k", ylabel="R@k, %", ylim=(0, 104))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title(f"The own 12 leads among the k nearest\nto lead I, of {records:,}", fontsize=10)
    axes.legend(fontsize=8, loc="center right")


def _color(plan: FewLabels, row: str) -> tuple[float, float, float]:
    return color_of(plan.rows[row].judged.method)


def _heights(row: Mapping[str, Any]) -> list[float]:
    """A row's AUC of each infarction type, and their mean; NaN where there is none."""
    heights = [row["per_label"].get(kind) for kind in INFARCTION_TYPES] + [row["mi_auc"]]
    return [float("nan") if height is None else height for height in heights]
