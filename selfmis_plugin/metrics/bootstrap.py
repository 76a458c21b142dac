"""Draws of patients, and what they say about a figure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "CONFIDENCE",
    "Estimate",
    "draw_patients",
    "draw_patients_apart",
    "draws_apart",
    "estimate",
]

#: Of all intervals.
CONFIDENCE = 0.95
#: Values of draws that are in memory at once, where all of them need not be.
_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes
    ----------
    value
        The figure on the data as they are; None where it is undefined.
    low, high
        95 % interval; None where there is none.
    """

    value: float | None
    low: float | None
    high: float | None

    def to_dict(self) -> dict[str, float | None]:
        """As JSON can hold it."""
        return {"value": self.value, "low": self.low, "high": self.high}


def draw_patients(
    patient: npt.NDArray[np.int64], draws: int, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Draw as many patients as there are, with replacement; a patient's records go together.

    Parameters
    ----------
    patient
        Number of each record's patient, from 0 without gaps, (records,).
    draws
        Number of draws.
    rng
        Where the draws come from.

    Returns
    -------
    numpy.ndarray
        How often each record is in each draw, float32 (draws, records).
    """
    patients = int(patient.max()) + 1 if len(patient) else 0
    return _counts(patients, draws, rng)[:, patient].astype(np.float32)


def draw_patients_apart(
    patient: npt.NDArray[np.int64],
    target: npt.NDArray[np.bool_],
    draws: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.float32]:
    """Draw patients who have a label, and those who have not, each as many as there are.

    Every draw then has both, however rare the label. A patient with a positive record is drawn
    with all records, the negative ones too.

    Parameters and result are those of :func:`draw_patients`; *target* is bool, (records,).
    """
    weights = list(draws_apart(patient, target, draws, rng))
    return np.concatenate([np.zeros((0, len(patient)), dtype=np.float32), *weights])


def draws_apart(
    patient: npt.NDArray[np.int64],
    target: npt.NDArray[np.bool_],
    draws: int,
    rng: np.random.Generator,
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the draws of :func:`draw_patients_apart` in their order, as many at once as take little
    memory: float32 (some draws, records)."""
    patients = int(patient.max()) + 1 if len(patient) else 0
    has = np.zeros(patients, dtype=bool)
    has[patient[target]] = True
    # No patient comes 65,536 times in a draw in which each is expected once.
    counts = np.empty((draws, patients), dtype=np.uint16)
    for group in (np.flatnonzero(has), np.flatnonzero(~has)):
        for some in _blocks(draws, len(group)):
            counts[some, group] = _counts(len(group), some.stop - some.start, rng)
    for some in _blocks(draws, len(patient)):
        yield counts[some][:, patient].astype(np.float32)


def estimate(value: float, drawn: npt.NDArray[np.float64]) -> Estimate:
    """Return a figure and the percentile interval of its draws; NaN draws are left out."""
    kept = drawn[~np.isnan(drawn)]
    if not len(kept):
        return Estimate(None if np.isnan(value) else float(value), None, None)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    return Estimate(None if np.isnan(value) else float(value), float(low), float(high))


def _counts(patients: int, draws: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    chosen = rng.integers(patients or 1, size=(draws, patients), dtype=np.int64)
    chosen += patients * np.arange(draws, dtype=np.int64)[:, None]
    return np.bincount(chosen.ravel(), minlength=draws * patients).reshape(draws, patients)


def _blocks(draws: int, width: int) -> Iterator[slice]:
    """Cut draws into blocks of about :data:`_AT_ONCE` values; *width* are those of a draw."""
    size = max(1, _AT_ONCE // max(1, width))
    for start in range(0, draws, size):
        yield slice(start, min(start + size, draws))
