"""A strip on millimetre paper, with what a classifier says of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from selfmis_plugin.data.labels import ANY_INFARCTION, INFARCTION_NAMES, INFARCTION_TYPES
from selfmis_plugin.predict.model import DISCLAIMER, Prediction
from selfmis_plugin.visualization.ecg import Panel, draw_panels

#: Windows that are drawn: a page of two minutes.
MOST_WINDOWS = 12

_LABELS = 6
#: Labels above their thresholds that are called in words.
_NAMED = 2
#: What a probability above its label's threshold is followed by.
_ABOVE = "\N{BLACK UP-POINTING TRIANGLE}"


def draw_prediction(
    prediction: Prediction,
    leads: tuple[str, ...],
    rate: float,
    remark: str = "",
    first: int = 0,
    most: int = MOST_WINDOWS,
) -> Figure:
    """Draw the windows of a recording as the encoder was shown them, one below the other.

    Parameters
    ----------
    prediction
        What to draw.
    leads
        The classifier's leads.
    rate
        Samples a second of its input.
    remark
        What else to say below the first window's title, such as what the model was trained on.
    first, most
        The window to begin with, and how many to draw.

    Returns
    -------
    matplotlib.figure.Figure
        25 mm/s and 10 mm/mV at its own size. A window's infarction types stand above it, those
        above their thresholds first, marked, and in words.
    """
    windows = prediction.strip.windows
    shown = windows[first : first + most]
    limits = {
        label: result.threshold
        for label, result in prediction.results.items()
        if result.threshold is not None
    }
    panels = []
    for number, (window, values) in enumerate(
        zip(shown, prediction.probabilities[first:], strict=False), start=first + 1
    ):
        # Pictures are handed on: the file's name may be a person's.
        title = f"from {window.start:g} s, window {number} of {len(windows)}"
        if window.problem:
            text = f"not scored: {window.problem}"
        else:
            said = dict(zip(prediction.labels, values.tolist(), strict=True))
            come_first = (ANY_INFARCTION, *INFARCTION_TYPES)
            named = [label for label in said if label in come_first] or list(said)
            above = {label for label in named if said[label] > limits.get(label, math.inf)}
            largest = sorted(named, key=lambda label: (label in above, said[label]), reverse=True)
            text = "   ".join(
                f"{label} {said[label]:.3f}{f' {_ABOVE}' if label in above else ''}"
                for label in largest[:_LABELS]
            )
            if above:
                # What any infarction adds to its types is nothing to name.
                types = [one for one in largest if one in above - {ANY_INFARCTION}]
                title += f"   ({_ABOVE} {_in_words(types or [ANY_INFARCTION])})"
        panels.append(
            Panel(
                signal=window.signal[:, : round(window.seconds * rate)],
                rate=rate,
                # A standard lead's name would bring rows for the eleven others.
                leads=tuple(f"lead {lead}" for lead in leads),
                title=title,
                subtitle="   ".join([text, DISCLAIMER, *([remark] if number == 1 else [])]).strip(),
            )
        )
    return draw_panels(panels, layout="12x1")


def _in_words(above: Sequence[str]) -> str:
    """Say which labels are above their thresholds; a line has no room for more than the first."""
    kind = INFARCTION_NAMES.keys() >= set(above)
    if len(above) == 1:
        return f"above threshold: {INFARCTION_NAMES.get(above[0], above[0])}"
    said = [INFARCTION_NAMES.get(label, label) for label in above[:_NAMED]]
    if kind:
        said = [name.removesuffix(" infarction") for name in said]
    more = f" and {len(above) - _NAMED} more" if len(above) > _NAMED else ""
    return f"{'infarctions ' if kind else ''}above threshold: {', '.join(said)}{more}"
