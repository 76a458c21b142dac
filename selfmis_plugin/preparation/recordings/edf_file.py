"""Long recordings in EDF and EDF+ format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import edfio

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.long_recording import (
    Block,
    LongRecording,
    ReadingOptions,
    microvolts_per_unit,
)


class EdfRecording(LongRecording):
    """An EDF file; its channels may have different rates. Samples are read as they are needed.

    Parameters
    ----------
    path
        The file.
    options
        What the user says about it.

    Raises
    ------
    RecordError
        If the file is damaged, or has interruptions (EDF+D).
    """

    def __init__(self, path: Path, options: ReadingOptions) -> None:
        self._options = options
        try:
            # Latin-1, because recorders write a micro sign although the format is ASCII.
            self._edf = edfio.read_edf(path, lazy_load_data=True, header_encoding="latin-1")
            continuous = self._edf.is_continuous
            self._seconds = float(self._edf.duration)
        except Exception as error:  # the library raises whatever its parsing runs into
            raise RecordError("bad EDF", f"{path.name}: cannot be read as EDF: {error}") from error
        if not continuous:
            raise RecordError(
                "interrupted EDF", f"{path.name}: has interruptions (EDF+D); split it there"
            )
        self._signals = {signal.label: signal for signal in reversed(self._edf.signals)}
        labels = list(self._edf.labels)
        self._twice = {label for label in labels if labels.count(label) > 1}
        super().__init__(
            path,
            {name: float(self._signals[name].sampling_frequency) for name in dict.fromkeys(labels)},
        )

    def blocks(self, names: Sequence[str], seconds: float) -> Iterator[Block]:
        for name in names:
            if name in self._twice:
                raise RecordError("channel twice", f"{self.path.name}: two channels named {name}")
        signals = [self._signals[name] for name in names]
        factors = [
            microvolts_per_unit(self.path, s.label, s.physical_dimension, self._options)
            for s in signals
        ]
        # Whole data records: every channel then has a whole number of samples in a block.
        step = self._edf.data_record_duration
        step *= max(1, round(seconds / step))
        count = -(-self._seconds // step)
        for k in range(int(count)):
            start, stop = k * step, min((k + 1) * step, self._seconds)
            try:
                values = tuple(
                    signal.get_data_slice(start, stop) * factor
                    for signal, factor in zip(signals, factors, strict=True)
                )
            except Exception as error:
                raise RecordError(
                    "bad EDF", f"{self.path.name}: seconds {start:g} on cannot be read: {error}"
                ) from error
            yield Block(start, values, continues=k > 0)
