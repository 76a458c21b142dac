"""Windows of equal length, cut out of a long recording as it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from selfmis_plugin.preparation.recordings.long_recording import LongRecording

#: Seconds that are read at once.
BLOCK_SECONDS = 60.0


@dataclass(frozen=True)
class Window:
    """One window, at the rates of the recording.

    Attributes
    ----------
    start
        Seconds from the beginning of the recording.
    signals
        One array a channel, float64 microvolts; missing samples are NaN. Of a rate that does not
        divide the window's length, the last sample lies beyond its end.
    """

    start: float
    signals: tuple[npt.NDArray[np.float64], ...]


def cut_windows(
    recording: LongRecording, names: Sequence[str], seconds: float, step: float
) -> Iterator[Window]:
    """Yield every whole window of a recording; its memory does not grow with the recording.

    Parameters
    ----------
    recording
        What to read.
    names
        The channels.
    seconds
        Length of a window.
    step
        From the start of one to the start of the next. After a gap that ends the recording's
        stretch, the next window begins where the recording goes on.

    Raises
    ------
    RecordError
        If the recording cannot be read to its end.
    """
    rates = [recording.rates[name] for name in names]
    lengths = [int(np.ceil(seconds * rate - 1e-6)) for rate in rates]
    buffers: list[npt.NDArray[np.float64]] = [np.empty(0) for _ in names]
    # Samples of each channel before its buffer, windows cut, and start, all of this stretch.
    passed, cut, begin = [0] * len(names), 0, 0.0
    for block in recording.blocks(names, BLOCK_SECONDS):
        if not block.continues:
            buffers = [np.empty(0) for _ in names]
            passed, cut, begin = [0] * len(names), 0, block.start
        buffers = [np.append(b, signal) for b, signal in zip(buffers, block.signals, strict=True)]
        while True:
            starts = [
                round(cut * step * rate) - before
                for rate, before in zip(rates, passed, strict=True)
            ]
            ends = [start + length for start, length in zip(starts, lengths, strict=True)]
            if any(end > len(buffer) for end, buffer in zip(ends, buffers, strict=True)):
                break
            yield Window(
                begin + cut * step,
                tuple(b[s:e] for b, s, e in zip(buffers, starts, ends, strict=True)),
            )
            cut += 1
        drop = [min(start, len(buffer)) for start, buffer in zip(starts, buffers, strict=True)]
        buffers = [buffer[d:] for buffer, d in zip(buffers, drop, strict=True)]
        passed = [before + d for before, d in zip(passed, drop, strict=True)]
