"""Correlations between leads as heat maps."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from selfmis_plugin.metrics.lead_correlation import LeadCorrelation
from selfmis_plugin.visualization.figure import new_figure

__all__ = ["draw_lead_matrices"]


def draw_lead_matrices(found: Mapping[str, LeadCorrelation], dpi: float = 110) -> Figure:
    """Draw the centred correlations of several networks side by side, on one scale.

    Parameters
    ----------
    found
        Correlations by the name of the network, in the order to draw.
    dpi
        Dots an inch when the figure is saved.

    Returns
    -------
    matplotlib.figure.Figure
        Above, leads of one record; below, the control of different records.
    """
    figure = new_figure(0.8 + 4.6 * len(found), 9.6, dpi=dpi, layout="constrained")
    axes = figure.subplots(2, len(found), squeeze=False)
    image = None
    for column, (name, of) in enumerate(found.items()):
        for row, (matrix, title) in enumerate(
            (
                (of.centred.same, f"{name}: {of.centred.mean_same:.2f}"),
                (of.centred.other, f"different records: {of.centred.mean_other:.2f}"),
            )
        ):
            of_panel: Axes = axes[row, column]
            image = of_panel.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r")
            of_panel.set_title(title, fontsize=11)
            of_panel.set_xticks(range(len(of.leads)), of.leads, fontsize=7, rotation=90)
            of_panel.set_yticks(range(len(of.leads)), of.leads, fontsize=7)
    if image is not None:
        figure.colorbar(image, ax=axes, shrink=0.5, label="correlation of centred embeddings")
    return figure
