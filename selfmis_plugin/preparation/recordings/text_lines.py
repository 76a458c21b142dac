"""Text files as characters: their encoding, their line ends, and lines of a bounded length."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from selfmis_plugin.data.recording import RecordError

#: Characters of the longest line; the table of a thousand channels has shorter ones.
LONGEST_LINE = 32_768
#: Lines, and characters, among which the first values must be.
HEAD_LINES = 500
HEAD_CHARACTERS = 8 * LONGEST_LINE

#: Characters that are read at once.
_BLOCK = 1 << 20
#: Bytes by which the encoding is known.
_SAMPLE = 65_536

# What phones write in numbers of some languages: a minus sign of its own, marks of the direction of
# writing, Arabic and Persian digits, their decimal mark and their mark of thousands.
_PLAIN = str.maketrans(
    "\u2212\u066b" + "".join(chr(zero + k) for zero in (0x660, 0x6F0) for k in range(10)),
    "-." + 2 * "0123456789",
    "\u200e\u200f\u061c\u066c\ufeff",
)
_SPACED_THOUSANDS = re.compile("(?<=[0-9])[\u00a0\u202f](?=[0-9]{3})")

# UTF-32's mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_head(path: Path) -> list[str]:
    """Return the first lines of a text file, without their ends.

    Raises
    ------
    RecordError
        If a line is too long.
    OSError
        If the file cannot be read.
    """
    lines: list[str] = []
    characters = 0
    with _open(path) as file:
        while len(lines) < HEAD_LINES and characters < HEAD_CHARACTERS:
            line = file.readline(LONGEST_LINE + 1)
            if not line:
                break
            if len(line) > LONGEST_LINE:
                raise _too_long(path)
            characters += len(line)
            lines.append(_plain(line.rstrip("\n")))
    return lines


def line_blocks(path: Path, skipped: int) -> Iterator[str]:
    """Yield a text file's lines after the first *skipped*, about a million characters at a time.

    All line ends are ``\\n``.

    Raises
    ------
    RecordError
        If a line is too long.
    OSError
        If the file cannot be read.
    """
    with _open(path) as file:
        for _ in range(skipped):
            file.readline(LONGEST_LINE + 1)
        rest = ""
        while read := file.read(_BLOCK):
            text = rest + read
            end = text.rfind("\n") + 1
            _check_lines(path, text)
            if end:
                yield _plain(text[:end])
            rest = text[end:]
        if rest:
            yield _plain(rest)


def _plain(text: str) -> str:
    """The same text with numbers as computers write them."""
    if text.isascii():
        return text
    return _SPACED_THOUSANDS.sub("", text.translate(_PLAIN))


def _open(path: Path) -> TextIO:
    return open(path, encoding=_encoding(path), errors="replace")


def _encoding(path: Path) -> str:
    with open(path, "rb") as file:
        sample = file.read(_SAMPLE)
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    # Plain letters in UTF-16 are every other byte zero.
    pairs = len(sample) // 2
    if pairs and sample.count(0) >= 0.4 * len(sample):
        little = sample[1::2].count(0) >= sample[::2].count(0)
        return "utf-16-le" if little else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return "cp1252"  # Latin-1 and what Windows adds to it
    return "utf-8"


def _check_lines(path: Path, text: str) -> None:
    begin = 0
    while len(text) - begin > LONGEST_LINE:
        end = text.rfind("\n", begin, begin + LONGEST_LINE + 1)
        if end < 0:
            raise _too_long(path)
        begin = end + 1


def _too_long(path: Path) -> RecordError:
    return RecordError(
        "line too long",
        f"{path.name}: has a line of more than {LONGEST_LINE:,} characters: this is no table of an "
        "ECG, which has a line for each sample",
    )
