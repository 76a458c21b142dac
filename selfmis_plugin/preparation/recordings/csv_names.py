"""Names of a table's columns: what is time, what counts rows, and the unit in a name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from selfmis_plugin.data.voltages import MICROVOLTS
from selfmis_plugin.preparation.recordings.units import TIME_UNITS, plain_unit

#: What a signal is called of which nothing but the unit is said.
NAMELESS = "ECG"
#: Characters of a name that is looked into.
_LONGEST = 200

_OTHER_UNITS = {
    "", "-", "hz", "bpm", "a.u.", "au", "adc", "counts", "lsb", "g", "unit", "units", "sample",
    "samples", "raw", "mmhg", "%",
}  # fmt: skip
_CLOCK_UNIT = re.compile(r"\[?[dhmsy:./ -]*(hh?|mm?):(mm|ss)[dhmsy:./ -]*\]?")

# In the languages of phones.
_TIMES_TEXT = """
    time times timestamp timestamps timecode datetime date t s sec secs second seconds ms us ns
    msec usec nsec millis micros milliseconds microseconds nanoseconds clock
    zeit uhrzeit zeitstempel datum tiempo hora fecha temps heure horodatage tempo ora tid tijd
    tijdstip tidspunkt aika czas čas idő vreme zaman χρόνος время час дата
    時間 時刻 时间 时间戳 時間戳 시간 시각 타임스탬프 タイムスタンプ
"""
_BESIDE_TIMES_TEXT = """
    elapsed sample samples sensor phone device relative rel unix epoch utc gmt local system host
    recording recorded ecg ekg since start from of the in and stamp hh mm ss mmm
"""
_COUNTERS_TEXT = """
    index idx sample samples nseq seq sequence frame packet row counter count number no nr id line
    n unnamed 0 # №
"""
_TIMES = frozenset(_TIMES_TEXT.split())
_BESIDE_TIMES = frozenset(_BESIDE_TIMES_TEXT.split())
_COUNTERS = frozenset(_COUNTERS_TEXT.split())
_WORDS = re.compile(r"[^\W_]+|#|№")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, order=True)
class Column:
    """A named column.

    Attributes
    ----------
    position
        Among the fields of a line.
    name
        Its name without the unit.
    unit
        As the file writes it, or "".
    header
        The name as the file writes it.
    """

    position: int
    name: str
    unit: str
    header: str


def read_names(names: Sequence[str], units: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns of a header and, if there is one, its line of units.

    A unit may stand behind a name, in brackets, or, if it is that of microvolts or millivolts,
    apart by a space, an underscore or a slash. Columns without a name are left out; the only one
    whose name is a unit is called :data:`NAMELESS`.
    """
    columns = []
    for position, header in enumerate(names):
        name, unit = _name_and_unit(header)
        unit = unit or (units[position] if position < len(units) else "")
        if name:
            columns.append(Column(position, name, unit, header))
    bare = [column for column in columns if column.name == column.unit]
    if len(bare) == 1 and NAMELESS not in (column.name for column in columns):
        columns[columns.index(bare[0])] = replace(bare[0], name=NAMELESS)
    return tuple(columns)


def is_unit(field: str) -> bool:
    """Whether a field is the unit of anything a recorder writes, or empty."""
    unit = plain_unit(field)
    return (
        unit in MICROVOLTS
        or unit in TIME_UNITS
        or unit in _OTHER_UNITS
        or _CLOCK_UNIT.fullmatch(unit) is not None
    )


def is_time(name: str) -> bool:
    """Whether a column's name says that it holds times."""
    words = _words(name)
    return bool(words & _TIMES) and words <= _TIMES | _BESIDE_TIMES


def is_counter(name: str) -> bool:
    """Whether a column's name says that it counts the rows."""
    words = _words(name)
    return bool(words) and words <= _COUNTERS


def time_unit(column: Column) -> float | None:
    """Return the seconds in one unit of a column of times, None where its name does not say."""
    words = [word.casefold() for word in _WORDS.findall(_CAMEL.sub(" ", column.name[:_LONGEST]))]
    for unit in (column.unit, *reversed(words)):
        if plain_unit(unit) in TIME_UNITS:
            return TIME_UNITS[plain_unit(unit)]
    return None


def _words(name: str) -> set[str]:
    return {word.casefold() for word in _WORDS.findall(_CAMEL.sub(" ", name[:_LONGEST]))}


def _name_and_unit(header: str) -> tuple[str, str]:
    if len(header) > _LONGEST:
        return header[:_LONGEST], ""
    opening = max(header.rfind("("), header.rfind("["))
    if opening >= 0 and header.rstrip()[-1] in ")]":
        unit = header[opening + 1 :].rstrip()[:-1].strip()
        if is_unit(unit):
            return header[:opening].rstrip(" _"), unit
    if plain_unit(header) in MICROVOLTS:
        return header, header
    parts = re.split(r"[\s_/,]+(?=[^\s_/,]+$)", header, maxsplit=1)
    if len(parts) == 2 and parts[0] and plain_unit(parts[1]) in ("uv", "mv"):
        return parts[0], parts[1]
    return header, ""
