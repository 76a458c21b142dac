"""HeartLang's beats against the marks of LUDB's cardiologists: ``python -m tests.ludb_beats DIR``.

Of each record and lead the stretch from the first to the last mark is looked at; a beat is found
if a peak lies within 75 ms of its mark, each peak standing for one beat.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import wfdb

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import resample
from selfmis_plugin.methods.heartlang.beat_times import most_beats, peaks_of
from selfmis_plugin.methods.heartlang.shape import RATE

LUDB_RATE = 500
TOLERANCE = 0.075


class Counts(NamedTuple):
    """Beats that are marked, peaks that are found, and how many of them belong together."""

    marked: int
    found: int
    together: int

    @property
    def sensitivity(self) -> float:
        return self.together / self.marked

    @property
    def predictive(self) -> float:
        return self.together / self.found


def records_of(folder: Path) -> list[Path]:
    """Return the records of a copy of LUDB, without their suffix."""
    headers = sorted((folder / "data").glob("*.hea"), key=lambda path: int(path.stem))
    return [header.with_suffix("") for header in headers]


def read(record: Path, lead: str) -> np.ndarray:
    """Return one lead in microvolts."""
    found = wfdb.rdrecord(str(record), channel_names=[lead.lower()])
    return np.nan_to_num(found.p_signal[:, 0]) * 1000


def count(folder: Path, lead: str, rate: float) -> Counts:
    """Return the counts of one lead of all records, found at *rate*."""
    totals = np.zeros(3, dtype=int)
    for record in records_of(folder):
        signal = read(record, lead)
        if rate != LUDB_RATE:
            signal = resample(signal[None], LUDB_RATE, rate)[0]
        samples = round(len(signal) * RATE / rate)
        row = peaks_of(signal[None], rate, most_beats(samples / RATE), samples)[0]
        marks = wfdb.rdann(str(record), lead.lower())
        beats = marks.sample[np.array(marks.symbol) == "N"] / LUDB_RATE
        ends = marks.sample[[0, -1]] / LUDB_RATE
        peaks = row[row >= 0] / RATE
        peaks = peaks[(peaks >= ends[0] - TOLERANCE) & (peaks <= ends[1] + TOLERANCE)]
        totals += (len(beats), len(peaks), _together(beats, peaks))
    return Counts(*map(int, totals))


def _together(beats: np.ndarray, peaks: np.ndarray) -> int:
    """Pair beats and peaks, both rising, one to one."""
    pairs = place = 0
    for beat in beats:
        while place < len(peaks) and peaks[place] < beat - TOLERANCE:
            place += 1
        if place < len(peaks) and peaks[place] <= beat + TOLERANCE:
            pairs, place = pairs + 1, place + 1
    return pairs


def table(folder: Path) -> Iterator[str]:
    """Yield the rows of the documentation's table."""
    for lead in STANDARD_LEADS:
        fine, coarse = (count(folder, lead, rate) for rate in (LUDB_RATE, RATE))
        figures = [
            f"{100 * value:.1f} %"
            for counts in (fine, coarse)
            for value in (counts.sensitivity, counts.predictive)
        ]
        yield f"| {' | '.join([lead, str(fine.marked), *figures])} |"


if __name__ == "__main__":
    for row in table(Path(sys.argv[1])):
        print(row, flush=True)
