"""Draws of patients, and what they say about a figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["CONFIDENCE", "Estimate", "draw_patients", "draw_patients_apart", "estimate"]

#: Of all intervals.
CONFIDENCE = 0.95


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
    return _counts(patients, draws, rng)[:, patient]


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
    patients = int(patient.max()) + 1 if len(patient) else 0
    has = np.zeros(patients, dtype=bool)
    has[patient[target]] = True
    counts = np.empty((draws, patients), dtype=np.float32)
    for group in (np.flatnonzero(has), np.flatnonzero(~has)):
        counts[:, group] = _counts(len(group), draws, rng)
    return counts[:, patient]


def estimate(value: float, drawn: npt.NDArray[np.float64]) -> Estimate:
    """Return a figure and the percentile interval of its draws; NaN draws are left out."""
    kept = drawn[~np.isnan(drawn)]
    if not len(kept):
        return Estimate(None if np.isnan(value) else float(value), None, None)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    return Estimate(None if np.isnan(value) else float(value), float(low), float(high))


def _counts(patients: int, draws: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    if not patients:
        return np.zeros((draws, 0), dtype=np.float32)
    chosen = rng.integers(patients, size=(draws, patients), dtype=np.int64)
    chosen += patients * np.arange(draws, dtype=np.int64)[:, None]
    counts = np.bincount(chosen.ravel(), minlength=draws * patients)
    return counts.reshape(draws, patients).astype(np.float32)
