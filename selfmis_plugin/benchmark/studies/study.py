"""What every study hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from selfmis_plugin.utils.files import whole_files, write_json

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
    texts = {f"{answer.name}.md": answer.text, f"{answer.name}.csv": answer.csv}
    pictures = {f"{stem}.png": draw for stem, draw in answer.pictures.items()}
    # JSON is the last: where it is, so is everything.
    names = (*texts, *pictures, f"{answer.name}.json")
    with whole_files(*(dest / name for name in names)) as temporary:
        place = dict(zip(names, temporary, strict=True))
        for name, content in texts.items():
            place[name].write_text(content, encoding="utf-8", newline="\n")
        for name, draw in pictures.items():
            draw().savefig(place[name])
        write_json(place[names[-1]], dict(answer.figures))
    return [dest / name for name in names]
