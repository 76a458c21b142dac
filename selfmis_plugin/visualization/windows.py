"""Pictures of the windows of a recording: strips that were kept or refused, and their quality."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from selfmis_plugin.utils.files import whole_file
from selfmis_plugin.visualization.figure import new_figure

KEPT_COLOUR = "#1a6e3c"
REFUSED_COLOUR = "#a3262a"
_OTHERS_COLOUR = "#7a7a7a"

#: Channels of the reference that a strip shows below the wearable's.
_REFERENCES = 2
#: A channel fills the room between two rows if it spans so many microvolts or more.
_LEAST_SPAN = 300.0


class DrawnStrip(Protocol):
    """What is drawn of a window; ``preparation.recordings.selection.Strip`` is one."""

    @property
    def source(self) -> str:
        """Which recording it is of."""

    @property
    def start(self) -> float:
        """Where it begins, in seconds."""

    @property
    def figure(self) -> float | None:
        """What it was judged by; None where it could not be."""

    @property
    def reason(self) -> str:
        """Why it was not kept; empty where it was."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of its channels."""

    @property
    def signals(self) -> npt.NDArray[np.float32]:
        """Microvolts, (channels, samples)."""

    @property
    def rate(self) -> float:
        """Samples a second."""


def draw_strips(
    path: Path, title: str, kept: Sequence[DrawnStrip], refused: Sequence[DrawnStrip]
) -> None:
    """Draw kept windows on the left and refused ones on the right.

    Each strip is the first channel (the wearable's) in colour and up to two of the others in grey,
    each scaled to its own row; the row's span in millivolts stands at its right.

    Parameters
    ----------
    path
        PNG file to write.
    title
        Heading.
    kept, refused
        The windows; either may be empty.
    """
    rows = max(1, len(kept), len(refused))
    figure = new_figure(15, 0.7 + 2.1 * rows, layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False)
    figure.suptitle(title, fontsize=13, x=0.01, ha="left", fontweight="bold")
    columns = ((kept, KEPT_COLOUR, "no window kept"), (refused, REFUSED_COLOUR, "none refused"))
    for column, (strips, colour, nothing) in enumerate(columns):
        for row in range(rows):
            panel = axes[row][column]
            if row < len(strips):
                _draw_strip(panel, strips[row], colour)
            else:
                panel.set_axis_off()
                if row == 0:
                    panel.text(0.5, 0.5, nothing, ha="center", color=_OTHERS_COLOUR)
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=100)


def draw_histogram(path: Path, figures: npt.NDArray[np.float64], threshold: float) -> None:
    """Draw how many windows have which quality figure, and where the threshold is.

    Parameters
    ----------
    path
        PNG file to write.
    figures
        One a window without a bad sign, 0 to 1.
    threshold
        Windows below it are refused.
    """
    figure = new_figure(8, 3.6, layout="constrained")
    axes = figure.subplots()
    edges = np.linspace(0, 1, 51).tolist()
    for part, colour, label in (
        (figures[figures >= threshold], KEPT_COLOUR, "at or above the threshold"),
        (figures[figures < threshold], REFUSED_COLOUR, "below"),
    ):
        axes.hist(part, edges, color=colour, alpha=0.8, label=f"{label}: {len(part):,}")
    axes.axvline(threshold, color="black", linestyle="--", linewidth=1)
    axes.annotate(
        f"threshold {threshold:.2f} ",
        (threshold, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-4, -12),
        textcoords="offset points",
        ha="right",
    )
    axes.set(
        xlim=(0, 1),
        xlabel="quality: mean correlation of a beat with the average beat",
        ylabel="windows",
    )
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _draw_strip(axes: Axes, strip: DrawnStrip, colour: str) -> None:
    shown = min(len(strip.channels), 1 + _REFERENCES)
    time = np.arange(strip.signals.shape[1]) / strip.rate
    for row in range(shown):
        signal = strip.signals[row].astype(np.float64)
        signal = signal - np.median(signal)
        span = float(np.ptp(signal))
        scale = max(span, _LEAST_SPAN)
        middle = (signal.max() + signal.min()) / 2
        axes.plot(
            time,
            -row + 0.9 * (signal - middle) / scale,
            color=colour if row == 0 else _OTHERS_COLOUR,
            linewidth=0.9,
        )
        axes.text(-0.01, -row, strip.channels[row], transform=axes.get_yaxis_transform(),
                  ha="right", va="center", fontsize=9)  # fmt: skip
        axes.text(1.005, -row, f"{span / 1000:.2g} mV", transform=axes.get_yaxis_transform(),
                  ha="left", va="center", fontsize=8, color=_OTHERS_COLOUR)  # fmt: skip
    figure = "" if strip.figure is None else f", quality {strip.figure:.2f}"
    reason = f"refused: {strip.reason}" if strip.reason else "kept"
    axes.set_title(
        f"{strip.source} from {strip.start:g} s: {reason}{figure}",
        fontsize=9, loc="left", color=colour, pad=3,
    )  # fmt: skip
    axes.set(xlim=(0, time[-1]), ylim=(0.55 - shown, 0.55), yticks=[])
    axes.set_xticks(range(0, int(time[-1]) + 2))
    axes.tick_params(labelbottom=False, length=2)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
