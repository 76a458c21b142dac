"""What every study hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from selfmis_plugin.utils.files import whole_file, write_json

__all__ = ["Answer", "write_answer"]


@dataclass(frozen=True)
class Answer:
    """Figures of a study, as a table and as pictures.

    Attributes
    ----------
    name
        Stem of the files.
    figures
        JSON-ready.
    text
        The table, Markdown.
    csv
        The table as comma-separated values.
    pictures
        Functions that draw, by the stem of the file.
    """

    name: str
    figures: Mapping[str, Any]
    text: str
    csv: str
    pictures: Mapping[str, Callable[[], Figure]] = field(default_factory=dict)


def write_answer(answer: Answer, dest: Path) -> list[Path]:
    """Write ``NAME.md``, ``NAME.csv``, pictures and, last, ``NAME.json``; return their paths."""
    paths = []
    for suffix, content in ((".md", answer.text), (".csv", answer.csv)):
        paths.append(dest / f"{answer.name}{suffix}")
        with whole_file(paths[-1]) as temporary:
            temporary.write_text(content, encoding="utf-8", newline="\n")
    for stem, draw in answer.pictures.items():
        paths.append(dest / f"{stem}.png")
        with whole_file(paths[-1]) as temporary:
            draw().savefig(temporary)
    # Last: where it is, so is everything.
    paths.append(dest / f"{answer.name}.json")
    write_json(paths[-1], dict(answer.figures))
    return paths
