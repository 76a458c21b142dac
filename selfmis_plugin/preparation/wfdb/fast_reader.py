"""Read at once what most WFDB records are; hand the others to the wfdb library.

MIMIC-IV-ECG, PTB-XL and the Challenge 2021 sets hold one signal file of format 16 per record. Such
a record is one short text and one block of 16-bit numbers: reading it this way takes a small part
of what ``wfdb.rdrecord`` takes. A header is taken only if every line has the plain form below,
which every WFDB reader understands alike. Whatever is odd, and whatever is wrong, goes to
:func:`~selfmis_plugin.preparation.wfdb.reader.read_recording`, so refusals have one source.
"""

from __future__ import annotations

import datetime
import functools
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.leads import STANDARD_LEADS, standard_lead
from selfmis_plugin.data.preprocessing import HIGHEST_RATE, LOWEST_RATE, centre
from selfmis_plugin.data.recording import DigitalRecording, RecordError, Recording
from selfmis_plugin.data.voltages import MICROVOLTS
from selfmis_plugin.preparation.wfdb.header import LARGEST_HEADER, MOST_SIGNALS, open_file
from selfmis_plugin.preparation.wfdb.reader import (
    LONGEST_READ,
    part_note,
    read_recording,
    window,
)

_SAMPLE = np.dtype("<i2")

# NAME SIGNALS RATE SAMPLES, and perhaps TIME and DATE.
_RECORD = re.compile(
    r"[-\w]+[ \t]+(\d{1,4})[ \t]+(\d{1,6}(?:\.\d{1,9})?)[ \t]+(\d{1,10})"
    r"(?:[ \t]+(?:[01]?\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
    r"(?:[ \t]+(\d\d?)/(\d\d?)/(\d{4}))?)?",
    re.ASCII,
)
# FILE FORMAT GAIN(BASELINE)/UNITS RESOLUTION ZERO FIRST CHECKSUM BLOCK LEAD; the groups are the
# file with its format, the calibration, and the name. Without exponents and with few digits no
# calibration can overflow.
_SIGNAL = re.compile(
    r"([-\w]+\.\w+[ \t]+16(?:x1)?(?:\+\d{1,9})?)[ \t]+"
    r"(\d{1,9}(?:\.\d{0,9})?(?:\(-?\d{1,9}\))?(?:/[A-Za-z]+)?[ \t]+\d{1,3}[ \t]+-?\d{1,9})[ \t]+"
    r"-?\d{1,9}[ \t]+-?\d{1,9}[ \t]+\d{1,9}[ \t]+(\S.*)",
    re.ASCII,
)
_LAYOUT = re.compile(r"(?P<file>\S+)[ \t]+16(?:x1)?(?:\+(?P<offset>\d+))?", re.ASCII)
_CALIBRATION = re.compile(
    r"(?P<gain>[\d.]+)(?:\((?P<baseline>-?\d+)\))?(?:/(?P<units>\w+))?[ \t]+\d+[ \t]+"
    r"(?P<zero>-?\d+)",
    re.ASCII,
)
_DEFAULT_UNITS = "mv"


class _Channel(NamedTuple):
    """A lead of a header: its column in the file, and how its steps become microvolts."""

    column: int
    gain: float
    baseline: int
    factor: float


class _Plain(NamedTuple):
    """What the header of a plain record says."""

    file: str
    offset: int
    signals: int
    frames: int
    rate: float
    channels: dict[str, _Channel]


def read_record(path: Path, longest: float = LONGEST_READ) -> Recording | DigitalRecording:
    """Read the standard leads of a WFDB record, the quick way if it is a plain one.

    Parameters
    ----------
    path
        The header file, or the record's path without a suffix.
    longest
        Seconds to read; of a longer recording the middle is taken.

    Returns
    -------
    DigitalRecording or Recording
        The first for a plain record: one signal file of format 16, every signal with gain and
        unit. Its values, leads and notes are those that
        :func:`~selfmis_plugin.preparation.wfdb.reader.read_recording` finds.

    Raises
    ------
    RecordError
        If the record cannot be used: what is wrong, and with which file.
    """
    return read_plain_record(path, longest) or read_recording(path, longest)


