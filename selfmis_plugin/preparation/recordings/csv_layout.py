"""Where the columns of a text file are: separator, decimal mark, header, units."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.data.voltages import MICROVOLTS
from selfmis_plugin.preparation.recordings.csv_names import (
    Column,
    is_counter,
    is_time,
    is_unit,
    read_names,
)
from selfmis_plugin.preparation.recordings.text_head import (
    fields_of,
    is_comment,
    lead_in,
    open_signals_head,
    stated_labels,
    stated_rates,
    stated_unit,
)
from selfmis_plugin.preparation.recordings.text_lines import HEAD_LINES, read_head
from selfmis_plugin.preparation.recordings.units import TIME_UNITS, plain_unit

#: Columns of the widest table.
MOST_COLUMNS = 1000

# Commas late: with the others it may be the decimal mark. Spaces last: names hold them.
_SEPARATORS = ("\t", ";", "|", ",", " ")
_DATA_ROWS = 3
_NUMBER = re.compile(
    r"[+-]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)(e[+-]?[0-9]+)?|[+-]?(nan|inf)", re.IGNORECASE
)
_POINT = re.compile(r"[+-]?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?([0-9]+(?:,[0-9]*)?|,[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_CLOCK = re.compile(
    r"\[?([0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}(T|,? ))?([0-9]{1,3}:){1,2}[0-9]{1,2}"
    r"([.,:][0-9]{1,9})?( ?[ap]\.?m\.?)?( ?(z|utc|gmt))?( ?[+-][0-9]{2}:?[0-9]{2})?"
    r"( [0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4})?\]?",
    re.IGNORECASE,
)
_LONGEST_HEADER = 1000
_COMMENT_MARKS = "#% "
_DATE = re.compile(
    "[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}([-/.])[0-9]{1,2}\\1[0-9]{2,4}"
)
_WHOLE = re.compile(r"\+?[0-9]{1,18}")


@dataclass(frozen=True)
class CsvLayout:
    """How a text file is laid out.

    Attributes
    ----------
    separator
        Character between fields, a space for any number of them; "" of a file with one value a
        line.
    quote
        Character around fields, "" if there is none.
    skipped
        Number of lines before the data.
    columns
        The channels, in order.
    times
        The columns that may be those of times, in order.
    decimals
        Decimal mark of each column.
    rates
        Samples a second as the lines above the data say them; several if they disagree.
    rates_named
        Whether these lines name the sampling; other frequencies may be those of anything.
    """

    separator: str
    quote: str
    skipped: int
    columns: tuple[Column, ...]
    times: tuple[Column, ...]
    decimals: tuple[str, ...]
    rates: tuple[float, ...]
    rates_named: bool = True

    @property
    def listed(self) -> str:
        """The names of all columns, for messages."""
        return ", ".join(column.name for column in sorted((*self.times, *self.columns)))


def read_layout(path: Path) -> CsvLayout:
    """Find the header and the columns of a text file.

    The data begin with the first three rows that are alike and numbers (but for times of day, and
    one other field). The header is the line before; a line of units between the two is read as
    such. Other lines above are searched for the rate; columns without a name, and fields that later
    rows have beyond the header, are left aside. Three lines of one number each are a file of one
    channel, whose head says what it is, such as an ECG that a watch exports.

    Raises
    ------
    RecordError
        If the file has no rows of numbers, or no header that fits them.
    """
    lines = read_head(path)
    table = _find_table(path, lines)
    one = _find_values(lines, _POINT)
    if one is None or (table is not None and table.first < one):
        one = _find_values(lines, _COMMA) if _may_be_one_column(lines, table) else None
    if one is not None:
        return _one_column(lines, one)
    if table is None:
        raise RecordError(
            "no table",
            f"{path.name}: no rows of two or more numbers, apart by comma, semicolon or tab, and "
            f"no column of numbers in its first {HEAD_LINES} lines",
        )
    return _table(path, lines, table)


@dataclass(frozen=True)
class _Found:
    """A separator with which a file's lines become rows of numbers, and these rows."""

    separator: str
    quote: str
    first: int
    rows: tuple[list[str], ...]

    def split(self, line: str) -> list[str]:
        return _split(line, self.separator)


def _quote(line: str) -> str:
    return "'" if "'" in line and '"' not in line else '"'


def _split(line: str, separator: str) -> list[str]:
    quote = _quote(line)
    if separator == " ":
        return [field.strip(quote) for field in line.split()]
    try:
        fields = next(csv.reader([line], delimiter=separator, quotechar=quote), [])
    except csv.Error:
        fields = line.split(separator)
    return [field.strip().strip(quote).strip() for field in fields]


def _find_table(path: Path, lines: Sequence[str]) -> _Found | None:
    """Rows of numbers and times alone go before rows with words among them.

    Of numbers with a decimal comma, apart by spaces, a comma would make such words.
    """
    found = [
        rows
        for separator in _SEPARATORS
        if any(separator in line for line in lines)
        and (rows := _find_rows(path, lines, separator)) is not None
    ]
    return min(found, key=lambda rows: any(map(_words_in, rows.rows[:_DATA_ROWS])), default=None)


