"""WFDB header files, read strictly.

wfdb's own parser takes what it can make of a line: a sampling rate of -500 becomes the default of
250 Hz, a unit written with a Greek mu becomes volts. Here such a header is understood or refused.
Format: https://physionet.org/physiotools/wag/header-5.htm
"""

from __future__ import annotations

import math
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from selfmis_plugin.data.person import Person, person_of_header
from selfmis_plugin.data.preprocessing import HIGHEST_RATE, LOWEST_RATE
from selfmis_plugin.data.recording import RecordError

#: A header larger than this is not a header.
LARGEST_HEADER = 1 << 20
MOST_SIGNALS = 512
#: What WFDB assumes when a header does not say.
DEFAULT_RATE = 250.0
DEFAULT_GAIN = 200.0
DEFAULT_UNITS = "mV"
#: The format whose samples are differences from the ones before.
DIFFERENCES = 8

#: In the place of a segment's name, or of a signal file's: there is none.
GAP = "~"

_BAD_HEADER = "bad header"

# Numbers of so many digits that Python refuses them must not come as far as int().
_RECORD_NAME = re.compile(r"(?P<name>[^\s/]+)(?:/(?P<segments>\d{1,9}))?", re.ASCII)
_RATE = re.compile(r"(?P<rate>[^/(]+)(?:/[^(]*)?(?:\([^)]*\))?")
_FORMAT = re.compile(
    r"(?P<format>\d{1,9})(?:x(?P<frame>\d{1,9}))?(?::(?P<skew>\d{1,9}))?"
    r"(?:\+(?P<offset>\d{1,18}))?",
    re.ASCII,
)
_GAIN = re.compile(
    r"(?P<gain>[^(/]+)(?:\((?P<baseline>[-+]?\d{1,18})\))?(?:/(?P<units>\S+))?", re.ASCII
)
#: Characters of a refused text that its message shows.
_SHOWN = 60


@dataclass(frozen=True)
class SignalLine:
    """One signal of a header.

    Attributes
    ----------
    file
        Name of the signal file, in the header's folder.
    format
        WFDB format number, such as 16 or 212.
    samples_per_frame, skew, offset
        Samples in a frame, frames by which the signal is late, bytes before the first sample.
    gain
        Digital steps in one unit; ``calibrated`` tells whether the header gave it.
    baseline
        Digital value of zero.
    initial
        Digital value before the first sample, for formats of differences.
    units
        Unit as written, a micro sign as "u".
    name
        Description; for an ECG the lead's name.
    """

    file: str
    format: int
    samples_per_frame: int
    skew: int
    offset: int
    gain: float
    calibrated: bool
    baseline: int
    units: str
    name: str
    initial: int = 0


@dataclass(frozen=True)
class Header:
    """A header file.

    Attributes
    ----------
    path
        The header file.
    rate
        Frames a second.
    frames
        Number of frames, None if the header does not say: the signal files tell.
    signals
        Signals, empty for a multi-segment record.
    segments
        Name and number of frames of each segment, empty for an ordinary record. A name of "~" is
        a gap, a first segment of zero frames only describes the others.
    """

    path: Path
    rate: float
    frames: int | None
    signals: tuple[SignalLine, ...]
    segments: tuple[tuple[str, int], ...]


def read_header(path: Path) -> Header:
    """Read and check a header file.

    Raises
    ------
    RecordError
        If there is none or it makes no sense; the reason names the file.
    """
    lines = _lines(path)
    fields = lines[0].split()
    name = _RECORD_NAME.fullmatch(fields[0])
    if name is None or len(fields) < 2:
        raise _bad(path, f"the first line is not a record line: {lines[0][:60]!r}")
    n_signals = _whole(path, "number of signals", fields[1])
    if not 1 <= n_signals <= MOST_SIGNALS:
        raise _bad(path, f"{n_signals} signals; expected 1 to {MOST_SIGNALS}")
    rate = _rate(path, fields[2]) if len(fields) > 2 else DEFAULT_RATE
    # Zero is how a recorder that does not know the length yet leaves it out. What follows, time
    # and date in whichever form, is not needed.
    frames = (_whole(path, "number of samples", fields[3]) if len(fields) > 3 else 0) or None
    if name["segments"] is not None:
        count = int(name["segments"])
        if not 1 <= count <= len(lines) - 1:
            raise _bad(path, f"{count} segments announced, {len(lines) - 1} listed")
        segments = tuple(_segment(path, line) for line in lines[1 : count + 1])
        return Header(path, rate, frames, (), segments)
    if len(lines) - 1 < n_signals:
        raise _bad(path, f"{n_signals} signals announced, {len(lines) - 1} listed")
    lines = lines[1 : n_signals + 1]
    # One of format 0 is announced and never there.
    signals = tuple(line for line in (_signal(path, line) for line in lines) if line.format)
    if not signals:
        raise _bad(path, "none of its signals has samples (all are of format 0)")
    _check_files(path, rate, signals)
    return Header(path, rate, frames, signals, ())


def segment_names(path: Path) -> list[str]:
    """Return the names of the records that a multi-segment header *path* puts together.

    Empty for an ordinary record, and for a file that is no header.
    """
    try:
        with open_file(path) as file:
            # Few headers are multi-segment ones; the others should cost one short read.
            start = file.read(512).decode("latin-1")
        first = next((line for line in start.splitlines() if _counts(line)), "")
        if not re.match(r"\s*[^\s/]+/\d+\s", first + " "):
            return []
        return [name for name, _ in read_header(path).segments if name != GAP]
    except (OSError, RecordError):
        return []


def read_person(path: Path) -> Person:
    """Return what the comments of the header *path* say of sex and age; nothing if unreadable."""
    try:
        with open_file(path) as file:
            return person_of_header(file.read(LARGEST_HEADER).decode("latin-1"))
    except (OSError, RecordError):
        return Person()


