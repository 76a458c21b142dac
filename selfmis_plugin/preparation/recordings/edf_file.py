"""Long recordings in EDF and EDF+ format."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from selfmis_plugin.data.person import UNKNOWN_PERSON, Person, age_of, sex_of
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.long_recording import (
    Block,
    LongRecording,
    ReadingOptions,
)

if TYPE_CHECKING:
    import edfio

# Where the header's text is, and how much of it there is for the file and for each signal.
_HEADER = 256
_RECORDS = slice(236, 244)
_SIGNALS = slice(252, 256)
#: Samples of a channel that are read at once, at most.
_BLOCK = 1 << 22


class EdfRecording(LongRecording):
    """An EDF file; its channels may have different rates. Samples are read as they are needed.

    A file that ends before its header says, as a recorder leaves it that was switched off, is read
    to its last whole data record; a note says so.

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
        import edfio

        stated, encoding = _read_header(path)
        try:
            with warnings.catch_warnings():
                # Of records that are missing or left over, which is noted below.
                warnings.simplefilter("ignore")
                self._edf = edfio.read_edf(path, lazy_load_data=True, header_encoding=encoding)
            continuous = self._edf.is_continuous
            self._seconds = float(self._edf.duration)
            rates = {s.label: float(s.sampling_frequency) for s in reversed(self._edf.signals)}
            self._step = float(self._edf.data_record_duration)
            found = self._edf.num_data_records
        except Exception as error:  # the library raises whatever its parsing runs into
            raise RecordError(
                "bad EDF",
                f"{path.name}: cannot be read as EDF: it is cut short, damaged or of another "
                f"format; copy or export it again ({error})",
            ) from error
        if not continuous:
            raise RecordError(
                "interrupted EDF", f"{path.name}: has interruptions (EDF+D); split it there"
            )
        if not (0 < self._step < np.inf and found > 0):
            raise RecordError("bad EDF", f"{path.name}: holds no data records of a length")
        self._signals = {signal.label: signal for signal in reversed(self._edf.signals)}
        labels = list(self._edf.labels)
        self._twice = {label for label in labels if labels.count(label) > 1}
        names = {name: rates[name] for name in dict.fromkeys(labels)}
        super().__init__(path, names, _notes(stated, found), _person(self._edf), options)

    def blocks(self, names: Sequence[str], seconds: float) -> Iterator[Block]:
        """Yield the channels block by block."""
        for name in names:
            if name in self._twice:
                raise RecordError("channel twice", f"{self.path.name}: two channels named {name}")
        signals = [self._signals[name] for name in names]
        for signal in signals:
            self._check_ranges(signal)
        factors = [self.microvolts_per_unit(s.label, s.physical_dimension) for s in signals]
        # Whole data records: every channel then has a whole number of samples in a block.
        most = max(1, _BLOCK // max(signal.samples_per_data_record for signal in signals))
        step = self._step * min(most, max(1, round(seconds / self._step)))
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

    def _check_ranges(self, signal: edfio.EdfSignal) -> None:
        """Refuse ranges without a scale, of which the library returns the bare steps."""
        try:
            spans = [float(np.ptp(r)) for r in (signal.physical_range, signal.digital_range)]
        except ValueError:
            spans = []
        if not spans or not all(0 < span < np.inf for span in spans):
            raise RecordError(
                "bad EDF",
                f"{self.path.name}: channel {signal.label} has no range of values to scale its "
                "steps by",
            )


def _read_header(path: Path) -> tuple[int | None, str]:
    """The number of data records that the header says, and the encoding of its text.

    The format is ASCII, but recorders write a micro sign.
    """
    with open(path, "rb") as file:
        header = file.read(_HEADER)
        signals = _whole(header[_SIGNALS])
        header += file.read(_HEADER * signals) if signals and signals > 0 else b""
    try:
        header.decode("utf-8")
    except UnicodeDecodeError:
        return _whole(header[_RECORDS]), "latin-1"
    return _whole(header[_RECORDS]), "utf-8"


def _whole(field: bytes) -> int | None:
    try:
        return int(field.decode("ascii"))
    except ValueError:
        return None


def _person(edf: edfio.Edf) -> Person:
    """Sex and age of an EDF+ file; of a plain one, whose field is free text, neither."""
    # Many that write such fields leave out that the file is EDF+.
    about = edf.local_recording_identification
    if not edf.reserved.startswith("EDF+") and not about.startswith("Startdate "):
        return UNKNOWN_PERSON
    age = None
    with contextlib.suppress(Exception):  # a date is left out, or is none
        born, recorded = edf.patient.birthdate, edf.recording.startdate
        before = (recorded.month, recorded.day) < (born.month, born.day)
        age = age_of(str(recorded.year - born.year - before))
    return Person(sex_of(edf.patient.sex), age)


def _notes(stated: int | None, found: int) -> list[str]:
    if stated is None or stated < 0 or stated == found:
        return []
    if stated > found:
        return [f"the file ends early: {found} of {stated} data records are there, and were read"]
    return [f"the file holds {found} data records, and its header says {stated}; all were read"]
