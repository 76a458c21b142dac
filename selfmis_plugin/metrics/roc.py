"""ROC curves with bands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_curve

from selfmis_plugin.metrics.bootstrap import draws_apart
from selfmis_plugin.metrics.intervals import share_limits

__all__ = ["ROCBand", "roc_band"]

#: False positive rates at which a band is given.
GRID = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class ROCBand:
    """A ROC curve and the 95 % band of its sensitivities.

    Attributes
    ----------
    false_positive_rate, sensitivity
        Points of the curve itself, from (0, 0) to (1, 1).
    grid, low, high
        The band: 95 % interval of the sensitivity at each false positive rate by itself, as wide as
        few positives demand (:func:`~selfmis_plugin.metrics.intervals.share_limits`).
    """

    false_positive_rate: npt.NDArray[np.float64]
    sensitivity: npt.NDArray[np.float64]
    grid: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]


def roc_band(
    target: npt.NDArray[np.bool_],
    score: npt.NDArray[np.floating],
    patient: npt.NDArray[np.int64],
    draws: int = 1000,
    seed: int = 0,
) -> ROCBand:
    """Return the ROC curve of one label, with a band by patient.

    Positive and negative patients are resampled apart, so that every draw has both.

    Parameters
    ----------
    target
        bool, (records,); at least one True and one False.
    score
        (records,), larger for more likely.
    patient
        Number of each record's patient, from 0 without gaps.
    draws, seed
        Number and seed of the draws.

    Raises
    ------
    ValueError
        If the target is all True or all False: there is no curve.
    """
    if target.all() or not target.any():
        raise ValueError("a ROC curve needs a positive and a negative record")
    scores = score.astype(np.float64)
    false, hits, thresholds = roc_curve(target, scores, drop_intermediate=False)
    # The draws have the curve's own thresholds, all of them in one pass: a curve at a time by
    # roc_curve would take a report longer than all the rest of it.
    order = np.argsort(-scores, kind="stable")
    ends = np.searchsorted(-scores[order], -thresholds[1:], side="right") - 1
    truth = target[order]
    rng = np.random.default_rng(seed)
    curves = np.concatenate(
        [
            _curves(weights[:, order], truth, ends)
            for weights in draws_apart(patient, target, draws, rng)
        ]
    )
    own = np.interp(GRID, false, hits)
    low, high = share_limits(own, patient[target], curves.var(axis=0))
    # The true curve rises and ends in (1, 1), so its limits do.
    low[-1] = 1.0
    low, high = np.maximum.accumulate(low), np.minimum.accumulate(high[::-1])[::-1]
    return ROCBand(false, hits, GRID, low, high)


def _curves(
    weights: npt.NDArray[np.float32],
    truth: npt.NDArray[np.bool_],
    ends: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Sensitivity at each rate of the grid, by draw; records are sorted, likely ones first."""
    drawn = zip(_rates(weights * ~truth, ends), _rates(weights * truth, ends), strict=True)
    return np.stack([np.interp(GRID, *rates) for rates in drawn])


def _rates(
    weights: npt.NDArray[np.float32], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Share of the weight above each threshold, from 0 to 1, by draw."""
    passed = np.cumsum(weights, axis=1, dtype=np.float64)[:, ends]
    return np.concatenate([np.zeros((len(passed), 1)), passed / passed[:, -1:]], axis=1)
