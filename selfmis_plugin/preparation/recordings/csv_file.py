"""Long recordings in text files: CSV, TSV and their relatives, and files of one value a line."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.csv_layout import CsvLayout, read_layout
from selfmis_plugin.preparation.recordings.csv_names import Column
from selfmis_plugin.preparation.recordings.csv_times import Clock, Stretches, TimeAxis, find_axis
from selfmis_plugin.preparation.recordings.csv_values import numbers
from selfmis_plugin.preparation.recordings.long_recording import (
    Block,
    LongRecording,
    ReadingOptions,
)
from selfmis_plugin.preparation.recordings.text_lines import line_blocks

if TYPE_CHECKING:
    import pandas as pd

    #: A column's cells: numbers, or what pandas has made of them.
    Cells = npt.NDArray[np.float64] | pd.Series

#: Rows from which the rate is found.
_ROWS_FOR_RATE = 20_000
#: Share by which the rate of a column of times may differ from what the head says.
_LARGEST_DIFFERENCE = 0.05
#: Characters of a table that is read before pandas, which reads faster, would be imported.
_SHORT = 2_000_000
#: A text without a sign that a table of plain numbers has not.
_ONLY_NUMBERS = re.compile(r"[-+0-9.eE,;|\t \r\n]*")
#: Lines among the data that are remarks.
_COMMENTS = re.compile("^#.*\n?", re.MULTILINE)


class CsvRecording(LongRecording):
    """A text file: a table with a header, or one value a line. The whole of it has one rate.

    The rate is the user's, or that of a column of times, which is then also searched for gaps, or
    what the lines above the values say.

    Parameters
    ----------
    path
        The file.
    options
        What the user says about it; its rate and unit go before the file's.

    Raises
    ------
    RecordError
        If there is no header, or the rate cannot be found.
    """

    def __init__(self, path: Path, options: ReadingOptions) -> None:
        self._layout = layout = read_layout(path)
        names = [column.name for column in layout.columns]
        self._twice = {name.casefold() for name in names if names.count(name) > 1}
        self._columns = {column.name: column for column in layout.columns}
        self._headers = {column.header.casefold(): column.name for column in layout.columns}
        self._axis = _time_axis(path, layout) if options.rate is None and layout.times else None
        rate = options.rate or _rate(path, layout, self._axis)
        super().__init__(path, dict.fromkeys(names, float(rate)), options=options)
        if options.rate is not None:
            with contextlib.suppress(RecordError):  # what it says may be why the user tells it
                axis = _time_axis(path, layout) if layout.times else None
                self.note_rate(_rate(path, layout, axis), options.rate)

    def names_of(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Names as in the file, also of channels named as in the header, with their unit."""
        known = {name.strip().casefold() for name in self.rates}
        return super().names_of(
            [
                name
                if name.strip().casefold() in known
                else self._headers.get(name.strip().casefold(), name)
                for name in wanted
            ]
        )

    def blocks(self, names: Sequence[str], seconds: float) -> Iterator[Block]:
        """Yield the channels block by block."""
        for name in names:
            if name.casefold() in self._twice:
                raise RecordError("column twice", f"{self.path.name}: two columns named {name}")
        columns = [self._columns[name] for name in names]
        factors = [self.microvolts_per_unit(column.name, column.unit) for column in columns]
        rate = self.rates[names[0]]
        rows = max(1, round(seconds * rate))
        stretches = self._stretches()
        times = [] if stretches is None else [stretches.axis.column]
        done = 0
        for frame in _frames(self.path, self._layout, [*columns, *times], rows):
            values = np.stack([self._values(frame, column, done) for column in columns])
            values *= np.asarray(factors)[:, None]
            values[~np.isfinite(values)] = np.nan
            if stretches is None:
                yield Block(done / rate, tuple(values), continues=done > 0)
            else:
                for start, part, continues in stretches.parts(frame[times[0].position], values):
                    yield Block(start, tuple(part), continues)
            done += values.shape[1]

    def _values(
        self, frame: Mapping[int, Cells], column: Column, done: int
    ) -> npt.NDArray[np.float64]:
        return numbers(
            self.path,
            column,
            frame[column.position],
            self._layout.decimals[column.position],
            done,
            strict=not self._layout.separator,
        )

    def _stretches(self) -> Stretches | None:
        axis = self._axis
        if axis is None:
            return None
        decimal = self._layout.decimals[axis.column.position]
        clock = Clock(self.path, axis.column, decimal, axis.is_text)
        return Stretches(self.path, axis, clock)


