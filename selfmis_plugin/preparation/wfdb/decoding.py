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
import wfdb

from selfmis_plugin.data.preprocessing import MISSING_INT16, to_microvolts
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.wfdb.header import DIFFERENCES, Header

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
    found = []
    for channel, factor, digital in zip(
        channels, factors, _digital(header, channels, start, stop), strict=True
    ):
        line = header.signals[channel]
        expected = (stop - start) * line.samples_per_frame
        if len(digital) != expected:
            raise RecordError(
                "truncated signal file",
                f"{line.file}: {len(digital)} samples of {line.name} read, {expected} expected",
            )
        signal = to_microvolts(digital, line.gain, line.baseline, factor)
        if line.format in _MISSING:
            signal[digital == _MISSING[line.format]] = np.nan
        found.append(signal)
    return found


def _digital(
    header: Header, channels: Sequence[int], start: int, stop: int
) -> list[npt.NDArray[Any]]:
    lines = [header.signals[channel] for channel in channels]
    # Differences add up from the beginning.
    whole = any(line.format == DIFFERENCES for line in lines)
    physical = any(line.format == _PHYSICAL for line in lines)
    try:
        with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
            _restate(header, Path(folder), stop)
            record = wfdb.rdrecord(
                os.path.join(folder, _RECORD),
                sampfrom=0 if whole else start,
                sampto=stop,
                channels=list(channels),
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
        values = [np.nan_to_num(signal, nan=_MISSING[_PHYSICAL]) for signal in values]
    if whole:
        sizes = [line.samples_per_frame for line in lines]
        values = [v[start * n : stop * n] for v, n in zip(values, sizes, strict=True)]
    return list(values)


def _restate(header: Header, folder: Path, frames: int) -> None:
    """Write the header as plainly as can be, and its signal files' names, into *folder*."""
    names = {
        name: f"file{k}.dat"
        for k, name in enumerate(dict.fromkeys(line.file for line in header.signals))
    }
    for name, link in names.items():
        _link(header.path.with_name(name).absolute(), folder / link)
    lines = [f"{_RECORD} {len(header.signals)} 1 {frames}"]
    lines += [
        f"{names[line.file]} {line.format}x{line.samples_per_frame}:{line.skew}+{line.offset} "
        f"1(0)/mV 16 0 {line.initial} 0 0 signal{k}"
        for k, line in enumerate(header.signals)
    ]
    (folder / f"{_RECORD}.hea").write_text("\n".join(lines) + "\n", encoding="ascii")


def _link(file: Path, link: Path) -> None:
    try:
        link.symlink_to(file)
    except OSError:  # not everybody may, on Windows
        shutil.copyfile(file, link)
