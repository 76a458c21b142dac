"""A recording as a reader hands it over, whatever format it came in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.person import UNKNOWN_PERSON, Person
from selfmis_plugin.data.preprocessing import MISSING_INT16, to_microvolts

#: Characters of a reason: paths have up to 4,096, though few have more than a hundred.
_LONGEST_REASON = 1500


class RecordError(ValueError):
    """A record cannot be used.

    Parameters
    ----------
    kind
        What is wrong in two or three words, the same for all such records; summaries count it.
    reason
        What is wrong with this one, naming the file. Of a reason that is too long to be read, such
        as one with a name of thousands of signs out of a damaged header, the ends are kept.
    """

    def __init__(self, kind: str, reason: str) -> None:
        if len(reason) > _LONGEST_REASON:
            half = _LONGEST_REASON // 2
            reason = f"{reason[:half]} ... {reason[-half:]}"
        super().__init__(kind, reason)
        self.kind = kind
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True)
class Recording:
    """Standard leads of one recording, before any preprocessing.

    Attributes
    ----------
    microvolts
        float64, (leads, samples); missing samples are NaN.
    leads
        Names in standard spelling, in the order of the first axis.
    rate
        Samples a second.
    notes
        What had to be assumed or left aside when reading, for the table of records.
    person
        Whom it is of, where the file was asked; what a database's tables say goes first.
    """

    microvolts: npt.NDArray[np.float64]
    leads: tuple[str, ...]
    rate: float
    notes: tuple[str, ...] = ()
    person: Person = UNKNOWN_PERSON


@dataclass(frozen=True)
class DigitalRecording:
    """A recording in the recorder's own 16-bit steps, for those who need no floating point.

    Attributes
    ----------
    digital
        int16, (leads, samples); missing samples are -32768.
    gain, baseline, factor
        float64, (leads, 1): steps in one unit, step of zero, microvolts in one unit.
    leads, rate, notes, person
        As in :class:`Recording`.
    """

    digital: npt.NDArray[np.int16]
    gain: npt.NDArray[np.float64]
    baseline: npt.NDArray[np.float64]
    factor: npt.NDArray[np.float64]
    leads: tuple[str, ...]
    rate: float
    notes: tuple[str, ...] = ()
    person: Person = UNKNOWN_PERSON

    def to_recording(self) -> Recording:
        """Return the same recording in microvolts."""
        signal = to_microvolts(self.digital, self.gain, self.baseline, self.factor)
        signal[self.digital == MISSING_INT16] = np.nan
        return Recording(signal, self.leads, self.rate, self.notes, self.person)


#: Takes a record's path without suffix and raises RecordError.
Reader = Callable[[Path], Recording | DigitalRecording]
