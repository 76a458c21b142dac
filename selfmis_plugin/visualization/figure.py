"""Figures that are drawn without a screen, and whose texts stand as they are."""

from __future__ import annotations

from typing import Any

from matplotlib import rc_context
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

__all__ = ["new_figure"]


class _PlainFigure(Figure):
    """A figure without formulas.

    Names of records, leads and labels come out of other people's files, and matplotlib reads what
    stands between two dollars as mathematics: of ``$x^{$`` it makes an error.
    """

    def draw(self, renderer: RendererBase) -> None:
        # Texts that are there, and those that axes make for their ticks while they are drawn.
        for text in self.findobj(Text):
            text.set_parse_math(False)  # type: ignore[attr-defined]
            _make_drawable(text)  # type: ignore[arg-type]
        with rc_context({"text.parse_math": False}):
            super().draw(renderer)


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """Return an empty figure, sizes in inches; *options* are those of matplotlib's."""
    figure = _PlainFigure(figsize=(width, height), **options)
    FigureCanvasAgg(figure)
    return figure


def _make_drawable(text: Text) -> None:
    """Replace what no font can be asked for, as in a file's name that is no text."""
    said = text.get_text()
    drawable = said.encode("utf-8", "replace").decode("utf-8")
    if drawable != said:
        text.set_text(drawable)
