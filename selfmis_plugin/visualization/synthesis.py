"""Leads made from one lead, drawn over the true ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from selfmis_plugin.visualization.figure import new_figure

__all__ = ["draw_synthesis"]

_TRUE = "#1a1a1a"
_MADE = ("#d94801", "#6baed6")
_SECONDS = 4.0


def draw_synthesis(
    truth: npt.NDArray[np.float32],
    made: Mapping[str, npt.NDArray[np.float32]],
    leads: Sequence[str],
    rate: float,
    given: str,
    correlations: npt.NDArray[np.float64],
    dpi: float = 110,
) -> Figure:
    """Draw the first seconds of every lead: as it is, and as it was made.

    Parameters
    ----------
    truth
        (leads, samples), each at unit standard deviation.
    made
        The same as made, by how; the last are drawn below the first.
    leads
        Names of the leads.
    rate
        Samples a second.
    given
        The lead that all were made from.
    correlations
        Of the first of *made* with the truth, (leads,).
    dpi
        Dots an inch when the figure is saved.
    """
    figure = new_figure(13, 8.5, dpi=dpi, layout="constrained")
    panels = figure.subplots(4, 3, sharex=True, squeeze=False).T.ravel()
    samples = round(_SECONDS * rate)
    time = np.arange(min(samples, truth.shape[-1])) / rate
    for row, (axes, lead) in enumerate(zip(panels, leads, strict=False)):
        for (name, signals), colour in reversed(list(zip(made.items(), _MADE, strict=False))):
            axes.plot(time, signals[row, :samples], color=colour, linewidth=1.1, label=name)
        axes.plot(time, truth[row, :samples], color=_TRUE, linewidth=0.8, label="true")
        note = "given" if lead == given else f"r {correlations[row]:.2f}"
        axes.set_title(f"{lead}   {note}", fontsize=9, loc="left")
        axes.tick_params(labelsize=7)
    panels[0].legend(fontsize=7, loc="upper right")
    figure.supxlabel("seconds", fontsize=9)
    figure.supylabel("standard deviations of the lead", fontsize=9)
    figure.suptitle(f"All leads from lead {given}: a record of median correlation", fontsize=12)
    return figure