def _find_rows(path: Path, lines: Sequence[str], separator: str) -> _Found | None:
    group: list[list[str]] = []
    for number, line in enumerate(lines):
        row = _data_row(path, line, separator)
        if row is None:
            group = []
            continue
        if group and len(group[0]) != len(row):
            group = []
        group.append(row)
        if len(group) == _DATA_ROWS:
            first = number - _DATA_ROWS + 1
            quote = _quote(line) if _quote(line) in line else ""
            rows = (_split(line, separator) for line in lines[number + 1 :])
            return _Found(separator, quote, first, (*group, *rows))
    return None


def _data_row(path: Path, line: str, separator: str) -> list[str] | None:
    """The fields of a line, None if they are not those of data."""
    if not line or is_comment(line) or separator not in line:
        return None
    row = _split(line, separator)
    filled = [field for field in row if field]
    numbers = sum(_NUMBER.fullmatch(field) is not None for field in filled)
    times = sum(_is_time_of(field) for field in filled)
    if numbers + bool(times) < 2 or not numbers or _words_in(row) > 1:
        return None
    if len(row) > MOST_COLUMNS:
        raise RecordError(
            "too many columns",
            f"{path.name}: has {len(row):,} columns, more than {MOST_COLUMNS:,}: rows are the "
            "samples, columns the channels",
        )
    return row


def _words_in(row: Sequence[str]) -> int:
    return sum(
        bool(field) and not _NUMBER.fullmatch(field) and not _is_time_of(field) for field in row
    )


def _is_time_of(field: str) -> bool:
    return bool(_CLOCK.fullmatch(field) or _DATE.fullmatch(field))


def _bare(line: str) -> str:
    """A line's value, without quotes and the separators that spreadsheets leave behind it."""
    return line.strip().rstrip(",;\t").strip().strip("\"'").strip()


def _find_values(lines: Sequence[str], number: re.Pattern[str]) -> int | None:
    alike = 0
    for k, line in enumerate(lines):
        alike = alike + 1 if number.fullmatch(_bare(line)) else 0
        if alike == _DATA_ROWS:
            return k - _DATA_ROWS + 1
    return None


def _may_be_one_column(lines: Sequence[str], table: _Found | None) -> bool:
    """Whether what look like two whole numbers with a comma between are one with a decimal comma.

    They are two where one of the second is signed, or the line above names two columns. They are
    one where that line names one column, or says a unit, lead or rate as a watch's does, or where
    zeros lead in what would be whole numbers.
    """
    if table is None or table.separator != "," or table.quote:
        return table is None
    rows = [row for row in table.rows if any(row)]
    if any(len(row) > 2 or not re.fullmatch("[0-9]*", row[-1]) for row in rows):
        return False
    above = [line for line in lines[: table.first] if line.strip() and not is_comment(line)]
    rates = stated_rates(above)
    named = [name for name in table.split(above[-1]) if name] if above else []
    if len(named) >= 2:
        if is_time(named[0]) or all(map(_names_a_channel, named)):
            return False
        says_one = len(above) - 1 in rates.lines or _names_a_channel(named[-1])
        return bool(rates.values) and says_one
    zeros = any(row[0] == "-0" or re.match("0[0-9]", row[-1]) for row in rows)
    return bool(named or rates.values) or zeros


def _names_a_channel(name: str) -> bool:
    return any(
        plain_unit(column.unit) in MICROVOLTS or lead_in(column.name) is not None
        for column in read_names([name], [])
    )


def _one_column(lines: Sequence[str], first: int) -> CsvLayout:
    """The layout of a file with one value a line, from the lines above them."""
    above = lines[:first]
    rates = stated_rates(above)
    name, unit = "", stated_unit(above, named=False)
    labels = stated_labels(above)
    for k, line in enumerate(above):
        fields = fields_of(line)
        # Above the rate stands who it is, and a name may end like a lead's.
        if fields and rates.lines and k > rates.lines[0] and lead_in(fields[-1]):
            name = lead_in(fields[-1]) or ""
    last = next((line for line in reversed(above) if line.strip()), "")
    header = [field for field in map(_bare, re.split("[,;\t]", last)) if field]
    if len(header) == 1 and not re.search(r":\s|=", last) and lines.index(last) not in rates.lines:
        column = read_names([header[0].lstrip("#% ")], [])
        if column and (not is_comment(last) or column[0].unit or lead_in(column[0].name)):
            name = name or lead_in(column[0].name) or column[0].name
            unit = column[0].unit or unit
    name = name or (labels[0] if len(labels) == 1 else "") or "ECG"
    head = open_signals_head(above)
    values = rates.values or (head.rates if head else ())
    decimals = "," if any("," in _bare(line) for line in lines[first:]) else "."
    column_of = Column(0, name, unit, name)
    return CsvLayout("", "", first, (column_of,), (), (decimals,), values)


