"""Intervals of AUCs that hold with few positives, of their differences and of their means.

A bootstrap of one positive knows nothing of how another would score, and one of ten too little:
:mod:`~selfmis_plugin.metrics.coverage` measures it. These intervals of AUCs need no draws.

An AUC has a score interval with Newcombe's variance (method 5 of Statist Med 25:559, 2006), whose
size follows the data's own variance (DeLong et al., Biometrics 44:837, 1988; by patient:
Obuchowski, Biometrics 53:567, 1997) as far as there are patients to learn it from. Means and
differences are put together from these by the method of variance estimates recovery (Zou and
Donner, Statist Med 27:1693, 2008), which keeps them as lopsided as their parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, norm

from selfmis_plugin.metrics.bootstrap import CONFIDENCE, Estimate

__all__ = [
    "AUCs", "Difference", "auc_estimates", "auc_limits", "difference_estimates",
    "difference_limits", "effective_patients", "mean_difference", "mean_estimate", "measure_aucs",
    "share_limits",
]  # fmt: skip

_Array = npt.NDArray[np.float64]
_Quantile: TypeAlias = float | _Array
#: A function of a normal quantile that gives the lower and the upper limits.
_Limits = Callable[[_Quantile], tuple[_Array, _Array]]

#: Normal quantile of a 95 % interval.
Z = float(norm.ppf(0.5 + CONFIDENCE / 2))
#: Newcombe's variance, which the shape of the scores does not enter, counts beside the data's own
#: as if that many patients of the rarer class said it.
PRIOR_PATIENTS = 30.0
#: The same of the binomial variance of a share, the largest that a mean of values from 0 to 1 can
#: have.
PRIOR_SHARE_PATIENTS = 10.0
#: The same of two classifiers' errors being independent, which makes their difference uncertain.
PRIOR_INDEPENDENT_PATIENTS = 2.0
#: Halvings of a bisection: limits are right to 1e-8.
_HALVINGS = 27
#: No p-value is smaller than this quantile's.
_LARGEST_Z = 10.0


@dataclass(frozen=True)
class AUCs:
    """AUCs of labels, with what their intervals are made of; NaN where a label has one class only.

    Attributes
    ----------
    value
        AUC by record, ties half, float64 (labels,).
    positives, negatives
        Patients of each class, less where some have more records than others (Kish's effective
        number), float64 (labels,).
    rarer
        Patients of the class that has fewer of them, (labels,).
    influence
        What each patient adds to the error of the AUC, float64 (patients, labels): their squares
        add up to its variance, and products to covariances.
    """

    value: _Array
    positives: _Array
    negatives: _Array
    rarer: _Array
    influence: _Array

    @property
    def variance(self) -> _Array:
        """DeLong's variance of each AUC, clustered by patient; 0 of a single patient."""
        return np.asarray(np.square(self.influence).sum(axis=0))

    def ratio(self) -> _Array:
        """Return how many times Newcombe's the variance is taken to be, (labels,)."""
        expected = _newcombe_variance(self.value, self.positives, self.negatives)
        with np.errstate(invalid="ignore", divide="ignore"):
            own = np.where(expected > 0, self.variance / expected, 1.0)
        known = np.maximum(self.rarer - 1, 0)
        return (PRIOR_PATIENTS + known * own) / (PRIOR_PATIENTS + known)

    def limits(self, z: _Quantile = Z) -> tuple[_Array, _Array]:
        """Return the lower and the upper limit of each AUC at a normal quantile."""
        return auc_limits(self.value, self.positives, self.negatives, self.ratio(), z)

    def chosen(self, columns: Sequence[int]) -> AUCs:
        """Return some of the labels."""
        own = np.asarray(columns, dtype=np.int64)
        parts = (self.value, self.positives, self.negatives, self.rarer, self.influence)
        return AUCs(*(part[..., own] for part in parts))


@dataclass(frozen=True)
class Difference:
    """A figure of one classifier minus that of another, on the same records.

    Attributes
    ----------
    estimate
        The difference with its interval.
    p_value
        Two-sided: the level at which the interval reaches zero. None where there is no interval.
    """

    estimate: Estimate
    p_value: float | None

    def to_dict(self) -> dict[str, float | None]:
        """As JSON can hold it."""
        return {**self.estimate.to_dict(), "p_value": self.p_value}


