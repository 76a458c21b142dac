"""Samples of WFDB signal files, decoded by the wfdb library.

The library reads a header of its own, and takes what it can make of a line. Here it is given one
that says no more than what :mod:`~selfmis_plugin.preparation.wfdb.header` has understood.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.preprocessing import MISSING_INT16, to_microvolts
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.wfdb.header import DIFFERENCES, Header, SignalLine

__all__ = ["frame_count", "read_channels"]

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
#: What wfdb takes for missing in the format of differences, which knows no missing samples.
_LOWEST_DIFFERENCE = -128
#: wfdb does not give digital values of this one.
_PHYSICAL = 61
_RECORD = "record"
_PREFIX = "selfmis-wfdb-"
#: Where a header is restated, which is no place for anybody to look at.
_PLACE = re.compile(rf"[^\s'\"]*{_PREFIX}\w+[/\\]?")


def frame_count(header: Header) -> int:
    """Return the number of frames, after checking that the signal files hold them.

    Raises
    ------
    RecordError
        If a file is missing, too short for what the header says, or of an unknown format.
    """
    frames = header.frames
    for name in dict.fromkeys(signal.file for signal in header.signals):
        signals = [signal for signal in header.signals if signal.file == name]
        try:
            about = header.path.with_name(name).stat()
        except OSError:
            raise RecordError(
                "missing signal file", f"{name}: no such file, though {header.path.name} names it"
            ) from None
        if not stat.S_ISREG(about.st_mode):
            raise RecordError(
                "missing signal file", f"{name}: is not a file, and {header.path.name} names it"
            )
        found = about.st_size
        code = signals[0].format
        if code in _COMPRESSED:
            frames = _compressed_frames(header, signals[0]) if frames is None else frames
            continue
        if code not in _GROUPS:
            known = ", ".join(map(str, (*_GROUPS, *_COMPRESSED)))
            raise RecordError(
                "unknown format", f"{header.path.name}: format {code} is not of {known}"
            )
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


def _compressed_frames(header: Header, line: SignalLine) -> int:
    import soundfile

    try:
        samples = soundfile.info(str(header.path.with_name(line.file))).frames - line.offset
    except (OSError, RuntimeError) as error:
        raise RecordError(
            "truncated signal file", f"{line.file}: cannot be read as FLAC ({error})"
        ) from error
    if samples < line.samples_per_frame:
        raise RecordError("truncated signal file", f"{line.file}: holds no sample")
    return int(samples // line.samples_per_frame)


def read_channels(
    header: Header, channels: Sequence[int], factors: Sequence[float], start: int, stop: int
) -> list[npt.NDArray[np.float64]]:
    """Return signals of the frames from *start* to *stop*.

    Parameters
    ----------
    header
        Of a record that is not put together of segments.
    channels
        Numbers of the signals.
    factors
        Microvolts in one unit of each.
    start, stop
        Frames; those that :func:`frame_count` has found.

    Returns
    -------
    list of numpy.ndarray
        float64 microvolts of each, every sample of its frames; missing ones are NaN.

    Raises
    ------
    RecordError
        If the files cannot be read.
    """
    late = max(header.signals[channel].skew for channel in channels)
    end = min(stop + late, frame_count(header)) if late else stop
    found = []
    for channel, factor, digital in zip(
        channels, factors, _digital(header, channels, start, end), strict=True
    ):
        line = header.signals[channel]
        size = line.samples_per_frame
        if len(digital) != (end - start) * size:
            raise RecordError(
                "truncated signal file",
                f"{line.file}: {len(digital)} samples of {line.name} read, "
                f"{(end - start) * size} expected",
            )
        digital = digital[line.skew * size : (line.skew + stop - start) * size]
        signal = np.full((stop - start) * size, np.nan)
        # The last samples of a late signal lie beyond the end of the file.
        signal[: len(digital)] = to_microvolts(digital, line.gain, line.baseline, factor)
        if line.format in _MISSING:
            signal[: len(digital)][digital == _MISSING[line.format]] = np.nan
        found.append(signal)
    return found


def _digital(
    header: Header, channels: Sequence[int], start: int, stop: int
) -> list[npt.NDArray[Any]]:
    """Return the digital values of signals from *start* to *stop*, as they lie in the files."""
    import wfdb

    lines = [header.signals[channel] for channel in channels]
    # Differences add up from the beginning.
    whole = any(line.format == DIFFERENCES for line in lines)
    physical = any(line.format == _PHYSICAL for line in lines)
    try:
        with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
            record = wfdb.rdrecord(
                os.path.join(folder, _RECORD),
                sampfrom=0 if whole else start,
                sampto=stop,
                channels=_restate(header, channels, Path(folder), stop),
                physical=physical,
                smooth_frames=False,
            )
    except Exception as error:  # wfdb raises what happens to come up in it
        raise RecordError(
            "unreadable by wfdb",
            f"{header.path.name}: wfdb cannot read it ({type(error).__name__}: "
            f"{_PLACE.sub('', str(error))})",
        ) from error
    # With a gain of 1 they are the same numbers; there the missing samples are NaN.
    values = record.e_p_signal if physical else record.e_d_signal
    if physical:
        codes = [_MISSING.get(line.format, _LOWEST_DIFFERENCE) for line in lines]
        values = [np.nan_to_num(v, nan=code) for v, code in zip(values, codes, strict=True)]
    if whole:
        sizes = [line.samples_per_frame for line in lines]
        values = [v[start * n : stop * n] for v, n in zip(values, sizes, strict=True)]
    return list(values)


def _restate(header: Header, channels: Sequence[int], folder: Path, frames: int) -> list[int]:
    """Write a header as plain as can be, and its signal files' names, into *folder*.

    It has the signals of the files that are to be read, file by file, and none of them late: wfdb
    reads neither signals of a file that are not side by side, nor late ones beside others. Returns
    the numbers that the channels have there.
    """
    names = dict.fromkeys(header.signals[channel].file for channel in channels)
    listed = [k for name in names for k, line in enumerate(header.signals) if line.file == name]
    lines = [f"{_RECORD} {len(listed)} 1 {frames}"]
    for k, name in enumerate(names):
        link = f"file{k}.dat"
        _link(header.path.with_name(name).absolute(), folder / link)
        lines += [
            f"{link} {line.format}x{line.samples_per_frame}+{line.offset} 1(0)/mV 16 0 "
            f"{line.initial} 0 0 signal"
            for line in header.signals
            if line.file == name
        ]
    (folder / f"{_RECORD}.hea").write_text("\n".join(lines) + "\n", encoding="ascii")
    return [listed.index(channel) for channel in channels]


def _link(file: Path, link: Path) -> None:
    try:
        link.symlink_to(file)
    except OSError:  # not everybody may, on Windows
        shutil.copyfile(file, link)
