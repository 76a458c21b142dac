"""Long recordings in text files: CSV, TSV and their relatives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.csv_layout import CsvLayout, read_layout, time_unit
from selfmis_plugin.preparation.recordings.long_recording import (
    Block,
    LongRecording,
    ReadingOptions,
    microvolts_per_unit,
)

#: A gap in time up to this long is filled with missing samples; after a longer one the recording
#: begins anew.
LONGEST_FILLED = 1.0

#: Rows from which the rate is found.
_ROWS_FOR_RATE = 20_000
#: Rates that an ECG recorder may have, by which the unit of an unnamed time is found.
_LIKELY_RATES = (20.0, 15_000.0)
#: A rate so close to a whole number is one: the clock of a time column is not better.
_SNAP = 0.0005
#: Steps of uneven times are gaps only from so many seconds on.
_UNEVEN_GAP = 0.25


class CsvRecording(LongRecording):
    """A text file with a header; the whole of it has one rate.

    The rate is the user's, or that of a column named time, timestamp, seconds or the like, which
    is then also searched for gaps.

    Parameters
    ----------
    path
        The file.
    options
        What the user says about it.

    Raises
    ------
    RecordError
        If there is no header, or the rate cannot be found.
    """

    def __init__(self, path: Path, options: ReadingOptions) -> None:
        self._options = options
        self._layout = layout = read_layout(path)
        names = [column.name for column in layout.columns if column is not layout.time]
        twice = sorted({name for name in names if names.count(name) > 1})
        self._twice = {name.casefold() for name in twice}
        self._columns = {column.name: column for column in layout.columns}
        self._time = _Time(path, layout, options) if options.rate is None else None
        rate = options.rate if self._time is None else self._time.rate
        super().__init__(path, dict.fromkeys(names, float(rate or 0)))

    def blocks(self, names: Sequence[str], seconds: float) -> Iterator[Block]:
        for name in names:
            if name.casefold() in self._twice:
                raise RecordError("column twice", f"{self.path.name}: two columns named {name}")
        columns = [self._columns[name] for name in names]
        factors = [
            microvolts_per_unit(self.path, column.name, column.unit, self._options)
            for column in columns
        ]
        rate = self.rates[names[0]]
        positions = [column.position for column in columns]
        read = positions if self._time is None else [*positions, self._time.position]
        rows = max(1, round(seconds * rate))
        start, done = 0.0, 0
        for frame in _frames(self.path, self._layout, read, rows):
            values = np.stack([_numbers(frame[position]) for position in positions])
            values *= np.asarray(factors)[:, None]
            if self._time is None:
                yield Block(done / rate, tuple(values), continues=done > 0)
                done += len(frame)
                continue
            for start, part, continues in self._time.parts(frame, values):
                yield Block(start, tuple(part), continues)


class _Time:
    """The column of times: rate, and where samples are missing."""

    def __init__(self, path: Path, layout: CsvLayout, options: ReadingOptions) -> None:
        column = layout.time
        if column is None:
            raise RecordError(
                "unknown rate",
                f"{path.name}: no column of times ({_listed(layout)}); give the rate with --rate",
            )
        self.path = path
        self.position = column.position
        frame = next(_frames(path, layout, [column.position], _ROWS_FOR_RATE))
        self._is_text = not pd.api.types.is_numeric_dtype(frame[column.position])
        steps = np.diff(self._raw_times(frame))
        steps = steps[np.isfinite(steps)]
        advances = np.flatnonzero(steps > 0)
        if not len(advances):
            raise RecordError("bad times", f"{path.name}: column {column.name} does not advance")
        # Radios give a whole packet one time: from one packet's first sample to another's.
        if len(advances) > 1:
            steps = steps[advances[0] + 1 : advances[-1] + 1]
        typical = float(np.median(steps[steps > 0]))
        even = float(np.quantile(steps[steps > 0], 0.98)) < 1.5 * typical
        self._unit = 1.0
        if not self._is_text:
            usual = steps[(steps >= 0) & (steps < 1.5 * typical)]
            self._unit = time_unit(column) or self._guess(float(usual.mean()), column.name)
        steps, typical = steps * self._unit, typical * self._unit
        self._gap = 1.5 * typical if even else max(_UNEVEN_GAP, 1.5 * typical)
        usual = steps[(steps >= 0) & (steps <= self._gap)]
        rate = len(usual) / float(usual.sum())
        #: From one row to the next, or from one packet to the next.
        self._usual_step = typical
        whole = round(rate)
        self.rate = float(whole) if whole and abs(rate / whole - 1) <= _SNAP else round(rate, 2)
        self._first: float | None = None
        self._last = 0.0
        self._rows = 0

    def parts(
        self, frame: pd.DataFrame, values: npt.NDArray[np.float64]
    ) -> Iterator[tuple[float, npt.NDArray[np.float64], bool]]:
        """Yield start, samples and whether they go on, cut at long gaps, short ones filled."""
        times = self._raw_times(frame) * self._unit
        known = np.isfinite(times)
        if not known.any():
            raise RecordError("bad times", f"{self.path.name}: no time in row {self._rows + 1} on")
        if not known.all():
            times = np.interp(np.arange(len(times)), np.flatnonzero(known), times[known])
        begins = self._first is None
        if self._first is None:
            self._first = float(times[0])
            self._last = self._first - 1 / self.rate
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
        gaps = np.flatnonzero(steps > self._gap)
        continues, pieces, piece_start = not begins, [], 0
        start = float(times[0]) - self._first
        for gap in gaps:
            pieces.append(values[:, piece_start:gap])
            missing = round((float(steps[gap]) - self._usual_step) * self.rate)
            if missing <= LONGEST_FILLED * self.rate:
                pieces.append(np.full((len(values), missing), np.nan))
            else:
                if sum(piece.shape[1] for piece in pieces):
                    yield start, np.concatenate(pieces, axis=1), continues
                continues, pieces = False, []
                start = float(times[gap]) - self._first
            piece_start = int(gap)
        pieces.append(values[:, piece_start:])
        yield start, np.concatenate(pieces, axis=1), continues

    def _raw_times(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Times in the column's own unit, or in seconds where they are dates."""
        column = frame[self.position]
        if not self._is_text:
            return _numbers(column)
        dates = pd.to_datetime(column, errors="coerce", utc=True).dt.tz_localize(None)
        stamps = dates.to_numpy(dtype="datetime64[ns]")
        seconds = stamps.astype(np.int64) / 1e9
        return np.where(np.isnat(stamps), np.nan, seconds)

    def _guess(self, step: float, name: str) -> float:
        for unit in (1.0, 1e-3, 1e-6, 1e-9):
            if _LIKELY_RATES[0] <= 1 / (step * unit) <= _LIKELY_RATES[1]:
                return unit
        raise RecordError(
            "bad times",
            f"{self.path.name}: column {name} advances by {step:g}, which is no ECG's rate in s, "
            "ms, us or ns; give the rate with --rate",
        )


def _frames(
    path: Path, layout: CsvLayout, positions: Sequence[int], rows: int
) -> Iterator[pd.DataFrame]:
    """Yield the wanted columns, named by position, *rows* at a time."""
    try:
        # With usecols the parser lets rows be longer than the first, as stray commas make them.
        with pd.read_csv(
            path,
            sep=layout.separator,
            decimal=layout.decimal,
            header=None,
            skiprows=layout.skipped,
            usecols=sorted(set(positions)),
            chunksize=rows,
            encoding="utf-8",
            encoding_errors="replace",
            low_memory=False,
        ) as reader:
            yield from reader
    except (ValueError, pd.errors.ParserError) as error:
        raise RecordError(
            "bad table", f"{path.name}: cannot be read as a table: {error}"
        ) from error


def _numbers(column: Any) -> npt.NDArray[np.float64]:
    if not pd.api.types.is_numeric_dtype(column):
        column = pd.to_numeric(column, errors="coerce")
    return np.asarray(column, dtype=np.float64)


def _listed(layout: CsvLayout) -> str:
    return "columns " + ", ".join(column.name for column in layout.columns)
