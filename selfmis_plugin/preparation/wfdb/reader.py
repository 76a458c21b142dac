"""Read WFDB records with the wfdb library."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import wfdb

from selfmis_plugin.data.leads import STANDARD_LEADS, standard_lead
from selfmis_plugin.data.preprocessing import (
    HIGHEST_RATE,
    MICROVOLTS,
    MISSING_INT16,
    centre,
    to_microvolts,
)
from selfmis_plugin.data.recording import RecordError, Recording
from selfmis_plugin.preparation.wfdb.header import Header, SignalLine, read_header

#: Of a longer recording only this much of its middle is read.
LONGEST_READ = 60.0

#: Bytes of a group of samples, and samples in it, of the formats of fixed size.
_GROUPS: dict[int, tuple[int, int]] = {
    8: (1, 1), 16: (2, 1), 24: (3, 1), 32: (4, 1), 61: (2, 1), 80: (1, 1), 160: (2, 1),
    212: (3, 2), 310: (4, 3), 311: (4, 3),
}  # fmt: skip
_COMPRESSED = (508, 516, 524)
#: The digital value by which each format says that a sample is missing.
_MISSING: dict[int, int] = {
    16: MISSING_INT16, 24: -(2**23), 32: -(2**31), 61: -(2**15), 80: -(2**7), 160: -(2**15),
    212: -(2**11), 310: -(2**9), 311: -(2**9), 508: -(2**7), 516: -(2**15), 524: -(2**23),
}  # fmt: skip


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
    frames = _frames(header)
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


def _read_segments(header: Header, longest: float, naming: Naming) -> Recording:
    """Put the segments of a record together; what a segment lacks stays missing."""
    total = sum(length for _, length in header.segments)
    if total == 0 or header.frames not in (None, total):
        raise RecordError(
            "bad header",
            f"{header.path.name}: {header.frames} samples announced, its segments have {total}",
        )
    start, stop = centre(total, window(header.rate, longest))
    signals: dict[str, npt.NDArray[np.float64]] = {}
    notes: list[str] = [part_note(stop - start, total, header.rate)] if stop - start < total else []
    rate: float | None = None
    begin = 0
    for name, length in header.segments:
        first, last = max(start, begin), min(stop, begin + length)
        offset, begin = begin, begin + length
        if name == "~" or first >= last:
            continue
        segment = read_header(header.path.with_name(f"{name}.hea"))
        if segment.segments or segment.rate != header.rate:
            raise RecordError(
                "bad header", f"{segment.path.name}: is not a segment of {header.path.name}"
            )
        if _frames(segment) < length:
            raise RecordError(
                "truncated signal file",
                f"{segment.path.name}: {_frames(segment)} samples, "
                f"{header.path.name} expects {length}",
            )
        part, part_rate, part_notes = _read_frames(segment, first - offset, last - offset, naming)
        if rate not in (None, part_rate):
            raise RecordError(
                "bad header", f"{segment.path.name}: {part_rate:g} Hz, other segments {rate:g} Hz"
            )
        rate = part_rate
        notes += [note for note in part_notes if note not in notes]
        per_frame = round(part_rate / header.rate)
        for lead, signal in part.items():
            whole = signals.setdefault(lead, np.full((stop - start) * per_frame, np.nan))
            whole[(first - start) * per_frame : (last - start) * per_frame] = signal
    if rate is None:
        raise RecordError("no signal", f"{header.path.name}: no segment has a signal")
    return _recording(signals, rate, tuple(notes))


def _frames(header: Header) -> int:
    """Return the number of frames, after checking that the signal files hold them."""
    frames = header.frames
    for name in dict.fromkeys(signal.file for signal in header.signals):
        signals = [signal for signal in header.signals if signal.file == name]
        try:
            found = header.path.with_name(name).stat().st_size
        except OSError:
            raise RecordError(
                "missing signal file", f"{name}: no such file, though {header.path.name} names it"
            ) from None
        code = signals[0].format
        if code in _COMPRESSED and frames is not None:
            continue
        if code not in _GROUPS:
            known = ", ".join(map(str, (*_GROUPS, *_COMPRESSED)))
            what = "needs a length in the header" if code in _COMPRESSED else f"is not of {known}"
            raise RecordError("unknown format", f"{header.path.name}: format {code} {what}")
        size, group = _GROUPS[code]
        per_frame = sum(signal.samples_per_frame for signal in signals)
        if frames is None:
            # WFDB's rule: the first file tells.
            frames = (found - signals[0].offset) * group // (size * per_frame)
            if frames < 1:
                raise RecordError("truncated signal file", f"{name}: holds no sample")
        expected = signals[0].offset + -(-frames * per_frame * size // group)
        if found < expected:
            raise RecordError(
                "truncated signal file", f"{name}: {found} bytes found, {expected} expected"
            )
    assert frames is not None  # a header has at least one signal
    if any(signal.skew > frames for signal in header.signals):
        raise RecordError("bad header", f"{header.path.name}: skew beyond the record's end")
    return frames


def _read_frames(
    header: Header, start: int, stop: int, naming: Naming
) -> tuple[dict[str, npt.NDArray[np.float64]], float, tuple[str, ...]]:
    """Return microvolts by lead, their rate and notes, of the frames from start to stop."""
    channels = _channels(header, naming)
    lines = [header.signals[channel] for channel in channels.values()]
    # Samples of format 8 are differences from the ones before, so it is read from its start; and
    # wfdb knows where a record of unstated length ends only if it reads to the end.
    whole = header.frames is None or any(line.format == 8 for line in lines)
    digital = _rdrecord(
        header,
        list(channels.values()),
        0 if whole else start,
        None if header.frames is None else stop,
    )
    frame_sizes = {line.samples_per_frame for line in lines}
    notes = []
    if len(frame_sizes) > 1:
        notes.append("leads of higher rate averaged to the frame rate")
    uncalibrated = [lead for lead, c in channels.items() if not header.signals[c].calibrated]
    if uncalibrated:
        notes.append(f"no gain given for {', '.join(uncalibrated)}, 200 per mV assumed")
    signals = {}
    for lead, line, values in zip(channels, lines, digital, strict=True):
        size = line.samples_per_frame
        if whole:
            values = values[start * size : stop * size]
        if len(values) != (stop - start) * size:
            raise RecordError(
                "truncated signal file",
                f"{line.file}: {len(values)} samples of lead {lead} read, "
                f"{(stop - start) * size} expected",
            )
        factor = MICROVOLTS[line.units.lower()]
        signal = to_microvolts(values, line.gain, line.baseline, factor)
        if line.format in _MISSING:
            signal[values == _MISSING[line.format]] = np.nan
        if len(frame_sizes) > 1 and size > 1:
            signal = _mean_of_frames(signal.reshape(-1, size))
        signals[lead] = signal
    rate = header.rate * frame_sizes.pop() if len(frame_sizes) == 1 else header.rate
    if rate > HIGHEST_RATE:
        raise RecordError("bad header", f"{header.path.name}: sampling rate {rate:g} Hz")
    return signals, rate, tuple(notes)


def _rdrecord(
    header: Header, channels: list[int], start: int, stop: int | None
) -> list[npt.NDArray[Any]]:
    """Return the digital values of each channel, every sample of its frames."""
    # wfdb stumbles over the byte order of format 61 when asked for digital values.
    physical = any(header.signals[channel].format == 61 for channel in channels)
    try:
        record = wfdb.rdrecord(
            str(header.path.with_suffix("")),
            sampfrom=start,
            sampto=stop,
            channels=channels,
            physical=physical,
            smooth_frames=False,
        )
        if not physical:
            return list(record.e_d_signal)
        values = zip(record.e_p_signal, record.adc_gain, record.baseline, strict=True)
        # The missing samples, NaN here, are the lowest value of format 61.
        return [
            np.nan_to_num(np.rint(signal * gain + baseline), nan=_MISSING[61])
            for signal, gain, baseline in values
        ]
    except Exception as error:  # wfdb raises what happens to come up in it
        raise RecordError(
            "unreadable by wfdb",
            f"{header.path.name}: wfdb cannot read it ({type(error).__name__}: {error})",
        ) from error


def _channels(header: Header, naming: Naming) -> dict[str, int]:
    """Return the signal number of every standard lead, after checking names and units."""
    channels: dict[str, int] = {}
    for number, line in enumerate(header.signals):
        lead = naming(line.name)
        if lead is None:
            continue
        if lead in channels:
            raise RecordError("lead twice", f"{header.path.name}: two signals are named {lead}")
        _check_units(header, lead, line)
        channels[lead] = number
    if not channels:
        names = ", ".join(repr(line.name) for line in header.signals[:12])
        raise RecordError(
            "missing lead", f"{header.path.name}: none of the standard leads, only {names}"
        )
    return channels


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
