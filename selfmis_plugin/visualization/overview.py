"""A store on one page: labels, splits, leads, rates, repairs and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import shorten

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from selfmis_plugin.data.overview import Overview
from selfmis_plugin.data.store import SPLITS
from selfmis_plugin.visualization.figure import new_figure

_COLOURS = {"train": "#4878a8", "valid": "#e5a54b", "test": "#c0504d"}
_ONE = "#6b7f94"
_LONGEST = 42
_FEWEST = 6


def draw_overview(overview: Overview, most_labels: int = 30, dpi: float = 130) -> Figure:
    """Draw what is in a store.

    Parameters
    ----------
    overview
        The counts.
    most_labels
        How many labels to show, the commonest first.
    dpi
        Dots an inch when the figure is saved.

    Returns
    -------
    matplotlib.figure.Figure
        The page; its axes are titled labels, splits, leads, recorded at, repairs and refused.
    """
    figure = new_figure(14, 8.5, dpi=dpi, layout="constrained")
    info, total = overview.info, overview.total
    figure.suptitle(
        f"{info.database}: {overview.total:,} records of {info.seconds:g} s at "
        f"{info.sample_rate:g} Hz, filter {info.filter}",
        fontsize=14,
        weight="bold",
    )
    grid = figure.add_gridspec(3, 3, width_ratios=(1.25, 1, 1))
    _labels(figure.add_subplot(grid[:, 0]), overview, most_labels)
    _splits(figure.add_subplot(grid[0, 1]), overview)
    _bars(figure.add_subplot(grid[0, 2]), "leads", overview.leads, total, top=total)
    rates = {f"{rate:g} Hz": count for rate, count in sorted(overview.rates.items())}
    _bars(figure.add_subplot(grid[1, 1]), "recorded at", rates, total)
    _bars(figure.add_subplot(grid[1, 2]), "repairs", overview.repairs, total)
    read = info.records + overview.refused.total()
    _bars(figure.add_subplot(grid[2, 1:]), "refused", overview.refused, read, longest=90)
    return figure


def _labels(axes: Axes, overview: Overview, most: int) -> None:
    shown = dict(list(overview.labels.items())[:most])
    more = len(overview.labels) - len(shown)
    axes.set_title(f"labels ({more} more)" if more else "labels")
    _plain(axes)
    if not shown:
        _say(axes, "no labels")
        return
    positions = np.arange(len(shown))
    left = np.zeros(len(shown))
    for split in SPLITS:
        widths = np.array([counts[split] for counts in shown.values()], dtype=float)
        axes.barh(positions, widths, left=left, color=_COLOURS[split], label=split)
        left += widths
    _name(axes, list(shown), left)
    axes.legend(loc="lower right", frameon=False)


def _splits(axes: Axes, overview: Overview) -> None:
    axes.set_title("splits")
    _plain(axes)
    positions = np.arange(len(SPLITS))
    records = np.array([overview.records[split] for split in SPLITS], dtype=float)
    axes.barh(positions, records, color=[_COLOURS[split] for split in SPLITS])
    names = [f"{split}\npatients: {overview.patients[split]:,}" for split in SPLITS]
    _name(axes, names, records)
    if overview.shared_patients:
        axes.set_xlabel(f"{overview.shared_patients:,} patients in more than one split")


def _bars(
    axes: Axes,
    title: str,
    counts: Mapping[str, int],
    total: int,
    top: int | None = None,
    longest: int = _LONGEST,
    most: int = 12,
) -> None:
    more = len(counts) - most
    axes.set_title(f"{title} ({more} more)" if more > 0 else title)
    _plain(axes)
    shown = counts.items() if more <= 0 else sorted(counts.items(), key=lambda x: -x[1])[:most]
    if not shown:
        _say(axes, "none")
        return
    names = [shorten(name, longest, placeholder="...") for name, _ in shown]
    values = np.array([count for _, count in shown], dtype=float)
    axes.barh(np.arange(len(values)), values, color=_ONE)
    _name(axes, names, values, total)
    if top:
        axes.set_xlim(0, top * 1.25)


def _name(axes: Axes, names: list[str], values: np.ndarray, total: int | None = None) -> None:
    """Write names left of horizontal bars and counts right of them, the first bar on top."""
    axes.set_yticks(np.arange(len(names)), names, fontsize=8)
    # A few bars stay as thin as many.
    axes.set_ylim(max(len(names), _FEWEST) - 0.4, -0.6)
    axes.set_xlim(0, max(1.0, float(values.max()) * 1.25))
    for position, value in enumerate(values):
        share = f"  {100 * value / total:.1f} %" if total else ""
        axes.annotate(
            f"{int(value):,}{share}",
            (value, position),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )


def _plain(axes: Axes) -> None:
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)


def _say(axes: Axes, text: str) -> None:
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color="#777777")
