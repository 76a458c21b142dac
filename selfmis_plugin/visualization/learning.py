"""Learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from selfmis_plugin.visualization.figure import new_figure

__all__ = ["Curve", "draw_learning"]

#: Points of one curve: epoch and value.
Curve = list[tuple[int, float]]

_GREY, _ORANGE = "#8c8c8c", "#d94801"
_AUCS = ("macro_auc", "mi_auc")
#: What figures are called, where it is not their name in the log.
_CALLED = {
    "macro_auc": "macro AUC",
    "mi_auc": "mean AUC of the infarction types",
    "r1": "R@1",
    "r10": "R@10",
}


def draw_learning(
    curves: Mapping[str, Mapping[str, Curve]], names: Sequence[str], columns: int | None = None
) -> Figure | None:
    """Draw figures by epoch, a panel each; None where none of them was logged.

    Parameters
    ----------
    curves
        Points by figure and by ``"train"`` or ``"valid"``.
    names
        Figures to draw; an AUC has chance and the upper bound beside it.
    columns
        Panels beside each other; None: all of them.
    """
    chosen = [name for name in names if name in curves]
    if not chosen:
        return None
    across = columns or len(chosen)
    down = -(-len(chosen) // across)
    figure = new_figure((3.6 if across > 1 else 3.4) * across, 2.9 * down, layout="constrained")
    for position, name in enumerate(chosen):
        axes = figure.add_subplot(down, across, position + 1)
        for tag, colour in (("train", _GREY), ("valid", _ORANGE)):
            curve = curves[name].get(tag, [])
            if curve:
                axes.plot(*zip(*curve, strict=True), ".-", color=colour, label=tag)
        if name in _AUCS:
            axes.axhline(0.5, color="black", linewidth=1, linestyle=":", label="chance")
            axes.axhline(1.0, color="black", linewidth=1, linestyle="--", label="upper bound")
        axes.set_xlabel("epoch")
        axes.set_title(_CALLED.get(name, name), fontsize=11)
        epochs = [epoch for curve in curves[name].values() for epoch, _ in curve]
        # Of a single epoch the axis would be a hundredth long.
        axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=8)
    return figure