def measure_aucs(
    targets: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.floating],
    patient: npt.NDArray[np.int64],
) -> AUCs:
    """Return the AUC of each label and what each patient adds to its error.

    Parameters
    ----------
    targets
        bool, (records, labels).
    scores
        (records, labels), larger for more likely; finite.
    patient
        Number of each record's patient, from 0 without gaps, (records,).
    """
    patients = int(patient.max()) + 1 if len(patient) else 0
    labels = targets.shape[1]
    value, positives, negatives, rarer = (np.full(labels, np.nan) for _ in range(4))
    influence = np.zeros((patients, labels))
    for column in range(labels):
        target = targets[:, column]
        if target.all() or not target.any():
            continue
        # float64 holds every float16 and float32 exactly, so the order and the ties stay.
        score = scores[:, column].astype(np.float64)
        sizes = []
        for own, above in ((target, True), (~target, False)):
            share = _share_below(score[own], score[~own])
            share = share if above else 1 - share
            if above:
                value[column] = share.mean()
            count = np.bincount(patient[own], minlength=patients)
            total = np.bincount(patient[own], share - value[column], minlength=patients)
            number = np.count_nonzero(count)
            sizes.append((effective_patients(patient[own]), number))
            if number > 1:
                influence[:, column] += total / count.sum() * np.sqrt(number / (number - 1))
        (positives[column], has), (negatives[column], has_not) = sizes
        rarer[column] = min(has, has_not)
    return AUCs(value, positives, negatives, rarer, influence)


def auc_limits(
    value: _Array, positives: _Array, negatives: _Array, ratio: _Array, z: _Quantile = Z
) -> tuple[_Array, _Array]:
    """Return the AUCs from which *value* is *z* standard deviations away, below and above.

    Parameters
    ----------
    value
        AUCs, (labels,).
    positives, negatives
        Numbers of patients, (labels,).
    ratio
        What Newcombe's variance is multiplied by, (labels,).
    z
        Normal quantile; 1.96 for 95 %.
    """
    # Both sides at once.
    inside = np.stack([value, value])
    outside = np.stack([np.zeros_like(value), np.ones_like(value)])
    # What does not change with the AUC, of Newcombe's variance times z squared.
    scale, both = z * z * ratio / (positives * negatives), _both(positives, negatives)
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        holds = (value - middle) ** 2 <= scale * _newcombe_spread(middle, both)
        inside, outside = np.where(holds, middle, inside), np.where(holds, outside, middle)
    low, high = (inside + outside) / 2
    return low, high


def auc_estimates(aucs: AUCs) -> list[Estimate]:
    """Return each AUC with its 95 % interval."""
    return [_estimate(*row) for row in zip(aucs.value, *aucs.limits(), strict=True)]


def mean_estimate(aucs: AUCs) -> Estimate:
    """Return the mean over labels, all defined, with its 95 % interval.

    A label with one positive adds its whole uncertainty, so the interval is of the mean over these
    labels in other patients, and not of the few positives that happened to be there.
    """
    if not len(aucs.value):
        return Estimate(None, None, None)
    return _estimate(aucs.value.mean(), *_of_mean(aucs.value, aucs.limits, aucs.influence)(Z))


def difference_limits(first: AUCs, second: AUCs, z: _Quantile = Z) -> tuple[_Array, _Array]:
    """Return the limits of the first's AUCs minus the second's, by label, of the same records."""
    return _of_differences(first, second)(z)


def difference_estimates(first: AUCs, second: AUCs) -> list[Difference]:
    """Return the AUCs of the first minus those of the second, by label, of the same records."""
    value = first.value - second.value
    limits = _of_differences(first, second)
    low, high = limits(Z)
    p_values = _p_values(value, limits)
    return [
        Difference(_estimate(*row[:3]), None if np.isnan(row[3]) else float(row[3]))
        for row in zip(value, low, high, p_values, strict=True)
    ]


def mean_difference(first: AUCs, second: AUCs) -> Difference:
    """Return the mean of the differences over labels, all defined."""
    if not len(first.value):
        return Difference(Estimate(None, None, None), None)
    value = first.value - second.value
    limits = _of_mean(
        value, _of_differences(first, second), first.influence - second.influence, -1.0
    )
    mean = value.mean()
    p_value = float(_p_values(np.atleast_1d(mean), limits)[0])
    return Difference(_estimate(mean, *limits(Z)), None if np.isnan(p_value) else p_value)


def effective_patients(patient: npt.NDArray[np.int64]) -> float:
    """Return Kish's effective number of the patients of records, less where some have more."""
    count = np.unique(patient, return_counts=True)[1]
    return float(count.sum() ** 2 / np.square(count).sum())


