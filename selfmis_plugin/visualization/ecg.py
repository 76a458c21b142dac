"""Electrocardiograms on millimetre paper: 25 mm/s and 10 mm/mV.

Everything is drawn in millimetres: one unit of a figure's axes is one millimetre on paper at the
figure's own size, whatever its resolution.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.visualization.figure import new_figure

MM_PER_SECOND = 25.0
MM_PER_MILLIVOLT = 10.0
SECONDS = 10.0

#: Leads of each row, in the usual printout of 2.5 s a lead, and the rhythm strip below it.
ROWS_3X4: tuple[tuple[str, ...], ...] = (
    ("I", "aVR", "V1", "V4"),
    ("II", "aVL", "V2", "V5"),
    ("III", "aVF", "V3", "V6"),
    ("II",),
)
LAYOUTS: tuple[str, ...] = ("3x4", "12x1")

_MM_PER_INCH = 25.4
_MARGIN = 5.0
_HEADER = 15.0
_FOOTER = 6.0
#: Room left of a row for the calibration pulse.
_PULSE_ROOM = 10.0
_ROW_HEIGHT = {"3x4": 30.0, "12x1": 20.0}
#: A paper grows in such steps to hold its traces, as far as this: 4 mV beyond its outer rows.
_GROWTH_STEP, _MOST_GROWTH = 5.0, 40.0
#: A lead's name: its size in points, its height and the room around it in millimetres.
_NAME_SIZE, _NAME_HEIGHT, _NAME_ROOM = 9, 3.2, 0.5
#: Steps to the right in which a name looks for a place without a trace.
_NAME_STEP = 4.0

_PAPER = "#fffdfb"
_FINE, _COARSE = "#f7d9d5", "#e9aaa3"
_INK = "#1a1a1a"
_ABSENT = "#9a9a9a"
_OVER = "#1769aa"
#: Texts stay readable over a trace, and texts in an SVG: an outline would not.
_BEHIND = {"facecolor": _PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 0.6}


@dataclass(frozen=True)
class Panel:
    """One electrocardiogram of a figure.

    Attributes
    ----------
    signal
        Microvolts, (leads, samples); samples that are NaN leave a gap.
    rate
        Samples a second.
    leads
        Names of the leads.
    absent
        Leads to mark as absent instead of drawing what stands for them.
    title, subtitle
        First and second line above the paper.
    over
        Another signal of the same shape, drawn over the first in colour; None: there is none.
    """

    signal: npt.NDArray[np.floating | np.integer]
    rate: float
    leads: tuple[str, ...] = STANDARD_LEADS
    absent: frozenset[str] = frozenset()
    title: str = ""
    subtitle: str = ""
    over: npt.NDArray[np.floating | np.integer] | None = None


def draw_ecg(
    signal: npt.NDArray[np.floating | np.integer],
    rate: float,
    leads: Sequence[str] = STANDARD_LEADS,
    *,
    absent: Collection[str] = (),
    title: str = "",
    subtitle: str = "",
    layout: str = "3x4",
    dpi: float = 150,
) -> Figure:
    """Draw one electrocardiogram, at most ten seconds of it.

    Parameters
    ----------
    signal
        Microvolts, (leads, samples).
    rate
        Samples a second.
    leads
        Names of the leads.
    absent
        Leads to mark as absent; standard leads that are not among *leads* are marked too.
    title, subtitle
        Lines above the paper.
    layout
        "3x4": 2.5 s of each lead and a rhythm strip of lead II; "12x1": all leads, one a row.
    dpi
        Dots an inch when the figure is saved.

    Returns
    -------
    matplotlib.figure.Figure
        One axes whose unit is the millimetre; a trace's label is its lead's name.

    Raises
    ------
    ValueError
        If the signal is not (leads, samples) or the layout is unknown.
    """
    panel = Panel(np.asarray(signal), rate, tuple(leads), frozenset(absent), title, subtitle)
    return draw_panels([panel], layout=layout, dpi=dpi)


def draw_panels(panels: Sequence[Panel], *, layout: str = "3x4", dpi: float = 150) -> Figure:
    """Draw several electrocardiograms, one below the other.

    Parameters
    ----------
    panels
        What to draw, from above.
    layout, dpi
        See :func:`draw_ecg`.

    Raises
    ------
    ValueError
        If a signal is not (leads, samples) or the layout is unknown.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r} is not one of {', '.join(LAYOUTS)}")
    for panel in panels:
        if panel.over is not None and panel.over.shape != panel.signal.shape:
            raise ValueError(
                f"signals of {panel.signal.shape} and {panel.over.shape} cannot be drawn over each "
                "other: they have not one shape"
            )
        if panel.signal.ndim != 2 or len(panel.signal) != len(panel.leads):
            raise ValueError(
                f"a signal of shape {panel.signal.shape} is not (leads, samples) of "
                f"{len(panel.leads)} leads"
            )
    rows = [_rows(panel, layout) for panel in panels]
    row_height = _ROW_HEIGHT[layout]
    papers = [
        _Paper.of(panel, of_panel, row_height) for panel, of_panel in zip(panels, rows, strict=True)
    ]
    width = 2 * _MARGIN + _PULSE_ROOM + SECONDS * MM_PER_SECOND
    height = sum(_HEADER + paper.height + _FOOTER for paper in papers) + _MARGIN
    figure = new_figure(width / _MM_PER_INCH, height / _MM_PER_INCH, dpi=dpi)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    top = height
    for panel, of_panel, paper in zip(panels, rows, papers, strict=True):
        bottom = top - _HEADER - paper.height
        _draw_grid(axes, _MARGIN, width - _MARGIN, bottom, bottom + paper.height)
        _write_texts(axes, panel, top, bottom, paper.cut)
        before = len(axes.lines)
        middles = [bottom + paper.height - below for below in paper.middles]
        for names, middle in zip(of_panel, middles, strict=True):
            _draw_row(axes, panel, names, middle)
        edge = Rectangle(
            (_MARGIN, bottom), width - 2 * _MARGIN, paper.height, transform=axes.transData
        )
        for line in axes.lines[before:]:
            line.set_clip_path(edge)
        lines = [np.asarray(line.get_xydata(), float) for line in axes.lines[before:]]
        for names, middle in zip(of_panel, middles, strict=True):
            _write_names(axes, panel, names, middle, 0.5 * row_height, lines)
        top = bottom - _FOOTER
    return figure


