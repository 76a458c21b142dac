"""What every study hands back."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from selfmis_plugin.utils.files import whole_files, write_json

__all__ = ["Answer", "StudyError", "csv_text", "refuse_own_names", "write_answer"]


class StudyError(ValueError):
    """A study was asked for what it cannot answer; the message says what to do."""


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


def refuse_own_names(against: Mapping[str, Path] | None, own: Collection[str]) -> None:
    """Refuse a further checkpoint that is called as a row which the study makes itself: one of the
    two would be lost.

    Raises
    ------
    StudyError
        If there is one.
    """
    for name in against or ():
        if name in own:
            raise StudyError(
                f"--against {name}=...: that is what the benchmark calls a row of its own: give "
                "another name"
            )


def csv_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as comma-separated values; names may hold anything."""
    buffer = io.StringIO()
    pd.DataFrame(list(rows)).to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue()
