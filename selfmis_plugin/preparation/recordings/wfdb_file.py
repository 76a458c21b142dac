"""Long recordings in WFDB format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import wfdb

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.long_recording import (
    Block,
    LongRecording,
    ReadingOptions,
    microvolts_per_unit,
)


class WfdbRecording(LongRecording):
    """A WFDB record, also of several segments or with channels of different rates.

    Parameters
    ----------
    path
        The header file.
    options
        What the user says about it.

    Raises
    ------
    RecordError
        If the header cannot be read, or does not give the length.
    """

    def __init__(self, path: Path, options: ReadingOptions) -> None:
        self._options = options
        self._name = str(path.with_suffix(""))
        try:
            header = wfdb.rdheader(self._name, rd_segments=True)
            self._segmented = isinstance(header, wfdb.MultiRecord)
            names = list((header.get_sig_name() if self._segmented else header.sig_name) or [])
        except Exception as error:  # the library raises whatever its parsing runs into
            raise RecordError("bad header", f"{path.name}: cannot be read: {error}") from error
        self._frame_rate = float(header.fs or 0)
        if not header.sig_len:
            raise RecordError("bad header", f"{path.name}: does not give the number of samples")
        self._frames = int(header.sig_len)
        per_frame = [1] * len(names) if self._segmented else header.samps_per_frame
        super().__init__(
            path,
            {n: self._frame_rate * (k or 1) for n, k in zip(names, per_frame, strict=True)},
        )

    def blocks(self, names: Sequence[str], seconds: float) -> Iterator[Block]:
        step = max(1, round(seconds * self._frame_rate))
        for first in range(0, self._frames, step):
            last = min(first + step, self._frames)
            try:
                record = wfdb.rdrecord(
                    self._name,
                    sampfrom=first,
                    sampto=last,
                    channel_names=list(dict.fromkeys(names)),
                    smooth_frames=self._segmented,
                )
            except Exception as error:
                raise RecordError(
                    "bad signal file",
                    f"{self.path.name}: samples {first} to {last} cannot be read: {error}",
                ) from error
            signals = record.p_signal.T if self._segmented else record.e_p_signal
            by_name = {
                name: np.asarray(signals[k], dtype=np.float64)
                * microvolts_per_unit(self.path, name, record.units[k] or "", self._options)
                for k, name in enumerate(record.sig_name)
            }
            absent = np.full(last - first, np.nan)
            yield Block(
                first / self._frame_rate,
                tuple(by_name.get(name, absent) for name in names),
                continues=first > 0,
            )
