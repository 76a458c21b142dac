"""What a model says of recordings, as a PDF file."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from selfmis_plugin.data.provenance import headline, provenance_lines
from selfmis_plugin.predict.picture import MOST_WINDOWS, draw_prediction
from selfmis_plugin.predict.prediction import DISCLAIMER, Prediction
from selfmis_plugin.predict.strip_model import StripModel
from selfmis_plugin.predict.words import model_lines, recording_lines
from selfmis_plugin.visualization.figure import new_figure

__all__ = ["document"]

#: A4 across, in inches, and what fits on it.
_WIDTH, _HEIGHT = 297 / 25.4, 210 / 25.4
_LINES, _COLUMNS = 42, 120
_ROWS = 4


def document(
    model: StripModel, name: str, predictions: Sequence[Prediction], problems: Sequence[str]
) -> bytes:
    """Return a PDF file: of each recording what is said of it, and its windows at their size.

    Recordings are numbered: a document is handed on, and a file's name may be a person's.

    Parameters
    ----------
    model
        Who says it.
    name
        What it is called.
    predictions
        What it says, in the order of the files.
    problems
        Why other files could not be read; they are counted.
    """
    last = [f"Files that could not be read: {len(problems)}."] if problems else []
    about = [f"Model: {name}", "Trained on:", *provenance_lines(model.provenance)]
    target = io.BytesIO()
    with PdfPages(target, metadata={"Title": f"SelfMIS. {DISCLAIMER}"}) as pdf:
        for number, prediction in enumerate(predictions, start=1):
            strip = replace(prediction.strip, name=f"Recording {number} of {len(predictions)}")
            lines = recording_lines(replace(prediction, strip=strip))
            for page in _text_pages([*lines, "", *model_lines(model), "", *about, *last]):
                pdf.savefig(page)
            drawn = min(len(strip.windows), MOST_WINDOWS)
            rows = max(1, _ROWS // len(model.preprocessing.leads))
            for first in range(0, drawn, rows):
                figure = draw_prediction(
                    prediction,
                    model.preprocessing.leads,
                    model.input_rate,
                    headline(model.provenance, short=True),
                    first,
                    min(rows, drawn - first),
                )
                pdf.savefig(figure)
        if not predictions:
            for page in _text_pages(["No recording could be read.", "", DISCLAIMER]):
                pdf.savefig(page)
    return target.getvalue()


def _text_pages(lines: Sequence[str]) -> Iterator[Figure]:
    wrapped = [
        part
        for line in lines
        for part in textwrap.wrap(line, _COLUMNS, subsequent_indent="    ", drop_whitespace=False)
        or [""]
    ]
    for first in range(0, len(wrapped), _LINES):
        figure = new_figure(_WIDTH, _HEIGHT)
        text = "\n".join(wrapped[first : first + _LINES])
        figure.text(0.05, 0.94, text, family="monospace", fontsize=9, va="top", linespacing=1.3)
        yield figure