@dataclass(frozen=True)
class _Paper:
    """The paper of a panel, large enough for what its outer rows hold.

    Attributes
    ----------
    height
        Millimetres.
    middles
        How far below its upper edge the line of each row's medians is, in millimetres.
    cut
        Whether a trace goes further than a paper grows.
    """

    height: float
    middles: tuple[float, ...]
    cut: bool

    @classmethod
    def of(cls, panel: Panel, rows: Sequence[Sequence[str]], row_height: float) -> _Paper:
        height = len(rows) * row_height
        over = under = 0.0
        for number, names in enumerate(rows):
            middle = (number + 0.5) * row_height
            for _, _, trace in _traces(panel, names):
                known = trace[1][np.isfinite(trace[1])]
                if len(known):
                    over = max(over, known.max() - middle)
                    under = max(under, middle - known.min() - height)
        above, below = (_growth(beyond) for beyond in (over, under))
        middles = tuple(above + (number + 0.5) * row_height for number in range(len(rows)))
        return cls(above + height + below, middles, max(over, under) > _MOST_GROWTH)


def _growth(beyond: float) -> float:
    """Return by how many millimetres a paper grows for a trace that goes so far beyond it."""
    return min(float(np.ceil(beyond / _GROWTH_STEP)) * _GROWTH_STEP, _MOST_GROWTH)


def _rows(panel: Panel, layout: str) -> Sequence[tuple[str, ...]]:
    if layout == "3x4":
        return ROWS_3X4
    standard = set(panel.leads) <= set(STANDARD_LEADS)
    return [(lead,) for lead in (STANDARD_LEADS if standard else panel.leads)]


def _draw_grid(axes: Axes, left: float, right: float, bottom: float, top: float) -> None:
    """Draw lines a millimetre apart, every fifth one stronger."""
    for step, colour, linewidth in ((1, _FINE, 0.35), (5, _COARSE, 0.6)):
        upright = [[(x, bottom), (x, top)] for x in np.arange(left, right + 0.5, step)]
        level = [[(left, y), (right, y)] for y in np.arange(bottom, top + 0.5, step)]
        lines = LineCollection(upright + level, colors=colour, linewidths=linewidth, zorder=step)
        lines.set_gid(f"grid {step} mm")
        axes.add_collection(lines, autolim=False)


def _write_texts(axes: Axes, panel: Panel, top: float, bottom: float, cut: bool) -> None:
    style: dict[str, Any] = {"va": "top", "color": _INK, "bbox": _BEHIND, "zorder": 10}
    axes.text(_MARGIN, top - 3.0, panel.title, fontsize=11, weight="bold", **style)
    axes.text(_MARGIN, top - 9.0, panel.subtitle, fontsize=8.5, **style)
    seconds = panel.signal.shape[-1] / panel.rate
    notes = [f"{MM_PER_SECOND:g} mm/s", f"{MM_PER_MILLIVOLT:g} mm/mV", f"{panel.rate:g} Hz"]
    notes.append("each lead about its median")
    if seconds > SECONDS:
        notes.append(f"the first {SECONDS:g} s of {seconds:g} s")
    if cut:
        notes.append("cut at the paper's edge")
    axes.text(_MARGIN, bottom - 1.5, "   ".join(notes), fontsize=7, **style)