def open_file(path: str | Path) -> BinaryIO:
    """Open a file to read; never wait for a pipe or a device of that name.

    Raises
    ------
    OSError
        If it cannot be opened.
    RecordError
        If it is no file.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise RecordError("unreadable file", f"{os.path.basename(path)}: is not a file")
    return os.fdopen(handle, "rb", buffering=0)


def _lines(path: Path) -> list[str]:
    try:
        with open_file(path) as file:
            content = file.read(LARGEST_HEADER + 1)
    except FileNotFoundError:
        raise RecordError("missing header", f"{path.name}: no such file") from None
    except OSError as error:
        raise RecordError("unreadable file", f"{path.name}: {error.strerror or error}") from None
    if len(content) > LARGEST_HEADER:
        raise _bad(path, f"larger than {LARGEST_HEADER} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = [line.strip() for line in text.splitlines() if _counts(line)]
    if not lines:
        raise _bad(path, "is empty")
    return lines


def _counts(line: str) -> bool:
    stripped = line.strip()
    return bool(stripped) and not stripped.startswith("#")


def _rate(path: Path, text: str) -> float:
    found = _RATE.fullmatch(text)
    rate = _number(path, "sampling rate", found["rate"] if found else text)
    if not 0 < rate <= HIGHEST_RATE:
        raise _bad_rate(path, rate)
    return rate


def _bad_rate(path: Path, rate: float) -> RecordError:
    return _bad(
        path, f"sampling rate {rate:g} Hz is not between {LOWEST_RATE:g} and {HIGHEST_RATE:g}"
    )


def _segment(path: Path, line: str) -> tuple[str, int]:
    fields = line.split()
    if len(fields) < 2:
        raise _bad(path, f"not a segment line: {line[:60]!r}")
    _check_name(path, "segment", fields[0])
    return fields[0], _whole(path, "length of a segment", fields[1])


def _signal(path: Path, line: str) -> SignalLine:
    # File, format, gain, resolution, zero, first value, checksum, block size, description.
    fields = line.split(None, 8)
    if len(fields) < 2:
        raise _bad(path, f"not a signal line: {line[:60]!r}")
    _check_name(path, "signal", fields[0])
    layout = _FORMAT.fullmatch(fields[1])
    if layout is None:
        raise _bad(path, f"format {fields[1][:_SHOWN]!r} is not understood")
    frame = int(layout["frame"] or 1)
    if frame < 1:
        raise _bad(path, f"{frame} samples per frame")
    gain, baseline, units = 0.0, None, DEFAULT_UNITS
    if len(fields) > 2:
        found = _GAIN.fullmatch(fields[2])
        if found is None:
            raise _bad(path, f"gain {fields[2][:_SHOWN]!r} is not understood")
        gain = _number(path, "gain", found["gain"])
        baseline = None if found["baseline"] is None else int(found["baseline"])
        units = found["units"] or DEFAULT_UNITS
    zero = _integer(path, "ADC zero", fields[4]) if len(fields) > 4 else 0
    return SignalLine(
        file=fields[0],
        format=int(layout["format"]),
        samples_per_frame=frame,
        skew=int(layout["skew"] or 0),
        offset=int(layout["offset"] or 0),
        gain=gain or DEFAULT_GAIN,
        calibrated=gain != 0,
        baseline=zero if baseline is None else baseline,
        # Both characters that look like a mu.
        units=units.replace("\u00b5", "u").replace("\u03bc", "u"),
        name=fields[8].strip() if len(fields) > 8 else "",
        # Only that format needs it, and not everybody writes it.
        initial=_integer(path, "first value", fields[5])
        if len(fields) > 5 and int(layout["format"]) == DIFFERENCES
        else zero,
    )


def _check_files(path: Path, rate: float, signals: tuple[SignalLine, ...]) -> None:
    layouts: dict[str, tuple[int, int]] = {}
    for signal in signals:
        layout = (signal.format, signal.offset)
        if layouts.setdefault(signal.file, layout) != layout:
            raise _bad(path, f"gives two formats or offsets for the one file {signal.file!r}")
        if rate * signal.samples_per_frame > HIGHEST_RATE:
            raise _bad(path, f"{signal.samples_per_frame} samples per frame at {rate:g} Hz")
    # A frame may hold a second of samples: what counts is how often a signal is sampled.
    highest = rate * max(signal.samples_per_frame for signal in signals)
    if highest < LOWEST_RATE:
        raise _bad_rate(path, highest)


def _check_name(path: Path, what: str, name: str) -> None:
    # A header may come from anywhere: it must not make us open other files of this machine.
    if name in {".", ".."} or any(sign in name for sign in "/\\:\0"):
        raise RecordError(
            "file outside folder",
            f"{path.name}: names the {what} file {name[:_SHOWN]!r}, which is not a plain name in "
            "its folder",
        )


def _number(path: Path, what: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _bad(path, f"{what} {text[:_SHOWN]!r} is not a number") from None
    if not math.isfinite(value):
        raise _bad(path, f"{what} {text[:_SHOWN]!r} is not finite")
    return value


def _integer(path: Path, what: str, text: str) -> int:
    if not re.fullmatch(r"[-+]?\d{1,18}", text, re.ASCII):
        raise _bad(path, f"{what} {text[:_SHOWN]!r} is not a whole number")
    return int(text)


def _whole(path: Path, what: str, text: str) -> int:
    value = _integer(path, what, text)
    if value < 0:
        raise _bad(path, f"{what} is {value}")
    return value


def _bad(path: Path, reason: str) -> RecordError:
    return RecordError(_BAD_HEADER, f"{path.name}: {reason}")
