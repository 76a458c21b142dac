"""The report's page: one HTML file that needs no network."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from jinja2 import Environment
from matplotlib.figure import Figure

#: Dots an inch of the pictures.
PICTURE_DPI = 110
#: Widths of a window up to which narrow pictures are shown, whose screens have finer dots.
_NARROW = "45rem"
_NARROW_DENSITY = 2

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 74rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; }
p { max-width: 62rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
img { max-width: 100%; height: auto; }
/* An electrocardiogram keeps its millimetres: on a telephone it is scrolled. */
@media (max-width: {{ narrow }}) { .paper img { max-width: none; } }
figure { margin: 1rem 0; } figcaption { color: #555; font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .5rem; border-bottom: 1px solid #ddd; text-align: right; }
th { vertical-align: bottom; } td { white-space: nowrap; }
/* The label stays where the figures are scrolled. */
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 6.5rem;
                                 position: sticky; left: 0; background: #fff; }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; font-size: .8rem; }
.notice { border-left: 4px solid #d94801; padding-left: .8rem; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="notice">For research, not for diagnosis.</p>
{% for line in summary %}<p>{{ line }}</p>
{% endfor %}
{% for section in sections %}
<h2>{{ section.title }}</h2>
{% for line in section.text %}<p>{{ line }}</p>
{% endfor %}
{% if section.table %}<div class="scroll"><table>
<thead><tr>{% for cell in section.table[0] %}<th>{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in section.table[1:] %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>{% endif %}
{% for picture in section.pictures %}<figure>
<div class="scroll{{ ' paper' if picture.paper }}"><picture>
{% if picture.narrow %}<source media="(max-width: {{ narrow }})" \
srcset="data:image/png;base64,{{ picture.narrow | base64 }} {{ density }}x">
{% endif %}<img alt="{{ picture.caption }}" src="data:image/png;base64,{{ picture.png | base64 }}">
</picture></div>
<figcaption>{{ picture.caption }}</figcaption>
</figure>
{% endfor %}
{% if section.code %}<pre>{{ section.code }}</pre>{% endif %}
{% endfor %}
</body>
</html>
"""


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Attributes
    ----------
    name
        Name of its PNG file, without the suffix.
    caption
        What it shows; also the text for those who do not see it.
    png
        The file's content.
    narrow
        The same for a telephone: panels below each other, with letters of the same size.
    paper
        Whether it is an electrocardiogram, whose millimetres are not to be scaled down.
    """

    name: str
    caption: str
    png: bytes
    narrow: bytes = b""
    paper: bool = False

    @classmethod
    def of(
        cls,
        name: str,
        caption: str,
        figure: Figure,
        narrow: Figure | None = None,
        paper: bool = False,
    ) -> Picture:
        """Draw a figure, and its form for a narrow screen if it has one, as PNG."""
        fine = PICTURE_DPI * _NARROW_DENSITY
        return cls(
            name,
            caption,
            _png(figure, PICTURE_DPI),
            b"" if narrow is None else _png(narrow, fine),
            paper,
        )


def _png(figure: Figure, dpi: float) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


@dataclass(frozen=True)
class Section:
    """A section of the page; empty parts are left out. The table's first row is its head."""

    title: str
    text: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    pictures: tuple[Picture, ...] = ()
    code: str = ""


def render(title: str, summary: tuple[str, ...], sections: tuple[Section, ...]) -> str:
    """Return the page. All texts are escaped: labels and paths come from other people's files."""
    environment = Environment(autoescape=True)
    environment.filters["base64"] = _base64
    return environment.from_string(_PAGE).render(
        title=title,
        summary=summary,
        sections=sections,
        narrow=_NARROW,
        density=_NARROW_DENSITY,
    )