def _write_names(
    axes: Axes,
    panel: Panel,
    names: Sequence[str],
    middle: float,
    half: float,
    lines: Sequence[npt.NDArray[np.float64]],
) -> None:
    """Write the leads' names above their traces, or wherever else in the row no line is."""
    length = SECONDS / len(names) * MM_PER_SECOND
    for column, lead in enumerate(names):
        left = _MARGIN + _PULSE_ROOM + column * length + 1.0
        width = _width(lead)
        steps = np.arange(left, left + length - width - 1.0, _NAME_STEP)
        above, below = middle + half - 4.5, middle - half + 4.5 - _NAME_HEIGHT
        places = [(x, above) for x in steps] or [(left, above)]
        if not column:
            # Below the calibration pulse, before all traces.
            before = _MARGIN + _PULSE_ROOM - width - 2 * _NAME_ROOM
            places.append((before, middle - _NAME_HEIGHT - 1.0))
        # Below, where a name may be taken for that of the next row, only if there is none else.
        places += [(x, below) for x in steps]
        x, y = _least_crossed(places, lines, width)
        axes.text(
            x,
            y,
            lead,
            fontsize=_NAME_SIZE,
            weight="bold",
            color=_ABSENT if _is_absent(panel, lead) else _INK,
            bbox=_BEHIND,
            zorder=10,
        )


@functools.cache
def _width(name: str) -> float:
    """How wide a lead's name is, in millimetres."""
    written = TextPath((0, 0), name, size=_NAME_SIZE, prop=FontProperties(weight="bold"))
    return float(written.get_extents().x1) * _MM_PER_INCH / 72


def _least_crossed(
    places: Sequence[tuple[float, float]], lines: Sequence[npt.NDArray[np.float64]], width: float
) -> tuple[float, float]:
    """The first place of a name that no line crosses, or else of those that fewest pieces do."""
    crossed = []
    for x, y in places:
        crossed.append(sum(_crosses(line, x, y, width) for line in lines))
        if not crossed[-1]:
            break
    return places[int(np.argmin(crossed))]


def _crosses(line: npt.NDArray[np.float64], x: float, y: float, width: float) -> int:
    """How many pieces of a line cross the box of a name whose left lower corner is (x, y)."""
    low = np.minimum(line[:-1], line[1:])
    high = np.maximum(line[:-1], line[1:])
    inside = (high[:, 0] >= x - _NAME_ROOM) & (low[:, 0] <= x + width + _NAME_ROOM)
    inside &= (high[:, 1] >= y - _NAME_ROOM) & (low[:, 1] <= y + _NAME_HEIGHT + _NAME_ROOM)
    return int(inside.sum())


def _is_absent(panel: Panel, lead: str) -> bool:
    return lead in panel.absent or lead not in panel.leads


def _draw_row(axes: Axes, panel: Panel, names: Sequence[str], middle: float) -> None:
    x = _MARGIN + 2.0
    # One millivolt high, 0.2 s wide.
    pulse = ([0, 1, 1, 6, 6, 7], [0, 0, MM_PER_MILLIVOLT, MM_PER_MILLIVOLT, 0, 0])
    axes.plot(
        x + np.array(pulse[0]),
        middle + np.array(pulse[1]),
        color=_INK,
        linewidth=0.8,
        label="calibration",
        zorder=8,
    )
    start = _MARGIN + _PULSE_ROOM
    seconds = SECONDS / len(names)
    for column, lead in enumerate(names):
        begin = column * seconds
        left = start + begin * MM_PER_SECOND
        if column:
            axes.plot([left, left], [middle - 4, middle + 4], color=_INK, linewidth=0.8, zorder=7)
        if _is_absent(panel, lead):
            axes.text(
                left + seconds * MM_PER_SECOND / 2,
                middle,
                f"{lead} absent",
                fontsize=9,
                style="italic",
                color=_ABSENT,
                ha="center",
                va="center",
                bbox={"facecolor": _PAPER, "edgecolor": _ABSENT, "linewidth": 0.6},
                zorder=9,
            )
    for label, colour, (across, up) in _traces(panel, names):
        axes.plot(
            start + across,
            middle + up,
            color=colour,
            linewidth=0.8,
            label=label,
            solid_joinstyle="round",
            zorder=8,
        )


def _traces(
    panel: Panel, names: Sequence[str]
) -> Iterator[tuple[str, str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]]:
    """Yield label, colour and place of a row's traces: millimetres from the row's beginning, and
    from the line of the lead's median."""
    seconds = SECONDS / len(names)
    for column, lead in enumerate(names):
        if _is_absent(panel, lead):
            continue
        row = panel.leads.index(lead)
        drawn = [(lead, _INK, panel.signal[row])]
        if panel.over is not None:
            drawn.append((f"{lead}, over", _OVER, panel.over[row]))
        for label, colour, signal in drawn:
            values = signal.astype(np.float64)
            # Up to and with the sample at the end, so that strips meet.
            first = round(column * seconds * panel.rate)
            part = values[first : round((column + 1) * seconds * panel.rate) + 1]
            known = values[np.isfinite(values)]
            if len(part) and len(known):
                across = (first + np.arange(len(part))) / panel.rate * MM_PER_SECOND
                up = (part - np.median(known)) / 1000 * MM_PER_MILLIVOLT
                yield label, colour, (across, up)
