"""The infarction benchmark's picture: mean AUC by method and way of training."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from selfmis_plugin.benchmark.picture_parts import (
    BOUND,
    draw_bound,
    draw_chance,
    positives_in_words,
    whose,
)
from selfmis_plugin.benchmark.row_colors import color_of
from selfmis_plugin.benchmark.tables import Measured, covered_types
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.visualization.figure import new_figure

__all__ = ["draw_methods"]

#: Letters of a line below the picture.
_LINE = 120


def draw_methods(measured: Measured, report: Mapping[str, Any]) -> Figure:
    """Draw the mean AUC by method: a point a fraction or, for one fraction, a way of training.

    Chance and the upper bound, where it was measured, are lines; small grey points are seeds.

    Parameters
    ----------
    measured
        The figures; there is a cell at least.
    report
        What :func:`~selfmis_plugin.benchmark.infarction.run_infarction` returned.
    """
    rows = [(m, mode) for m in measured.methods for mode in measured.modes
            if measured.best_trained(m.name, mode)]  # fmt: skip
    figure = new_figure(10, 2.6 + 0.3 * len(rows), layout="constrained")
    axes = figure.add_subplot()
    draw_chance(axes, upright=True)
    names: list[str] = []
    bounds: list[float] = []
    most = max(len(covered_types([cell])) for cell in measured.cells)
    for method, mode in rows:
        best = measured.best_trained(method.name, mode)
        trained = best[0]["fraction"] == measured.fractions[-1]
        fractions = measured.fractions if trained else [best[0]["fraction"]]
        types = len(covered_types(best))
        for index, fraction in enumerate(fractions):
            values = [c["mi_auc"] for c in measured.chosen(method.name, mode, fraction)]
            known = [100 * value for value in values if value is not None]
            height = len(names) + 0.18 * (index - (len(fractions) - 1) / 2)
            shade = 0.3 + 0.7 * (index + 1) / len(fractions)
            if not known:
                continue
            color = color_of(method.name)
            axes.plot(known, [height] * len(known), ".", color="0.5", markersize=4)
            axes.plot(statistics.mean(known), height, "o", color=(*color, shade))
            # A mean over fewer types bounds nothing.
            if method.name == BOUND and fraction == fractions[-1] and types == most:
                bounds.append(statistics.mean(known))
        names.append(f"{method.title}, {mode}" + (f" ({types} types only)" if types < most else ""))
    draw_bound(axes, bounds, upright=True)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.4)
    shown = ", ".join(f"{100 * fraction:g}" for fraction in measured.fractions)
    order = "light to dark: " if len(measured.fractions) > 1 else ""
    # Types without a positive are in no mean.
    over = "the nine" if most == len(INFARCTION_TYPES) else f"{most} of the nine"
    axes.set_xlabel(f"AUC in %, mean of {over} infarction types ({order}{shown} % of the labels)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower right", fontsize=8)
    figure.suptitle(f"{whose(report)}: infarction by method, {_seeds(measured)}", fontsize=11)
    positives = measured.cells[0]["positives"]
    lines = positives_in_words(positives, INFARCTION_TYPES, _LINE)
    figure.supxlabel(
        "\n".join(["Positives in the test split:", *lines]), fontsize=8, x=0.01, ha="left"
    )
    return figure


def _seeds(measured: Measured) -> str:
    seeds = len({cell["seed"] for cell in measured.cells})
    return f"mean over {seeds} seeds, grey: each" if seeds > 1 else "one seed"
