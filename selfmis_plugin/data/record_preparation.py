"""What happens to one record: read, checked, repaired, brought to the store's form."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.leads import STANDARD_LEADS, lead_mask
from selfmis_plugin.data.listing import ListedRecord
from selfmis_plugin.data.preprocessing import (
    PreprocessingError,
    centre,
    crop_or_pad,
    replace_non_finite,
    resample,
    resampling_ratio,
    to_int16,
)
from selfmis_plugin.data.recording import RecordError, Recording

SAMPLE_RATE = 500
SECONDS = 10.0

#: A reader takes a record's path without suffix and raises RecordError.
Reader = Callable[[Path], Recording]


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
    """

    signal: npt.NDArray[np.int16]
    lead_mask: int
    repairs: tuple[tuple[str, str], ...]


def prepare_recording(
    recording: Recording,
    name: str,
    required: Sequence[str] = STANDARD_LEADS,
    sample_rate: float = SAMPLE_RATE,
    seconds: float = SECONDS,
) -> Prepared:
    """Bring a recording into the store's form.

    Missing samples become zero; then the recording is resampled, then cut to its middle or
    padded with zeros, then rounded to whole microvolts. A lead without a single valid sample in
    the part that is kept counts as absent.

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

    Raises
    ------
    RecordError
        If a required lead is absent or the sampling rate cannot be.
    """
    samples = round(sample_rate * seconds)
    length = recording.microvolts.shape[-1]
    try:
        ratio = resampling_ratio(recording.rate, sample_rate)
    except PreprocessingError as error:
        raise RecordError("bad header", f"{name}: {error}") from error
    new_length = -(-length * ratio.numerator // ratio.denominator)
    start, stop = centre(new_length, samples)
    kept = slice(int(start / ratio), max(int(start / ratio) + 1, -int(-stop // ratio)))
    missing = ~np.isfinite(recording.microvolts[:, kept])
    filled = ~np.all(missing, axis=1)
    present = [lead for lead, some in zip(recording.leads, filled.tolist(), strict=True) if some]
    _check_leads(recording, present, required, name)

    repairs = [("reading", note) for note in recording.notes]
    without = [lead for lead in STANDARD_LEADS if lead not in present]
    if without:
        repairs.append(("absent leads", f"leads {', '.join(without)} absent"))
    count = int(np.count_nonzero(missing[filled]))
    if count:
        repairs.append(("missing samples", f"{count} missing samples set to zero"))
    signal = replace_non_finite(recording.microvolts[filled])
    if ratio != 1:
        signal = resample(signal, recording.rate, sample_rate)
        repairs.append(("resampled", f"resampled from {recording.rate:g} Hz"))
    if signal.shape[-1] > samples:
        repairs.append(("cropped", f"cropped from {signal.shape[-1] / sample_rate:g} s"))
    elif signal.shape[-1] < samples:
        repairs.append(("padded", f"padded {samples - signal.shape[-1]} samples"))
    rounded, clipped = to_int16(crop_or_pad(signal, samples))
    if clipped:
        repairs.append(("clipped", f"clipped {clipped} samples"))
    whole = np.zeros((len(STANDARD_LEADS), samples), dtype=np.int16)
    whole[[STANDARD_LEADS.index(lead) for lead in present]] = rounded
    return Prepared(whole, lead_mask(present), tuple(repairs))


@dataclass(frozen=True)
class RecordPreparer:
    """Prepares a listed record in a worker; everything that goes wrong becomes a refusal."""

    root: Path
    required: tuple[str, ...]
    reader: Reader

    def __call__(self, record: ListedRecord) -> tuple[ListedRecord, Prepared | RecordError]:
        if record.problem is not None:
            return record, record.problem
        try:
            recording = self.reader(_inside(self.root, record.source))
            return record, prepare_recording(recording, record.source, self.required)
        except RecordError as error:
            return record, error
        except Exception as error:  # one odd record must not cost the other 800,000
            reason = f"{record.source}: {type(error).__name__}: {error}"
            return record, RecordError("unexpected error", reason)


def _inside(root: Path, source: str) -> Path:
    path = os.path.normpath(source)
    if os.path.isabs(path) or path.split(os.sep)[0] == os.pardir or "\0" in path:
        raise RecordError("file outside folder", f"{source}: leads out of the database's folder")
    return root / path


def _check_leads(
    recording: Recording, present: Sequence[str], required: Sequence[str], name: str
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
