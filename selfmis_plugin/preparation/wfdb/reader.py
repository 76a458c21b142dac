"""The standard leads of a WFDB record."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.leads import STANDARD_LEADS, standard_lead
from selfmis_plugin.data.preprocessing import HIGHEST_RATE, LOWEST_RATE, centre
from selfmis_plugin.data.recording import RecordError, Recording
from selfmis_plugin.data.voltages import MICROVOLTS
from selfmis_plugin.preparation.wfdb.decoding import frame_count, read_channels
from selfmis_plugin.preparation.wfdb.header import Header, SignalLine, read_header
from selfmis_plugin.preparation.wfdb.segments import (
    Segment,
    read_segment,
    segments_between,
    total_frames,
)

#: Of a longer recording only this much of its middle is read.
LONGEST_READ = 60.0

#: Says which standard lead a signal's name is, None for a signal that is not wanted.
Naming = Callable[[str], str | None]


def read_recording(
    path: Path, longest: float = LONGEST_READ, naming: Naming = standard_lead
) -> Recording:
    """Read the standard leads of a WFDB record.

    Parameters
    ----------
    path
        The header file, or the record's path without a suffix.
    longest
        Seconds to read; of a longer recording the middle is taken.
    naming
        Says which standard lead a signal is by its name in the header, None for one to leave.

    Returns
    -------
    Recording
        Microvolts, with leads in standard order whatever the order in the file.

    Raises
    ------
    RecordError
        If the record cannot be used: what is wrong, and with which file.
    """
    header = read_header(header_path(path))
    total = total_frames(header) if header.segments else frame_count(header)
    start, stop = centre(total, window(header.rate, longest))
    parts = _Parts(header, start, stop)
    if header.segments:
        for segment in segments_between(header, start, stop):
            parts.add(read_segment(header, segment), segment, naming)
    else:
        parts.add(header, Segment(header.path.stem, 0, total), naming)
    return parts.recording(total)


def header_path(path: Path) -> Path:
    """Return the header file of a record that is given with or without the suffix .hea."""
    # Not with_name: "." and "/" have no name, and are folders that a user may well name.
    return path if path.suffix == ".hea" else path.parent / f"{path.name}.hea"


def window(rate: float, longest: float) -> int:
    """Return how many frames, of *rate* a second, are read of a recording at most."""
    return max(1, math.ceil(longest * rate))


def part_note(read: int, frames: int, rate: float) -> str:
    """Return the note on a recording of which only the middle was read."""
    return f"only the middle {read / rate:g} s of {frames / rate:g} s read"


class _Parts:
    """The leads of the frames from *start* to *stop*; what no segment has of them is missing."""

    def __init__(self, header: Header, start: int, stop: int) -> None:
        self._header, self._start, self._stop = header, start, stop
        self._signals: dict[str, npt.NDArray[np.float64]] = {}
        self._sizes: dict[str, int] = {}
        self._notes: list[str] = []
        self._names: list[str] = []

    def add(self, part: Header, segment: Segment, naming: Naming) -> None:
        """Read what a segment has of them."""
        self._names += [line.name for line in part.signals]
        channels = _channels(part, naming)
        if not channels:
            return
        first = max(self._start, segment.begin)
        last = min(self._stop, segment.begin + segment.frames)
        lines = [part.signals[channel] for channel in channels.values()]
        found = read_channels(
            part,
            list(channels.values()),
            [MICROVOLTS[line.units.lower()] for line in lines],
            first - segment.begin,
            last - segment.begin,
        )
        for lead, line, signal in zip(channels, lines, found, strict=True):
            size = self._size(part, lead, line)
            whole = self._signals.setdefault(
                lead, np.full((self._stop - self._start) * size, np.nan)
            )
            whole[(first - self._start) * size : (last - self._start) * size] = signal
        uncalibrated = [
            lead for lead, line in zip(channels, lines, strict=True) if not line.calibrated
        ]
        note = uncalibrated_note(uncalibrated) if uncalibrated else ""
        if note and note not in self._notes:
            self._notes.append(note)

    def _size(self, part: Header, lead: str, line: SignalLine) -> int:
        size = self._sizes.setdefault(lead, line.samples_per_frame)
        if size != line.samples_per_frame:
            raise RecordError(
                "bad header", f"{part.path.name}: lead {lead} has another rate in other segments"
            )
        return size

    def recording(self, total: int) -> Recording:
        """Return the leads at one rate, of a record of *total* frames."""
        header, read = self._header, self._stop - self._start
        if not self._signals:
            raise self._none(total)
        # Of leads at 1 and 2 samples a frame, or at 250 and 500, the highest that all have.
        common = math.gcd(*self._sizes.values())
        rate = header.rate * common
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise RecordError("bad header", f"{header.path.name}: sampling rate {rate:g} Hz")
        notes = [f"leads of higher rate averaged to {rate:g} Hz"] if self._differ else []
        notes += self._notes
        if read < total:
            notes.append(part_note(read, total, header.rate))
        leads = tuple(lead for lead in STANDARD_LEADS if lead in self._signals)
        signals = [_means(self._signals[lead], self._sizes[lead] // common) for lead in leads]
        return Recording(np.stack(signals), leads, rate, tuple(notes))

    @property
    def _differ(self) -> bool:
        return len(set(self._sizes.values())) > 1

    def _none(self, total: int) -> RecordError:
        name, read = self._header.path.name, self._stop - self._start
        if self._names:
            shown = ", ".join(repr(name) for name in dict.fromkeys(self._names))[:200]
            return RecordError("missing lead", f"{name}: none of the standard leads, only {shown}")
        where = f"the {read:,} samples in its middle" if read < total else "it"
        return RecordError("no signal", f"{name}: a gap, and no segment, fills {where}")


def uncalibrated_note(names: Sequence[str]) -> str:
    """Return the note on signals whose header gives no gain."""
    return f"no gain given for {', '.join(names)}, 200 per mV assumed"


def _channels(header: Header, naming: Naming) -> dict[str, int]:
    """Return the signal number of every standard lead, after checking names and units."""
    channels: dict[str, int] = {}
    for number, line in enumerate(header.signals):
        lead = naming(line.name)
        if lead is None:
            continue
        if lead in channels:
            raise RecordError(
                "lead twice",
                f"{header.path.name}: two signals are named {lead}, "
                f"number {channels[lead] + 1} and number {number + 1}",
            )
        _check_units(header, lead, line)
        channels[lead] = number
    return channels


def _check_units(header: Header, lead: str, line: SignalLine) -> None:
    if line.units.lower() not in MICROVOLTS:
        raise RecordError(
            "unknown units",
            f"{header.path.name}: lead {lead} is in {line.units!r}; known are mV, uV and V",
        )


def _means(signal: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    """Return the means of every *size* samples; of those that are there."""
    if size == 1:
        return signal
    samples = signal.reshape(-1, size)
    present = np.isfinite(samples)
    count = present.sum(axis=1)
    total = np.where(present, samples, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
