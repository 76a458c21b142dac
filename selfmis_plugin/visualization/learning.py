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
#: What figures are called, where it is not their name in the log.
_CALLED = {
    "macro_auc": "macro AUC",
    "mi_auc": "mean AUC of the infarction types",
    "r1": "R@1",
    "r10": "R@10",
}


def draw_learning(curves: Mapping[str, Mapping[str, Curve]], names: Sequence[str]) -> Figure | None:
    """Draw figures by epoch, a panel each; None where none of them was logged."""
    chosen = [name for name in names if name in curves]
    if not chosen:
        return None
    figure = new_figure(3.6 * len(chosen), 2.9, layout="constrained")
    for position, name in enumerate(chosen):
        axes = figure.add_subplot(1, len(chosen), position + 1)
        for tag, colour in (("train", _GREY), ("valid", _ORANGE)):
            curve = curves[name].get(tag, [])
            if curve:
                axes.plot(*zip(*curve, strict=True), ".-", color=colour, label=tag)
        axes.set(xlabel="epoch", title=_CALLED.get(name, name))
        epochs = [epoch for curve in curves[name].values() for epoch, _ in curve]
        # Of a single epoch the axis would be a hundredth long.
        axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=8)
    return figure
