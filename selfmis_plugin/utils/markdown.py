"""Markdown: tables, and names that may hold anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["code", "table", "text"]

#: What Markdown, or a dialect of it, takes for more than itself.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!$&@^=])|(?<=:)(/)|(?<=\bwww)(\.)")
#: Breaks of lines, signs that are not seen, and those that turn the direction of what follows.
_UNSEEN = re.compile("[\\s\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_BAR = re.compile(r"(?<!\\)\|")


def text(name: object) -> str:
    """Return a name from elsewhere as text that reads as the name, and does nothing else."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", _one_line(name))


def code(name: object) -> str:
    """Return a name from elsewhere as code within a line."""
    said = _one_line(name)
    fence = "`" * (1 + max(map(len, re.findall("`+", said)), default=0))
    room = " " if said.startswith("`") or said.endswith("`") or not said.strip() else ""
    return f"{fence}{room}{said}{room}{fence}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, without a line's end after it; a bar in a cell stays in its cell."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(content: str) -> str:
    return _BAR.sub(r"\\|", " ".join(content.splitlines()))


def _one_line(name: object) -> str:
    return _UNSEEN.sub(" ", str(name).encode("utf-8", "replace").decode("utf-8"))
