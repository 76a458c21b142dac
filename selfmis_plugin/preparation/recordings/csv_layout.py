"""Where the columns of a text file are: separator, header, units."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from selfmis_plugin.data.preprocessing import MICROVOLTS
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.long_recording import plain_unit

#: Seconds in one unit of a time column, by the unit's name in lower case.
TIME_UNITS: dict[str, float] = {
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0,
    "ms": 1e-3, "msec": 1e-3, "us": 1e-6, "usec": 1e-6, "ns": 1e-9,
}  # fmt: skip

# Comma last: with the others it may be the decimal mark.
_SEPARATORS = ("\t", ";", ",")
_HEAD_LINES = 500
_DATA_ROWS = 3
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?|[+-]?(nan|inf)", re.IGNORECASE)
_BRACKETED = re.compile(r"(?P<name>.*?)[\s_]*[(\[](?P<unit>[^)\]]*)[)\]]")
_OTHER_UNITS = {"", "-", "hz", "bpm", "a.u.", "au", "adc", "counts", "lsb", "g", "unit", "units"}
_TIME = re.compile(
    r"(elapsed[ _]?)?(sample[ _]?)?(time|timestamps?|datetime|t|sec|secs|seconds|ms|us)"
    r"([ _](?P<unit>s|sec|seconds|ms|us|ns))?"
)


@dataclass(frozen=True)
class Column:
    """A named column: its position, its name without the unit, and the unit (or "")."""

    position: int
    name: str
    unit: str


@dataclass(frozen=True)
class CsvLayout:
    """How a text file is laid out.

    Attributes
    ----------
    separator, decimal
        Characters between fields and within numbers.
    skipped
        Number of lines before the data.
    columns
        The named columns, in order.
    time
        The column of times, if a name says so.
    """

    separator: str
    decimal: str
    skipped: int
    columns: tuple[Column, ...]
    time: Column | None


def read_layout(path: Path) -> CsvLayout:
    """Find the header and the columns of a text file.

    The data begin with the first three rows that are alike and numbers (but for one field, such as
    a time of day). The header is the line before; a line of units between the two is read as such.
    Other lines above, columns without a name and fields beyond the header are left aside.

    Raises
    ------
    RecordError
        If the file has no rows of numbers, or no header.
    """
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        lines = [line.rstrip("\r\n") for line in islice(file, _HEAD_LINES)]
    for separator in _SEPARATORS:
        rows = [_fields(line, separator) for line in lines]
        first = _first_data_row(rows)
        if first is not None:
            names, units = _header(path, rows[:first])
            columns = _columns(names, units)
            time = next((column for column in columns if _TIME.fullmatch(_key(column.name))), None)
            return CsvLayout(separator, _decimal(rows[first], separator), first, columns, time)
    raise RecordError(
        "no table",
        f"{path.name}: no rows of two or more numbers, apart by comma, semicolon or tab, in its "
        f"first {_HEAD_LINES} lines",
    )


def time_unit(column: Column) -> float | None:
    """Return the seconds in one unit of a time column, None where its name does not say."""
    found = _TIME.fullmatch(_key(column.name))
    named = found.group("unit") if found else None
    for unit in (column.unit, named or "", column.name):
        if plain_unit(unit) in TIME_UNITS:
            return TIME_UNITS[plain_unit(unit)]
    return None


def _key(name: str) -> str:
    return name.strip().casefold()


def _fields(line: str, separator: str) -> list[str]:
    return [field.strip().strip('"').strip() for field in line.split(separator)]


def _first_data_row(rows: Sequence[Sequence[str]]) -> int | None:
    for first in range(len(rows) - _DATA_ROWS + 1):
        group = rows[first : first + _DATA_ROWS]
        if len({len(row) for row in group}) == 1 and all(_is_data(row) for row in group):
            return first
    return None


def _is_data(row: Sequence[str]) -> bool:
    filled = [field for field in row if field]
    numbers = sum(_NUMBER.fullmatch(field) is not None for field in filled)
    return numbers >= 2 and len(filled) - numbers <= 1


def _decimal(row: Sequence[str], separator: str) -> str:
    commas = separator != "," and any("," in field for field in row if _NUMBER.fullmatch(field))
    return "," if commas else "."


def _header(path: Path, above: Sequence[list[str]]) -> tuple[list[str], list[str]]:
    named = [row for row in above if any(row)]
    units: list[str] = []
    if len(named) > 1 and all(_is_unit(field) for field in named[-1]):
        units = [_bare(field) for field in named.pop()]
    if not named or sum(bool(field) for field in named[-1]) < 2:
        raise RecordError(
            "no header", f"{path.name}: no line with the names of the channels before its numbers"
        )
    names = list(named[-1])
    names[0] = names[0].lstrip("#% ")
    return names, units


def _bare(field: str) -> str:
    return field.strip("()[]# ")


def _is_unit(field: str) -> bool:
    unit = plain_unit(_bare(field))
    return unit in MICROVOLTS or unit in TIME_UNITS or unit in _OTHER_UNITS


def _columns(names: Sequence[str], units: Sequence[str]) -> tuple[Column, ...]:
    columns = []
    for position, name in enumerate(names):
        unit = units[position] if position < len(units) else ""
        found = _BRACKETED.fullmatch(name)
        if found and _is_unit(found.group("unit")):
            name, unit = found.group("name"), found.group("unit")
        if name:
            columns.append(Column(position, name, unit))
    return tuple(columns)