def read_plain_record(path: Path, longest: float = LONGEST_READ) -> DigitalRecording | None:
    """Read a plain WFDB record; return None if it is not one, or if anything is wrong with it.

    Parameters
    ----------
    path, longest
        As for :func:`read_record`.
    """
    name = os.fspath(path)
    if path.suffix != ".hea":
        name += ".hea"
    try:
        plain = _read_plain_header(name)
        if plain is None:
            return None
        start, stop = centre(plain.frames, window(plain.rate, longest))
        frames = _read_frames(os.path.join(os.path.dirname(name), plain.file), plain, start, stop)
    except OSError:
        return None
    if frames is None:
        return None
    notes = (part_note(stop - start, plain.frames, plain.rate),)
    leads = tuple(lead for lead in STANDARD_LEADS if lead in plain.channels)
    channels = [plain.channels[lead] for lead in leads]
    scales = np.array([channel[1:] for channel in channels], dtype=np.float64)
    return DigitalRecording(
        digital=frames.T[[channel.column for channel in channels]],
        gain=scales[:, 0:1],
        baseline=scales[:, 1:2],
        factor=scales[:, 2:3],
        leads=leads,
        rate=plain.rate,
        notes=notes if stop - start < plain.frames else (),
    )


def _read_frames(name: str, plain: _Plain, start: int, stop: int) -> npt.NDArray[np.int16] | None:
    """Return the frames from start to stop, (frames, signals), if the file holds all it should."""
    size = plain.signals * _SAMPLE.itemsize
    if os.stat(name).st_size < plain.offset + plain.frames * size:
        return None
    with open(name, "rb", buffering=0) as file:
        frames = np.empty((stop - start, plain.signals), dtype=_SAMPLE)
        file.seek(plain.offset + start * size)
        if file.readinto(frames) != frames.nbytes:  # type: ignore[arg-type]
            return None
    return frames.astype(np.int16, copy=False)


def _read_plain_header(name: str) -> _Plain | None:
    try:
        with open_file(name) as file:
            content = file.read(LARGEST_HEADER + 1)
    except RecordError:
        return None
    # Readers differ in what they make of other characters.
    if len(content) > LARGEST_HEADER or not content.isascii():
        return None
    lines = [line.strip() for line in content.decode("ascii").splitlines()]
    lines = [line for line in lines if line and line[0] != "#"]
    record = _RECORD.fullmatch(lines[0]) if lines else None
    if record is None:
        return None
    signals, frames, rate = int(record[1]), int(record[3]), float(record[2])
    if not (
        1 <= signals <= MOST_SIGNALS
        and signals == len(lines) - 1
        and frames > 0
        and LOWEST_RATE <= rate <= HIGHEST_RATE
        and (record[4] is None or _is_date(record[4], record[5], record[6]))
    ):
        return None
    layout: str | None = None
    channels: dict[str, _Channel] = {}
    for column in range(signals):
        found = _SIGNAL.fullmatch(lines[column + 1])
        if found is None:
            return None
        line_layout, calibration, lead_name = found.groups()
        if layout is None:
            layout = line_layout
        elif layout != line_layout:
            return None
        lead = _lead(lead_name)
        if lead is None:
            continue
        scale = _scale(calibration)
        if lead in channels or scale is None:
            return None
        channels[lead] = _Channel(column, *scale)
    where = _LAYOUT.fullmatch(layout or "")
    if where is None or not channels:
        return None
    return _Plain(where["file"], int(where["offset"] or 0), signals, frames, rate, channels)


# A database writes the same few names and calibrations in all its headers.
_lead = functools.lru_cache(maxsize=1024)(standard_lead)


@functools.lru_cache(maxsize=1024)
def _scale(text: str) -> tuple[float, int, float] | None:
    """Return gain, baseline and microvolts in one unit; None if there is no gain or unit."""
    found = _CALIBRATION.fullmatch(text)
    if found is None or float(found["gain"]) == 0:
        return None
    factor = MICROVOLTS.get((found["units"] or _DEFAULT_UNITS).lower())
    if factor is None:
        return None
    baseline = found["zero"] if found["baseline"] is None else found["baseline"]
    return float(found["gain"]), int(baseline), factor


def _is_date(day: str, month: str, year: str) -> bool:
    try:
        datetime.date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True
