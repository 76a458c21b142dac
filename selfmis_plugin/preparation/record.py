"""What happens to one record: read, checked, repaired, brought to the store's form."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.filter_names import NO_FILTER
from selfmis_plugin.data.filters import FILTERS
from selfmis_plugin.data.leads import STANDARD_LEADS, lead_mask
from selfmis_plugin.data.person import UNKNOWN_PERSON, Person
from selfmis_plugin.data.preprocessing import (
    MISSING_INT16,
    PreprocessingError,
    centre,
    crop_or_pad,
    digital_to_int16,
    replace_non_finite,
    resample,
    resampling_ratio,
    to_int16,
)
from selfmis_plugin.data.recording import DigitalRecording, Reader, RecordError, Recording
from selfmis_plugin.preparation.listing import ListedRecord

SAMPLE_RATE = 500
SECONDS = 10.0


@dataclass(frozen=True)
class Prepared:
    """A record as it goes into the store.

    Attributes
    ----------
    signal
        int16 microvolts, (12, samples); leads that the recording lacks are zero.
    lead_mask
        Bit k is set if lead k is present.
    repairs
        What was done, as kind (for counting) and text.
    person
        Whom it is of, as far as its file was asked.
    """

    signal: npt.NDArray[np.int16]
    lead_mask: int
    repairs: tuple[tuple[str, str], ...]
    person: Person = UNKNOWN_PERSON


def prepare_recording(
    recording: Recording | DigitalRecording,
    name: str,
    required: Sequence[str] = STANDARD_LEADS,
    sample_rate: float = SAMPLE_RATE,
    seconds: float = SECONDS,
    filter: str = NO_FILTER,
) -> Prepared:
    """Bring a recording into the store's form.

    Missing samples become zero; then the recording is resampled, cut to its middle, filtered,
    rounded to whole microvolts, and padded with zeros if it is short. A lead without a single
    valid sample in the part that is kept counts as absent.

    Parameters
    ----------
    recording
        What a reader returned.
    name
        How to name the record in errors.
    required
        Leads that must be there.
    sample_rate, seconds
        The store's.
    filter
        Name of the store's filter, see :data:`~selfmis_plugin.data.filters.FILTERS`. It sees just
        the part of the recording that is kept, as ECGFounder's saw whole records of 10 s.

    Raises
    ------
    RecordError
        If a required lead is absent, the sampling rate cannot be, or the recording is too short
        to be filtered.
    """
    samples = round(sample_rate * seconds)
    try:
        ratio = resampling_ratio(recording.rate, sample_rate)
    except PreprocessingError as error:
        raise RecordError("bad header", f"{name}: {error}") from error
    if isinstance(recording, DigitalRecording) and (ratio != 1 or filter != NO_FILTER):
        recording = recording.to_recording()
    values = recording.digital if isinstance(recording, DigitalRecording) else recording.microvolts
    kept, start, stop, new_length = _cut(values.shape[1], samples, ratio)
    missing = _missing(recording, kept)
    filled: npt.NDArray[np.bool_] = np.logical_not(missing.all(axis=1))
    present = [lead for lead, some in zip(recording.leads, filled.tolist(), strict=True) if some]
    # A slice takes a view where a mask would copy.
    rows = slice(None) if len(present) == len(filled) else filled
    _check_leads(recording, present, required, name)

    repairs = [("reading", note) for note in recording.notes]
    without = [lead for lead in STANDARD_LEADS if lead not in present]
    if without:
        repairs.append(("absent leads", f"leads {', '.join(without)} absent"))
    count = int(np.count_nonzero(missing[rows]))
    if count:
        repairs.append(("missing samples", f"{count} missing samples set to zero"))
    if ratio != 1:
        repairs.append(("resampled", f"resampled from {recording.rate:g} Hz"))
    if new_length > samples:
        repairs.append(("cropped", f"cropped from {new_length / sample_rate:g} s"))
    elif new_length < samples:
        repairs.append(("padded", f"padded {samples - new_length} samples"))
    if isinstance(recording, DigitalRecording):
        scales = (recording.gain[rows], recording.baseline[rows], recording.factor[rows])
        rounded, clipped = digital_to_int16(recording.digital[rows, kept], *scales)
    else:
        signal = replace_non_finite(recording.microvolts[rows])
        signal = crop_or_pad(resample(signal, recording.rate, sample_rate), stop - start)
        try:
            signal = FILTERS[filter](signal, sample_rate)
        except PreprocessingError as error:
            raise RecordError("cannot be filtered", f"{name}: {error}") from error
        rounded, clipped = to_int16(signal)
    if clipped:
        repairs.append(("clipped", f"clipped {clipped} samples"))
    if tuple(present) != STANDARD_LEADS or stop - start < samples:
        whole = np.zeros((len(STANDARD_LEADS), samples), dtype=np.int16)
        whole[[STANDARD_LEADS.index(lead) for lead in present], : stop - start] = rounded
        rounded = whole
    return Prepared(rounded, lead_mask(present), tuple(repairs), recording.person)


@dataclass(frozen=True)
class RecordPreparer:
    """Prepares a listed record in a worker; everything that goes wrong becomes a refusal."""

    root: Path
    required: tuple[str, ...]
    reader: Reader
    filter: str = NO_FILTER

    def __post_init__(self) -> None:
        # Compiles the filter here, once: the workers then find the machine code on disk.
        FILTERS[self.filter](np.zeros((1, round(SAMPLE_RATE * SECONDS))), SAMPLE_RATE)

    def __call__(self, record: ListedRecord) -> tuple[ListedRecord, Prepared | RecordError]:
        """Prepare a record; what is wrong with it is returned, not raised."""
        if record.problem is not None:
            return record, record.problem
        try:
            recording = self.reader(_inside(self.root, record.source))
            return record, prepare_recording(
                recording, record.source, self.required, filter=self.filter
            )
        except RecordError as error:
            return record, error
        except Exception as error:  # one odd record must not cost the other 800,000
            reason = f"{record.source}: {type(error).__name__}: {error}"
            return record, RecordError("unexpected error", reason)


@functools.lru_cache(maxsize=64)
def _cut(length: int, samples: int, ratio: Fraction) -> tuple[slice, int, int, int]:
    """Return what of a recording is kept: before resampling, from and to after it, of how many."""
    new_length = -(-length * ratio.numerator // ratio.denominator)
    start, stop = centre(new_length, samples)
    first = int(start / ratio)
    return slice(first, max(first + 1, -int(-stop // ratio))), start, stop, new_length


def _missing(recording: Recording | DigitalRecording, part: slice) -> npt.NDArray[np.bool_]:
    if isinstance(recording, DigitalRecording):
        return np.equal(recording.digital[:, part], MISSING_INT16)
    return ~np.isfinite(recording.microvolts[:, part])


def _inside(root: Path, source: str) -> Path:
    path = os.path.normpath(source)
    if os.path.isabs(path) or path.split(os.sep)[0] == os.pardir or "\0" in path:
        raise RecordError("file outside folder", f"{source}: leads out of the database's folder")
    return root / path


def _check_leads(
    recording: Recording | DigitalRecording,
    present: Sequence[str],
    required: Sequence[str],
    name: str,
) -> None:
    lacking = [lead for lead in required if lead not in present]
    if not lacking and present:
        return
    empty = [lead for lead in lacking or recording.leads if lead in recording.leads]
    unnamed = [lead for lead in lacking if lead not in recording.leads]
    reasons = []
    if unnamed:
        reasons.append(f"lacks {', '.join(unnamed)}")
    if empty:
        reasons.append(f"has no valid sample in {', '.join(empty)}")
    raise RecordError("missing lead", f"{name}: {' and '.join(reasons)}")
