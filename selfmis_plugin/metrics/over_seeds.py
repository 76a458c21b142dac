"""Figures of one recipe that was trained with several seeds, on the same records.

Seeds share the records that judge them, so they are no further sample of patients: an interval is
that of the mean over seeds, in other patients. What differs between the seeds themselves is their
standard deviation, a figure of its own.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from selfmis_plugin.metrics.bootstrap import Estimate
from selfmis_plugin.metrics.intervals import AUCs, mean_difference, mean_estimate, measure_aucs
from selfmis_plugin.metrics.predictions import Predictions, PredictionsError

__all__ = ["OverSeeds", "difference_over_seeds", "mean_over_seeds"]


@dataclass(frozen=True)
class OverSeeds:
    """A mean AUC over labels and seeds, or the difference of two.

    Attributes
    ----------
    estimate
        The mean over seeds with its 95 % interval by patients.
    seeds
        The figure of each seed; None where a label has no positives or no negatives.
    p_value
        Of a difference: that it is none; None otherwise, and where it is undefined.
    """

    estimate: Estimate
    seeds: tuple[float | None, ...]
    p_value: float | None = None

    @property
    def deviation(self) -> float | None:
        """Standard deviation between seeds; None for one, and where they are undefined."""
        known = [value for value in self.seeds if value is not None]
        return statistics.stdev(known) if len(known) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            **self.estimate.to_dict(),
            "seeds": list(self.seeds),
            "deviation": self.deviation,
            "p_value": self.p_value,
        }


def mean_over_seeds(predictions: Sequence[Predictions], labels: Sequence[str]) -> OverSeeds:
    """Return the mean AUC of *labels* over seeds with its interval.

    Parameters
    ----------
    predictions
        Of the same records in the same order, one a seed.
    labels
        Columns of each; without positives or negatives of one of them the figure is undefined.

    Raises
    ------
    PredictionsError
        If they are of different records, or disagree about the truth.
    """
    _same_records(predictions)
    seeds = [_aucs(one, labels) for one in predictions]
    return OverSeeds(mean_estimate(_mean(seeds)), tuple(_known(a.value.mean()) for a in seeds))


def difference_over_seeds(
    first: Sequence[Predictions], second: Sequence[Predictions], labels: Sequence[str]
) -> OverSeeds:
    """Return the mean AUC of the first minus the second's, paired by records and seeds.

    Raises
    ------
    PredictionsError
        If they are of different records, disagree about the truth, or are of other numbers of
        seeds.
    """
    if len(first) != len(second):
        raise PredictionsError(f"{len(first)} and {len(second)} seeds cannot be compared")
    _same_records([*first, *second])
    sides = [[_aucs(one, labels) for one in side] for side in (first, second)]
    found = mean_difference(*map(_mean, sides))
    apart = tuple(
        _known(one.value.mean() - other.value.mean()) for one, other in zip(*sides, strict=True)
    )
    return OverSeeds(found.estimate, apart, found.p_value)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _aucs(predictions: Predictions, labels: Sequence[str]) -> AUCs:
    chosen = predictions.select(labels)
    return measure_aucs(chosen.targets, chosen.logits, chosen.patient_index()[0])


def _mean(seeds: Sequence[AUCs]) -> AUCs:
    """Return the mean over seeds as if it were one classifier's: so are its patients' errors."""
    first = seeds[0]
    return AUCs(
        np.mean([one.value for one in seeds], axis=0),
        first.positives,
        first.negatives,
        first.rarer,
        np.mean([one.influence for one in seeds], axis=0),
    )


def _same_records(predictions: Sequence[Predictions]) -> None:
    first = predictions[0]
    for other in predictions[1:]:
        if other.record_ids != first.record_ids or other.patient_ids != first.patient_ids:
            raise PredictionsError("seeds are of different records, so they have no common figure")
        shared = [name for name in first.labels if name in other.labels]
        own, others = (one.select(shared).targets for one in (first, other))
        if not np.array_equal(own, others):
            raise PredictionsError(
                "seeds disagree about the truth: they were judged on other labels of the same "
                "records, so they have no common figure"
            )
