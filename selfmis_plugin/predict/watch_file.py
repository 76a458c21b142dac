"""Text files of one channel: lines that say what it is, then one value a line.

Apple's Health app writes an ECG of the watch so: ``Name``, ``Date of Birth``, ``Recorded Date``,
``Classification``, ``Symptoms``, ``Software Version``, ``Device``, ``Sample Rate,512 hertz``,
``Lead,Lead I`` and ``Unit,µV``, then 30 s of values. The names of the lines, and the mark within
numbers, are those of the phone's language; what is read here are the values beside the names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from selfmis_plugin.data.leads import standard_lead
from selfmis_plugin.data.preprocessing import MICROVOLTS
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.long_recording import (
    Block,
    LongRecording,
    ReadingOptions,
    microvolts_per_unit,
    plain_unit,
)

_HEAD_LINES = 100
_DATA_ROWS = 3
_POINT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?(\d+,?\d*|,\d+)(e[+-]?\d+)?", re.IGNORECASE)
_RATE = re.compile(r"(\d+(?:[.,]\d+)?)\s*(?:hertz|hz)\b", re.IGNORECASE)
_BRACKETED = re.compile(r"(?P<name>.*?)\s*[(\[](?P<unit>[^)\]]*)[)\]]")


def has_one_column(path: Path) -> bool:
    """Whether the first values of a text file stand alone on their lines."""
    lines = _head(path)
    # With a decimal comma alone, "12,5" might also be two columns of whole numbers.
    numbers = (_POINT, _COMMA) if any(_rate_of(line) for line in lines) else (_POINT,)
    return _first_value(lines, numbers) is not None


class WatchRecording(LongRecording):
    """A text file of one channel, such as an ECG of an Apple Watch.

    Parameters
    ----------
    path
        The file.
    options
        What the user says about it; its rate and unit go before the file's.

    Raises
    ------
    RecordError
        If it has no values, or its rate is unknown.
    """

    def __init__(self, path: Path, options: ReadingOptions) -> None:
        lines = _head(path)
        first = _first_value(lines, (_POINT, _COMMA))
        if first is None:
            raise RecordError("no values", f"{path.name}: has no column of numbers")
        self._first = first
        self._options = options
        rate, name, self._unit = _described(lines[:first])
        rate = options.rate or rate
        if rate is None:
            raise RecordError(
                "unknown rate",
                f"{path.name}: says no rate (such as 512 hertz) above its values; give it with "
                "--rate",
            )
        super().__init__(path, {name: rate})

    def blocks(self, names: Sequence[str], seconds: float) -> Iterator[Block]:
        factor = microvolts_per_unit(self.path, names[0], self._unit, self._options)
        rate = self.rates[names[0]]
        size = max(1, round(seconds * rate))
        done = 0
        with open(self.path, encoding="utf-8-sig", errors="replace") as file:
            rest = islice(file, self._first, None)
            while lines := list(islice(rest, size)):
                texts = [text for line in lines if (text := _bare(line))]
                values = np.array([self._value(text, done + k) for k, text in enumerate(texts)])
                if len(values):
                    signals = tuple(values * factor for _ in names)
                    yield Block(done / rate, signals, continues=done > 0)
                    done += len(values)

    def _value(self, text: str, row: int) -> float:
        if _POINT.fullmatch(text):
            return float(text)
        if _COMMA.fullmatch(text):
            return float(text.replace(",", "."))
        if text.casefold() in ("nan", "null", "-"):
            return np.nan
        raise RecordError(
            "bad table", f"{self.path.name}: value {row + 1} is {text[:40]!r}, which is no number"
        )


def _head(path: Path) -> list[str]:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return [line.strip() for line in islice(file, _HEAD_LINES)]


def _bare(line: str) -> str:
    """A line's value, without quotes and the separators that spreadsheets leave behind it."""
    return line.strip().rstrip(",;\t").strip().strip('"').strip()


def _first_value(lines: Sequence[str], numbers: Sequence[re.Pattern[str]]) -> int | None:
    for first in range(len(lines) - _DATA_ROWS + 1):
        group = [_bare(line) for line in lines[first : first + _DATA_ROWS]]
        if any(all(number.fullmatch(text) for text in group) for number in numbers):
            return first
    return None


def _rate_of(line: str) -> float | None:
    found = _RATE.search(line)
    return float(found[1].replace(",", ".")) if found else None


def _described(lines: Sequence[str]) -> tuple[float | None, str, str]:
    """Rate, name and unit, from the lines above the values."""
    rate: float | None = None
    name, unit = "", ""
    for line in lines:
        if rate is None and (rate := _rate_of(line)) is not None:
            continue
        fields = [field for field in map(_bare, re.split(r"[,;\t]", line)) if field]
        if not fields:
            continue
        value = fields[-1]
        bracketed = _BRACKETED.fullmatch(value)
        if plain_unit(value) in MICROVOLTS:
            unit = value
        elif bracketed and plain_unit(bracketed["unit"]) in MICROVOLTS:
            name, unit = bracketed["name"], bracketed["unit"]
        # Above the rate stands who it is, and a name may end like a lead's.
        elif rate is not None and standard_lead(value.split()[-1]) or len(fields) == 1:
            name = standard_lead(value.split()[-1]) or value
    return rate, name or "ECG", unit