def share_limits(
    share: npt.ArrayLike, patient: npt.NDArray[np.int64], variance: npt.ArrayLike
) -> tuple[_Array, _Array]:
    """Return the 95 % limits of a mean of values from 0 to 1, such as a sensitivity.

    They are Clopper and Pearson's, of as many patients as give a binomial share the variance that
    this one has (Korn and Graubard, Survey Methodology 24:193, 1998). With few patients that is the
    binomial variance itself, with more and more the bootstrap's, in which a threshold that was
    estimated and patients with several records have their part.

    Parameters
    ----------
    share
        Figures from 0 to 1, of any shape.
    patient
        Number of the patient of each record that they are means over.
    variance
        Of the figures over bootstrap draws, of the same shape.
    """
    share, variance = np.asarray(share, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    effective = effective_patients(patient)
    known = len(np.unique(patient)) - 1
    spread = share * (1 - share)
    taken = PRIOR_SHARE_PATIENTS * spread / effective + known * variance
    tail = (1 - CONFIDENCE) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        number = spread * (PRIOR_SHARE_PATIENTS + known) / taken
        number = np.where(spread > 0, number, effective)
        hits, misses = share * number, (1 - share) * number
        low = np.where(share > 0, beta.ppf(tail, hits, misses + 1), 0.0)
        high = np.where(share < 1, beta.ppf(1 - tail, hits + 1, misses), 1.0)
    return low, high


def _newcombe_variance(value: _Array, positives: _Array, negatives: _Array) -> _Array:
    spread = _newcombe_spread(value, _both(positives, negatives))
    return np.asarray(spread / (positives * negatives))


def _newcombe_spread(value: _Array, both: _Array) -> _Array:
    more = (1 - value) / (2 - value) + value / (1 + value)
    return np.asarray(value * (1 - value) * (1 + both * more))


def _both(positives: _Array, negatives: _Array) -> _Array:
    return (positives + negatives) / 2 - 1


def _share_below(score: _Array, others: _Array) -> _Array:
    """Share of *others* below each score, ties as half."""
    others = np.sort(others)
    below = np.searchsorted(others, score, "left") + np.searchsorted(others, score, "right")
    return np.asarray(below / (2 * len(others)))


def _of_differences(first: AUCs, second: AUCs) -> _Limits:
    """Limits of the differences of two classifiers' AUCs, by label."""
    value = first.value - second.value
    shared = (first.influence * second.influence).sum(axis=0)
    scale = np.sqrt(first.variance * second.variance)
    known = np.maximum(first.rarer - 1, 0)
    alike = np.divide(shared, scale, out=np.zeros_like(scale), where=scale > 0)
    alike = np.clip(alike, 0, 1) * known / (PRIOR_INDEPENDENT_PATIENTS + known)

    sides = (first, second)
    names = ("value", "positives", "negatives")
    parts = [np.stack([getattr(side, name) for side in sides]) for name in names]
    ratio = np.stack([side.ratio() for side in sides])

    def limits(z: _Quantile) -> tuple[_Array, _Array]:
        low, high = auc_limits(parts[0], parts[1], parts[2], ratio, z)
        below, above = parts[0] - low, high - parts[0]
        return (
            value - _recovered(below[0], above[1], alike),
            value + _recovered(above[0], below[1], alike),
        )

    return limits


def _recovered(one: _Array, other: _Array, alike: _Array) -> _Array:
    return np.sqrt(np.maximum(one**2 + other**2 - 2 * alike * one * other, 0))


def _of_mean(value: _Array, limits: _Limits, influence: _Array, least: float = 0.0) -> _Limits:
    """Limits of the mean of figures that have limits of their own, shape (1,).

    The figures' own errors come from their limits, and how they go together from the patients. Of
    one figure there is nothing to put together: its own limits are those of the mean.
    """
    if len(value) == 1:
        return limits
    mean, number = value.mean(), len(value)
    variances = np.square(influence).sum()
    together = np.square(influence.sum(axis=1)).sum()

    def of_mean(z: _Quantile) -> tuple[_Array, _Array]:
        low, high = limits(z)
        own = [np.square(value - low).sum(), np.square(high - value).sum()]
        # Never below half of what the patients alone say of the mean.
        below, above = (
            np.sqrt(np.maximum(side + z * z * (together - variances), z * z * together / 2))
            for side in own
        )
        return (
            np.maximum(np.atleast_1d(mean - below / number), least),
            np.minimum(np.atleast_1d(mean + above / number), 1.0),
        )

    return of_mean


def _p_values(value: _Array, limits: _Limits) -> _Array:
    """Two-sided levels at which the limits of each difference reach zero."""

    def short_of_zero(z: _Array) -> _Array:
        low, high = limits(z)
        return np.where(value > 0, low, -high)

    near, far = np.zeros(len(value)), np.full(len(value), _LARGEST_Z)
    for _ in range(_HALVINGS // 2):
        middle = (near + far) / 2
        holds = short_of_zero(middle) <= 0
        near, far = np.where(holds, near, middle), np.where(holds, middle, far)
    # Between the two it is a straight line to all figures that count.
    left, beyond = np.maximum(short_of_zero(near), 0), np.maximum(-short_of_zero(far), 0)
    part = np.divide(left, left + beyond, out=np.zeros_like(left), where=left + beyond > 0)
    p_values = 2 * norm.sf(near + part * (far - near))
    return np.where(np.isnan(value), np.nan, np.where(value == 0, 1.0, p_values))


def _estimate(value: float, low: npt.ArrayLike, high: npt.ArrayLike) -> Estimate:
    if np.isnan(value):
        return Estimate(None, None, None)
    return Estimate(float(value), float(np.ravel(low)[0]), float(np.ravel(high)[0]))
