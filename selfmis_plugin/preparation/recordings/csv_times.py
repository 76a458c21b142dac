"""Columns of times: the rate that they say, and where samples are missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.csv_names import Column, time_unit
from selfmis_plugin.preparation.recordings.csv_values import numbers
from selfmis_plugin.preparation.recordings.text_head import LIKELY_RATES

if TYPE_CHECKING:
    import pandas as pd

#: A gap in time up to this long is filled with missing samples; after a longer one the recording
#: begins anew.
LONGEST_FILLED = 1.0

#: A rate so close to a whole number is one: the clock of a time column is not better.
_SNAP = 0.0005
#: Steps of uneven times are gaps only from so many seconds on.
_UNEVEN_GAP = 0.25
#: Missing samples to each that is there, at most.
_MOST_MISSING = 20

_DAY = 86_400.0
_DATE = "[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}"
_CLOCK = re.compile(
    rf"^\[?(?P<before>{_DATE}(?:T|,? ))?(?:(?P<h>[0-9]{{1,3}}):)?(?P<m>[0-9]{{1,2}}):"
    r"(?P<s>[0-9]{1,2}(?:[.,:][0-9]{1,9})?)(?: ?(?P<half>[ap])\.?m\.?)?(?: ?(?:z|utc|gmt))?"
    rf"(?: ?[+-][0-9]{{2}}:?[0-9]{{2}})?(?P<after> {_DATE})?\]?$",
    re.IGNORECASE,
)


class Clock:
    """Reads a column of times, in its own unit or, of dates and times of day, in seconds.

    Dates count from the first one, and a time of day without a date goes on after midnight; so
    parts of a column must be read in their order.
    """

    def __init__(self, path: Path, column: Column, decimal: str, is_text: bool) -> None:
        self._path, self._column, self._decimal = path, column, decimal
        self.is_text = is_text
        self._iso: bool | None = None
        self._first: tuple[int, int, int] | None = None
        self._month_first: bool | None = None
        self._last_seconds = -np.inf
        self._midnights = 0

    def read(self, cells: npt.NDArray[np.float64] | pd.Series, row: int) -> npt.NDArray[np.float64]:
        """Return the times, NaN where a cell holds none; *row* is the number of the first."""
        if isinstance(cells, np.ndarray) or not self.is_text:
            return numbers(self._path, self._column, cells, self._decimal, row)
        import pandas as pd

        texts = cells.astype("str").str.strip().where(cells.notna(), None)
        if self._iso is not False:
            dates = pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=True)
            if self._iso or not (dates.isna() & texts.notna()).any():
                self._iso = True
                return _seconds(dates)
        self._iso = False
        return self._read_clock(texts)

    def _read_clock(self, texts: pd.Series) -> npt.NDArray[np.float64]:
        found = texts.str.extract(_CLOCK)
        seconds = found["s"].str.replace("[,:]", ".", regex=True).astype(float)
        seconds += found["h"].astype(float).fillna(0) * 3600 + found["m"].astype(float) * 60
        day = np.array(seconds)
        half = found["half"].str.casefold()
        day[np.asarray(half.notna() & (found["h"] == "12"))] -= _DAY / 2
        day[np.asarray(half == "p")] += _DAY / 2
        dates = found["before"].fillna(found["after"])
        if dates.notna().any():
            return day + self._days(dates) * _DAY
        return self._past_midnight(day)

    def _past_midnight(self, day: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        known = np.flatnonzero(np.isfinite(day))
        if not len(known):
            return day
        steps = np.diff(day[known], prepend=self._last_seconds)
        self._last_seconds = float(day[known[-1]])
        midnights = self._midnights + np.cumsum(steps < -_DAY / 2)
        self._midnights = int(midnights[-1])
        day[known] += midnights * _DAY
        return day

    def _days(self, dates: pd.Series) -> npt.NDArray[np.float64]:
        """Days since the first date; whether day or month stands first, other dates may tell."""
        import pandas as pd

        codes, texts = pd.factorize(dates)
        parts = [self._parts(text) for text in texts]
        if self._first is None:
            self._first = parts[0]
        if self._month_first is None:
            spans = [
                self._span([self._first, *parts], month_first) for month_first in (False, True)
            ]
            if any(part != self._first for part in parts):
                self._month_first = spans[1] < spans[0]
            elif np.isinf(spans[0]):
                self._month_first = True
        ordinals = [self._ordinal(part, bool(self._month_first)) for part in parts]
        first = self._ordinal(self._first, bool(self._month_first))
        return np.append(ordinals, np.nan)[codes] - first

    def _parts(self, text: str) -> tuple[int, int, int]:
        a, b, c = (int(part) for part in re.findall("[0-9]+", text)[:3])
        return a, b, c

    def _span(self, parts: list[tuple[int, int, int]], month_first: bool) -> float:
        ordinals = [self._ordinal(part, month_first) for part in parts]
        span = max(ordinals) - min(ordinals)
        return float(span) if np.isfinite(span) else np.inf

    def _ordinal(self, parts: tuple[int, int, int], month_first: bool) -> float:
        a, b, c = parts
        if a > 31:
            year, month, day = a, b, c
        else:
            year, month, day = (c, a, b) if month_first else (c, b, a)
        try:
            return float(date(year + (2000 if year < 100 else 0), month, day).toordinal())
        except ValueError:
            return np.nan


def _seconds(dates: pd.Series) -> npt.NDArray[np.float64]:
    stamps = dates.dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
    return np.where(np.isnat(stamps), np.nan, stamps.astype(np.int64) / 1e9)


@dataclass(frozen=True)
class TimeAxis:
    """What a column of times says.

    Attributes
    ----------
    column
        The column.
    is_text
        Whether it holds dates or times of day.
    unit
        Seconds in one unit.
    rate
        Samples a second.
    gap
        Seconds from one row to the next, above which samples are missing.
    usual_step
        Seconds from one row to the next, or from one packet to the next.
    """

    column: Column
    is_text: bool
    unit: float
    rate: float
    gap: float
    usual_step: float


def find_axis(
    path: Path, column: Column, decimal: str, cells: npt.NDArray[np.float64] | pd.Series
) -> TimeAxis:
    """Find rate and usual step from the first rows of a column of times.

    Raises
    ------
    RecordError
        If the times do not advance, or do so at no ECG's rate.
    """
    is_text = not isinstance(cells, np.ndarray) and not _are_numbers(cells, decimal)
    times = Clock(path, column, decimal, is_text).read(cells, 0)
    steps = np.diff(times)
    steps = steps[np.isfinite(steps)]
    advances = np.flatnonzero(steps > 0)
    if not len(advances):
        raise RecordError("bad times", f"{path.name}: column {column.name} does not advance")
    # Radios give a whole packet one time: from one packet's first sample to another's.
    if len(advances) > 1:
        steps = steps[advances[0] + 1 : advances[-1] + 1]
    typical = float(np.median(steps[steps > 0]))
    even = float(np.quantile(steps[steps > 0], 0.98)) < 1.5 * typical
    unit = 1.0
    if not is_text:
        usual = steps[(steps >= 0) & (steps < 1.5 * typical)]
        unit = time_unit(column) or _guess(path, float(usual.mean()), column.name)
    steps, typical = steps * unit, typical * unit
    gap = 1.5 * typical if even else max(_UNEVEN_GAP, 1.5 * typical)
    usual = steps[(steps >= 0) & (steps <= gap)]
    total = float(usual.sum())
    if not 0 < total < np.inf:
        raise RecordError("bad times", f"{path.name}: column {column.name} does not advance evenly")
    rate = len(usual) / total
    whole = round(rate) if rate < 1e9 else 0
    if whole and abs(rate / whole - 1) <= _SNAP:
        rate = float(whole)
    return TimeAxis(column, is_text, unit, round(rate, 2), gap, typical)


def _are_numbers(cells: pd.Series, decimal: str) -> bool:
    """Whether cells that were read as text are numbers with another decimal mark, or damaged."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(cells):
        return True
    texts = cells.dropna().astype("str").str.replace(decimal, ".", regex=False)
    return bool(len(texts)) and bool(pd.to_numeric(texts, errors="coerce").notna().mean() > 0.5)


