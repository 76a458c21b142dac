"""What every picture of a benchmark has: chance, the upper bound, and whose records it is about."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from selfmis_plugin.benchmark.row_colors import color_of
from selfmis_plugin.data.labels import in_words, infarctions_first
from selfmis_plugin.data.origin import SYNTHETIC

__all__ = ["BOUND", "CHANCE", "DPI", "draw_bound", "draw_chance", "positives_in_words", "whose"]

#: The upper bound: the row whose classifier sees the whole record.
BOUND = "twelve_lead"
#: AUC in percent of a classifier that knows nothing.
CHANCE = 50.0
_HARD_SPACE = "\N{NO-BREAK SPACE}"
#: Dots an inch of a picture.
DPI = 130


def draw_chance(axes: Axes, upright: bool = False) -> Line2D:
    """Draw chance as a line with a label, across the axis of the AUC in percent.

    *upright* is for pictures whose AUC goes to the right.
    """
    line = axes.axvline if upright else axes.axhline
    return line(CHANCE, color="0.45", linestyle=":", label="chance")


def draw_bound(axes: Axes, values: Iterable[float | None], upright: bool = False) -> Line2D | None:
    """Draw the best of the bound's figures, in percent, as a line with a label; nothing if none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    line = axes.axvline if upright else axes.axhline
    return line(
        max(known), color=color_of(BOUND), linestyle="--", label="12 leads, the upper bound"
    )


def whose(report: Mapping[str, Any]) -> str:
    """Return the name of the database that a benchmark was judged on, and if it is synthetic."""
    labelled = report["data"]["labelled"]
    kinds = {origin["kind"] for origin in labelled.get("origins", ())}
    if SYNTHETIC not in kinds:
        return str(labelled["database"])
    return f"{labelled['database']} ({'' if kinds == {SYNTHETIC} else 'partly '}synthetic)"


def positives_in_words(
    positives: Mapping[str, int], labels: Iterable[str], width: int
) -> list[str]:
    """Return lines of labels in words with the number of their positive records.

    Infarction types come first, and a line of *width* letters ends between two labels.

    >>> positives_in_words({"IMI": 111, "AMI": 22}, ("IMI", "AMI"), 30)
    ['AMI anterior infarction 22,', 'IMI inferior infarction 111']
    """
    said = [f"{in_words(name)} {positives.get(name, 0)}" for name in infarctions_first(labels)]
    whole = ", ".join(text.replace(" ", _HARD_SPACE) for text in said)
    return [line.replace(_HARD_SPACE, " ") for line in textwrap.wrap(whole, width)]
