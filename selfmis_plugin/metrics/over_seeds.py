"""Figures of one recipe that was trained with several seeds, on the same records.

Seeds share the records that judge them, so they are no further sample of patients: an interval is
that of the mean over seeds, all weighted by the same draws of patients. What differs between the
seeds themselves is their standard deviation, a figure of its own.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.metrics.bootstrap import (
    Estimate,
    difference_p_value,
    draw_patients,
    estimate,
)
from selfmis_plugin.metrics.predictions import Predictions, PredictionsError
from selfmis_plugin.metrics.ranking import LabelScores

__all__ = ["OverSeeds", "difference_over_seeds", "mean_over_seeds"]


@dataclass(frozen=True)
class OverSeeds:
    """A mean AUC over labels and seeds, or the difference of two.

    Attributes
    ----------
    estimate
        The mean over seeds with its interval by patients.
    seeds
        The figure of each seed.
    p_value
        Of a difference: that it is none (bootstrap); None otherwise.
    """

    estimate: Estimate
    seeds: tuple[float, ...]
    p_value: float | None = None

    @property
    def deviation(self) -> float | None:
        """Standard deviation between seeds; None for one."""
        return statistics.stdev(self.seeds) if len(self.seeds) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            **self.estimate.to_dict(),
            "seeds": list(self.seeds),
            "deviation": self.deviation,
            "p_value": self.p_value,
        }


def mean_over_seeds(
    predictions: Sequence[Predictions], labels: Sequence[str], draws: int, seed: int = 0
) -> OverSeeds:
    """Return the mean AUC of *labels* over seeds with its 95 % interval.

    Parameters
    ----------
    predictions
        Of the same records in the same order, one a seed.
    labels
        Columns of each, with positives and negatives.
    draws
        Bootstrap draws of patients.
    seed
        Of the draws.

    Raises
    ------
    PredictionsError
        If they are of different records.
    """
    drawn = _drawn(predictions, labels, draws, seed)
    mean = drawn.mean(axis=0)
    return OverSeeds(estimate(float(mean[0]), mean[1:]), tuple(map(float, drawn[:, 0])))


def difference_over_seeds(
    first: Sequence[Predictions],
    second: Sequence[Predictions],
    labels: Sequence[str],
    draws: int,
    seed: int = 0,
) -> OverSeeds:
    """Return the mean AUC of the first minus the second's, paired by records and seeds.

    Raises
    ------
    PredictionsError
        If they are of different records, or of other numbers of seeds.
    """
    if len(first) != len(second):
        raise PredictionsError(f"{len(first)} and {len(second)} seeds cannot be compared")
    _same_records([*first, *second])
    one, other = (_drawn(side, labels, draws, seed) for side in (first, second))
    apart = one - other
    mean = apart.mean(axis=0)
    found = estimate(float(mean[0]), mean[1:])
    return OverSeeds(found, tuple(map(float, apart[:, 0])), difference_p_value(mean[1:]))


def _drawn(
    predictions: Sequence[Predictions], labels: Sequence[str], draws: int, seed: int
) -> npt.NDArray[np.float64]:
    """Mean AUC of the labels, of the data and of each draw, (seeds, 1 + draws)."""
    _same_records(predictions)
    patient, _ = predictions[0].patient_index()
    weights = draw_patients(patient, draws, np.random.default_rng(seed))
    weights = np.concatenate([np.ones((1, weights.shape[1]), dtype=np.float32), weights])
    values = np.empty((len(predictions), len(weights), len(labels)))
    for row, one in enumerate(predictions):
        for place, label in enumerate(labels):
            column = one.labels.index(label)
            scores = LabelScores(one.targets[:, column], one.logits[:, column])
            aucs = scores.auc(weights[:, scores.positive], weights[:, scores.negative])
            values[row, :, place] = aucs
    known = ~np.isnan(values)
    count = known.sum(axis=2)
    total = np.where(known, values, 0.0).sum(axis=2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _same_records(predictions: Sequence[Predictions]) -> None:
    first = predictions[0]
    for other in predictions[1:]:
        if other.record_ids != first.record_ids or other.patient_ids != first.patient_ids:
            raise PredictionsError("seeds are of different records, so they have no common figure")
