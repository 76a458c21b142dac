"""Twelve leads from one: what to compare a synthesis with, and how.

Signals are (records, leads, samples), each lead of each record at zero mean and unit standard
deviation: one lead alone does not tell how large the others are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.metrics.beats import BEFORE, BEHIND

__all__ = [
    "Fit",
    "beats_at_peaks",
    "mean_beat",
    "mean_beat_at_peaks",
    "mean_ecg",
    "nearest_ecg",
    "nearest_rows",
    "score",
]

Signals = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Fit:
    """How close synthesised leads are to the true ones.

    Attributes
    ----------
    leads
        Names of the leads.
    correlation
        Pearson correlation over the samples of a record, its mean over the records, (leads,).
        A synthesis that is constant counts as 0.
    rmse
        Root mean squared difference over the samples of a record, its mean over the records,
        (leads,), in standard deviations of the true lead.
    correlations
        The correlation of every record, (records, leads).
    """

    leads: tuple[str, ...]
    correlation: npt.NDArray[np.float64]
    rmse: npt.NDArray[np.float64]
    correlations: npt.NDArray[np.float64]

    def to_dict(self, given: str) -> dict[str, Any]:
        """As JSON can hold it; means are over the leads other than the one *given*."""
        others = [k for k, lead in enumerate(self.leads) if lead != given]
        return {
            "correlation": dict(zip(self.leads, self.correlation.tolist(), strict=True)),
            "rmse": dict(zip(self.leads, self.rmse.tolist(), strict=True)),
            "mean_correlation": float(self.correlation[others].mean()),
            "mean_rmse": float(self.rmse[others].mean()),
        }


def score(truth: Signals, synthesised: Signals, leads: Sequence[str]) -> Fit:
    """Compare synthesised leads with the true ones.

    Parameters
    ----------
    truth, synthesised
        (records, leads, samples); the truth standardised lead by lead.
    leads
        Names of the leads.

    Raises
    ------
    ValueError
        If the shapes differ or are not those of *leads*.
    """
    if truth.shape != synthesised.shape or truth.ndim != 3 or truth.shape[1] != len(leads):
        raise ValueError(
            f"truth {truth.shape} and synthesis {synthesised.shape} are not both (records, "
            f"{len(leads)} leads, samples)"
        )
    rows = [np.asarray(side, dtype=np.float64) for side in (truth, synthesised)]
    rmse = np.sqrt(np.square(rows[0] - rows[1]).mean(axis=-1))
    centred = [side - side.mean(axis=-1, keepdims=True) for side in rows]
    norms = np.linalg.norm(centred[0], axis=-1) * np.linalg.norm(centred[1], axis=-1)
    products = (centred[0] * centred[1]).sum(axis=-1)
    # Not exactly 0: a constant has roundings.
    known = norms > 1e-6 * truth.shape[-1]
    correlations = np.divide(products, norms, out=np.zeros_like(products), where=known)
    return Fit(tuple(leads), correlations.mean(axis=0), rmse.mean(axis=0), correlations)


def mean_ecg(train: Signals, records: int) -> Signals:
    """Return the mean of the training records, sample by sample, for each of *records*.

    Records start anywhere in a beat, so that little of a beat is left of it.
    """
    mean = train.mean(axis=0, dtype=np.float64).astype(np.float32)
    return np.broadcast_to(mean, (records, *mean.shape))


def nearest_ecg(train: Signals, given: Signals, lead: int) -> Signals:
    """Return for each record the training record whose lead is nearest to the *given* one.

    Parameters
    ----------
    train
        (training records, leads, samples).
    given
        The one lead, (records, samples).
    lead
        Which one it is.
    """
    return train[nearest_rows(train[:, lead], given)]


def nearest_rows(known: Signals, given: Signals) -> npt.NDArray[np.int64]:
    """Return for each signal, (records, samples), the row of the nearest *known* one."""
    # Squared distances up to what is the same for all known ones.
    distances = np.square(known).sum(axis=1) - 2 * given @ known.T
    return distances.argmin(axis=1)


def mean_beat_at_peaks(
    train: Signals,
    train_peaks: Sequence[npt.NDArray[np.int64]],
    peaks: Sequence[npt.NDArray[np.int64]],
    sample_rate: float,
) -> Signals:
    """Put the mean beat of the training records at every R peak of the given lead.

    That is the mean electrocardiogram for one who has seen when the heart beats. Between beats it
    is zero.

    Parameters
    ----------
    train
        (training records, leads, samples).
    train_peaks, peaks
        Samples of the R peaks of the given lead, of training records and of those to make.
    sample_rate
        Samples a second.
    """
    beat = mean_beat(train, train_peaks, sample_rate)
    return beats_at_peaks(beat, peaks, train.shape[-1], sample_rate)


def mean_beat(
    train: Signals, peaks: Sequence[npt.NDArray[np.int64]], sample_rate: float
) -> npt.NDArray[np.float64]:
    """Return the mean beat of training records, (leads, samples of a beat); see
    :func:`mean_beat_at_peaks`."""
    samples, offsets = train.shape[-1], _offsets(sample_rate)
    total = np.zeros((train.shape[1], len(offsets)))
    count = 0
    for record, found in zip(train, peaks, strict=True):
        whole = found[(found + offsets[0] >= 0) & (found + offsets[-1] < samples)]
        total += record[:, whole[:, None] + offsets].sum(axis=1)
        count += len(whole)
    return total / max(1, count)


def beats_at_peaks(
    beat: npt.NDArray[np.floating],
    peaks: Sequence[npt.NDArray[np.int64]],
    samples: int,
    sample_rate: float,
) -> Signals:
    """Put a beat of :func:`mean_beat` at the R peaks of each record, zeros between, float32
    (records, leads, *samples*)."""
    offsets = _offsets(sample_rate)
    made = np.zeros((len(peaks), len(beat), samples), dtype=np.float32)
    for record, found in zip(made, peaks, strict=True):
        for peak in found:
            inside = (peak + offsets >= 0) & (peak + offsets < samples)
            record[:, peak + offsets[inside]] = beat[:, inside]
    return made


def _offsets(sample_rate: float) -> npt.NDArray[np.int64]:
    """Return the samples of a beat, counted from its R peak."""
    return np.arange(-round(BEFORE * sample_rate), round(BEHIND * sample_rate))