def _guess(path: Path, step: float, name: str) -> float:
    for unit in (1.0, 1e-3, 1e-6, 1e-9):
        if step * unit and LIKELY_RATES[0] <= 1 / (step * unit) <= LIKELY_RATES[1]:
            return unit
    raise RecordError(
        "bad times",
        f"{path.name}: column {name} advances by {step:g}, which is no ECG's rate in s, ms, us or "
        "ns; give the rate with --rate",
    )


@dataclass
class Stretches:
    """Cuts the rows of a file where time is missing.

    Attributes
    ----------
    path
        The file, for messages.
    axis
        Its column of times.
    clock
        What reads that column.
    """

    path: Path
    axis: TimeAxis
    clock: Clock
    _first: float | None = field(default=None, init=False)
    _last: float = field(default=0.0, init=False)
    _rows: int = field(default=0, init=False)

    def parts(
        self, cells: npt.NDArray[np.float64] | pd.Series, values: npt.NDArray[np.float64]
    ) -> Iterator[tuple[float, npt.NDArray[np.float64], bool]]:
        """Yield start, samples and whether they go on, cut at long gaps, short ones filled."""
        axis = self.axis
        times = self._times(cells)
        begins = self._first is None
        if self._first is None:
            self._first = float(times[0])
            self._last = self._first - 1 / axis.rate
        steps = np.diff(times, prepend=self._last)
        if np.any(steps < 0):
            row = self._rows + int(np.flatnonzero(steps < 0)[0]) + 1
            raise RecordError(
                "bad times",
                f"{self.path.name}: time runs backwards at row {row} of the data; give the rate "
                "with --rate if the rows are consecutive nevertheless",
            )
        self._last = float(times[-1])
        self._rows += len(times)
        gaps = np.flatnonzero(steps > axis.gap)
        self._check_missing(steps[gaps], len(times))
        continues, pieces, piece_start = not begins, [], 0
        start = float(times[0]) - self._first
        for gap in gaps:
            pieces.append(values[:, piece_start:gap])
            missing = (float(steps[gap]) - axis.usual_step) * axis.rate
            if missing <= LONGEST_FILLED * axis.rate:
                pieces.append(np.full((len(values), round(missing)), np.nan))
            else:
                if sum(piece.shape[1] for piece in pieces):
                    yield start, np.concatenate(pieces, axis=1), continues
                continues, pieces = False, []
                start = float(times[gap]) - self._first
            piece_start = int(gap)
        pieces.append(values[:, piece_start:])
        yield start, np.concatenate(pieces, axis=1), continues

    def _check_missing(self, steps: npt.NDArray[np.float64], rows: int) -> None:
        """Refuse times that belong to another rate, before all their gaps are filled."""
        filled = steps[steps <= LONGEST_FILLED].sum() * self.axis.rate
        if filled > _MOST_MISSING * (rows + self.axis.rate):
            raise RecordError(
                "bad times",
                f"{self.path.name}: its times begin with {self.axis.rate:g} samples a second, and "
                f"nearly all of them are missing before row {self._rows} of the data; give the "
                "rate with --rate if the rows are consecutive nevertheless",
            )

    def _times(self, cells: npt.NDArray[np.float64] | pd.Series) -> npt.NDArray[np.float64]:
        times = self.clock.read(cells, self._rows) * self.axis.unit
        known = np.isfinite(times)
        if not known.any():
            raise RecordError("bad times", f"{self.path.name}: no time in row {self._rows + 1} on")
        if not known.all():
            times = np.interp(np.arange(len(times)), np.flatnonzero(known), times[known])
        return times