def _time_axis(path: Path, layout: CsvLayout) -> TimeAxis:
    """The first column of times that advances."""
    frame = next(_frames(path, layout, layout.times, _ROWS_FOR_RATE))
    problem: RecordError | None = None
    for column in layout.times:
        try:
            return find_axis(path, column, layout.decimals[column.position], frame[column.position])
        except RecordError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _rate(path: Path, layout: CsvLayout, axis: TimeAxis | None) -> float:
    """The rate that the file says, if what it says is one."""
    said = layout.rates if axis is None or layout.rates_named else ()
    said = said if axis is None else (axis.rate, *said)
    if not said and layout.separator:
        raise RecordError(
            "unknown rate",
            f"{path.name}: no column of times (columns {layout.listed}), and no rate above them; "
            "give the rate with --rate",
        )
    if not said:
        raise RecordError(
            "unknown rate",
            f"{path.name}: says no rate (such as 512 hertz) above its values; give it with --rate",
        )
    if max(said) > (1 + _LARGEST_DIFFERENCE) * min(said) or (axis is None and len(said) > 1):
        raise RecordError(
            "several rates",
            f"{path.name}: says several rates ({', '.join(f'{rate:g}' for rate in said)} Hz"
            + ("" if axis is None else ", the first by its column of times")
            + "); give the right one with --rate",
        )
    return said[0]


def _frames(
    path: Path, layout: CsvLayout, columns: Sequence[Column], rows: int
) -> Iterator[Mapping[int, Cells]]:
    """Yield the wanted columns, by position, at most *rows* at a time.

    Raises
    ------
    RecordError
        If a line is too long, or a quote does not end on its line.
    """
    positions = sorted({column.position for column in columns})
    done = layout.skipped
    for lines in line_blocks(path, layout.skipped):
        text = _COMMENTS.sub("", lines) if "#" in lines else lines
        if layout.quote and layout.separator:
            _check_quotes(path, text, layout.quote, done)
        if layout.separator:
            frame = _plain_table(text, layout, positions) or _table(path, text, layout, positions)
        else:
            frame = _one_column(text)
        for first in range(0, len(frame[positions[0]]), rows):
            yield {position: frame[position][first : first + rows] for position in positions}
        done += lines.count("\n")


def _one_column(text: str) -> Mapping[int, Cells]:
    # Spreadsheets leave separators behind a value.
    values = [bare for line in text.split("\n") if (bare := line.strip().rstrip(",;\t").strip())]
    if _ONLY_NUMBERS.fullmatch(text):
        # A word that is no number is left to who can say which it is.
        with contextlib.suppress(ValueError):
            return {0: np.array(values, dtype=np.float64)}
    import pandas as pd

    return {0: pd.Series(values, dtype="str")}


def _plain_table(
    text: str, layout: CsvLayout, positions: Sequence[int]
) -> Mapping[int, Cells] | None:
    """The columns of a table in which they hold nothing but numbers with points; None for another.

    So are most tables, and reading them needs no pandas, whose import takes longer than the file.
    """
    separator = layout.separator
    plain = len(separator) == 1 and separator != " " and not layout.quote
    if not plain or any(layout.decimals[position] != "." for position in positions):
        return None
    if len(text) > _SHORT or not text.strip() or not _ONLY_NUMBERS.fullmatch(text):
        return None
    try:
        found = np.loadtxt(
            io.StringIO(text),
            delimiter=separator,
            comments=None,
            usecols=list(positions),
            ndmin=2,
        )
    except ValueError:
        return None
    return dict(zip(positions, found.T, strict=True))


def _table(
    path: Path, text: str, layout: CsvLayout, positions: Sequence[int]
) -> Mapping[int, Cells]:
    import pandas as pd

    decimals = {layout.decimals[position] for position in positions}
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=r"\s+" if layout.separator == " " else layout.separator,
            decimal=decimals.pop() if len(decimals) == 1 else ".",
            header=None,
            # With usecols the parser lets rows be longer than these, as stray commas make them.
            names=range(positions[-1] + 1),
            usecols=list(positions),
            index_col=False,
            quotechar=layout.quote or '"',
            quoting=csv.QUOTE_MINIMAL if layout.quote else csv.QUOTE_NONE,
            skipinitialspace=True,
            low_memory=False,
        )
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        raise RecordError(
            "bad table", f"{path.name}: cannot be read as a table: {error}"
        ) from error
    return {position: frame[position] for position in positions}


def _check_quotes(path: Path, text: str, quote: str, done: int) -> None:
    for number, line in enumerate(text.split("\n"), start=done + 1):
        if line.count(quote) % 2:
            raise RecordError("bad table", f"{path.name}: a quote does not end in line {number}")
