"""The standard leads of a WFDB record."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.leads import STANDARD_LEADS, standard_lead
from selfmis_plugin.data.preprocessing import (
    HIGHEST_RATE,
    LOWEST_RATE,
    MICROVOLTS,
    centre,
)
from selfmis_plugin.data.recording import RecordError, Recording
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
    if header.segments:
        return _read_segments(header, longest, naming)
    frames = frame_count(header)
    start, stop = centre(frames, window(header.rate, longest))
    signals, rate, notes = _read_frames(header, start, stop, naming)
    if stop - start < frames:
        notes = (*notes, part_note(stop - start, frames, header.rate))
    return _recording(signals, rate, notes)


def header_path(path: Path) -> Path:
    """Return the header file of a record that is given with or without the suffix .hea."""
    return path if path.suffix == ".hea" else path.with_name(path.name + ".hea")


def window(rate: float, longest: float) -> int:
    """Return how many frames, of *rate* a second, are read of a recording at most."""
    return max(1, math.ceil(longest * rate))


def part_note(read: int, frames: int, rate: float) -> str:
    """Return the note on a recording of which only the middle was read."""
    return f"only the middle {read / rate:g} s of {frames / rate:g} s read"


def _recording(
    signals: dict[str, npt.NDArray[np.float64]], rate: float, notes: tuple[str, ...]
) -> Recording:
    leads = tuple(lead for lead in STANDARD_LEADS if lead in signals)
    return Recording(np.stack([signals[lead] for lead in leads]), leads, rate, notes)


@dataclass
class _Parts:
    """What has been read of the segments of a record, by lead."""

    signals: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    rate: float | None = None
    names: list[str] = field(default_factory=list)


def _read_segments(header: Header, longest: float, naming: Naming) -> Recording:
    """Put the segments of a record together; what a segment lacks stays missing."""
    total = total_frames(header)
    start, stop = centre(total, window(header.rate, longest))
    parts = _Parts()
    if stop - start < total:
        parts.notes.append(part_note(stop - start, total, header.rate))
    for segment in segments_between(header, start, stop):
        part = read_segment(header, segment)
        if _channels(part, naming):
            _add_segment(parts, header, part, segment, (start, stop), naming)
        parts.names += [line.name for line in part.signals]
    if parts.rate is None:
        if parts.names:
            raise _no_lead(header, parts.names)
        where = f"the {stop - start:,} samples in its middle" if stop - start < total else "it"
        raise RecordError("no signal", f"{header.path.name}: a gap, and no segment, fills {where}")
    return _recording(parts.signals, parts.rate, tuple(parts.notes))


def _add_segment(
    parts: _Parts,
    header: Header,
    part: Header,
    segment: Segment,
    wanted: tuple[int, int],
    naming: Naming,
) -> None:
    start, stop = wanted
    first, last = max(start, segment.begin), min(stop, segment.begin + segment.frames)
    signals, rate, notes = _read_frames(part, first - segment.begin, last - segment.begin, naming)
    if parts.rate not in (None, rate):
        raise RecordError(
            "bad header", f"{part.path.name}: {rate:g} Hz, other segments {parts.rate:g} Hz"
        )
    parts.rate = rate
    parts.notes += [note for note in notes if note not in parts.notes]
    per_frame = round(rate / header.rate)
    for lead, signal in signals.items():
        whole = parts.signals.setdefault(lead, np.full((stop - start) * per_frame, np.nan))
        whole[(first - start) * per_frame : (last - start) * per_frame] = signal


def _read_frames(
    header: Header, start: int, stop: int, naming: Naming
) -> tuple[dict[str, npt.NDArray[np.float64]], float, tuple[str, ...]]:
    """Return microvolts by lead, their rate and notes, of the frames from start to stop."""
    channels = _channels(header, naming)
    if not channels:
        raise _no_lead(header, [line.name for line in header.signals])
    lines = [header.signals[channel] for channel in channels.values()]
    factors = [MICROVOLTS[line.units.lower()] for line in lines]
    found = read_channels(header, list(channels.values()), factors, start, stop)
    frame_sizes = {line.samples_per_frame for line in lines}
    notes = []
    if len(frame_sizes) > 1:
        notes.append("leads of higher rate averaged to the frame rate")
    uncalibrated = [lead for lead, c in channels.items() if not header.signals[c].calibrated]
    if uncalibrated:
        notes.append(uncalibrated_note(uncalibrated))
    signals = {
        lead: _mean_of_frames(signal.reshape(-1, line.samples_per_frame))
        if len(frame_sizes) > 1 and line.samples_per_frame > 1
        else signal
        for lead, line, signal in zip(channels, lines, found, strict=True)
    }
    rate = header.rate * frame_sizes.pop() if len(frame_sizes) == 1 else header.rate
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise RecordError("bad header", f"{header.path.name}: sampling rate {rate:g} Hz")
    return signals, rate, tuple(notes)


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


def _no_lead(header: Header, names: Sequence[str]) -> RecordError:
    shown = ", ".join(repr(name) for name in dict.fromkeys(names))[:200]
    return RecordError(
        "missing lead", f"{header.path.name}: none of the standard leads, only {shown}"
    )


def _check_units(header: Header, lead: str, line: SignalLine) -> None:
    if line.units.lower() not in MICROVOLTS:
        raise RecordError(
            "unknown units",
            f"{header.path.name}: lead {lead} is in {line.units!r}; known are mV, uV and V",
        )


def _mean_of_frames(frames: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    present = np.isfinite(frames)
    count = present.sum(axis=1)
    total = np.where(present, frames, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