def _table(path: Path, lines: Sequence[str], table: _Found) -> CsvLayout:
    above = lines[: table.first]
    head, rates = open_signals_head(above), stated_rates(above)
    rows = table.rows[:_DATA_ROWS]
    width = max(k + 1 for row in rows for k, field in enumerate(row) if field)
    names, units = _names(path, table, above, width)
    columns = [c for c in read_names(names, units) if c.position < max(width, len(rows[0]))]
    times = _times(columns, table.rows)
    others = [column for column in columns if column not in times]
    if head and head.channels:
        channels = [column for column in others if column.name in head.channels]
    else:
        channels = [column for column in others if not _counts(column, rows)] or others
    # Said for the file, not for a column.
    unit = stated_unit(above)
    channels = [replace(column, unit=column.unit or unit) for column in channels]
    return CsvLayout(
        table.separator,
        table.quote,
        table.first,
        tuple(channels),
        tuple(times),
        _decimals(table),
        rates.values or (head.rates if head else ()),
        rates.named or not rates.values,
    )


def _names(
    path: Path, table: _Found, above: Sequence[str], width: int
) -> tuple[list[str], list[str]]:
    """Names and units of the columns.

    Raises
    ------
    RecordError
        If no line holds names, or fewer than the rows have values: these might then be taken for
        those of another column, where a row begins with its number, or a comma within a number is
        like one between two.
    """
    head, labels = open_signals_head(above), stated_labels(above)
    if head and head.columns:
        names, units = list(head.columns), list[str]()
        if len(names) != width:
            raise _mismatch(path, len(names), width, "its head")
    elif len(labels) == width:
        names, units = labels, []
    else:
        names, units = _header(path, table, above, width)
    count = max((k + 1 for k, name in enumerate(names) if name), default=0)
    if width > count:
        raise _mismatch(path, count, width, "its header")
    return names, units


def _header(
    path: Path, table: _Found, above: Sequence[str], width: int
) -> tuple[list[str], list[str]]:
    rates = stated_rates(above)
    rows = [(k, _header_row(table, line, width)) for k, line in enumerate(above)]
    named = [(k, row) for k, row in rows if any(row)]
    units: list[str] = []
    if len(named) > 1 and all(is_unit(_bare_unit(field)) for field in named[-1][1]):
        units = [_bare_unit(field) for field in named.pop()[1]]
    number, names = named[-1] if named else (-1, [])
    names = [names[0].lstrip("#% "), *names[1:]] if names else []
    says_rate = number in rates.lines and not any(map(is_time, names))
    if sum(bool(name) for name in names) < 2 or (says_rate and len(names) == 2):
        raise RecordError(
            "no header", f"{path.name}: no line with the names of the channels before its numbers"
        )
    return names, units


def _header_row(table: _Found, line: str, width: int) -> list[str]:
    if table.separator != " ":
        return table.split(line)
    # Names may hold single spaces, and a unit in brackets stands apart.
    for pattern in (r"\s{2,}", r"\s+(?![(\[])"):
        row = re.split(pattern, line[:_LONGEST_HEADER].strip(_COMMENT_MARKS))
        if len(row) == width:
            return row
    return [line.strip()]


def _bare_unit(field: str) -> str:
    return field.strip("()[]# ")


def _mismatch(path: Path, names: int, values: int, where: str) -> RecordError:
    return RecordError(
        "unclear columns",
        f"{path.name}: {where} names {names} columns, and its rows hold {values} values; write "
        "names and values alike, numbers with a decimal comma in quotes or apart by semicolons",
    )


def _times(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[Column]:
    """The columns that may be those of times, the likeliest first."""
    ranks: dict[Column, int] = {}
    for column in columns:
        values = [row[column.position] for row in rows[:_DATA_ROWS]]
        unit = plain_unit(column.unit) in TIME_UNITS
        if all(_CLOCK.fullmatch(value) for value in values):
            ranks[column] = 2
        elif is_time(column.name):
            numeric = all(_NUMBER.fullmatch(value) for value in values)
            ranks[column] = (0 if unit else 1) if numeric else 3
        elif unit or all(_DATE.fullmatch(value) for value in values):
            ranks[column] = 4
    return sorted(ranks, key=lambda column: ranks[column])


def _counts(column: Column, rows: Sequence[Sequence[str]]) -> bool:
    values = [row[column.position] for row in rows]
    return is_counter(column.name) and all(_WHOLE.fullmatch(value) for value in values)


def _decimals(table: _Found) -> tuple[str, ...]:
    """The decimal mark of each column; of one without, that of the others."""
    width = len(table.rows[0])
    if table.separator == "," and not table.quote:
        return (".",) * width
    marks = [""] * width
    for row in table.rows:
        for k, field in enumerate(row[:width]):
            if not marks[k] and _NUMBER.fullmatch(field):
                marks[k] = "," if "," in field else "." if "." in field else ""
    usual = "," if "," in marks else "."
    return tuple(mark or usual for mark in marks)
