"""How often the intervals hold the truth, counted on simulated cohorts whose truth is known.

Only the order of scores counts for an AUC, so negatives are normal without loss, and a shape says
how the positives' scores are spread beside them. Patients have one to three records, which are
alike; a patient with positive records may have negative ones too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import beta, norm

from selfmis_plugin.metrics.bootstrap import Estimate, draw_patients_apart, estimate
from selfmis_plugin.metrics.intervals import (
    AUCs,
    Z,
    difference_limits,
    mean_difference,
    mean_estimate,
    measure_aucs,
)
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.metrics.ranking import LabelScores
from selfmis_plugin.metrics.statistics import SPECIFICITY, judge

__all__ = [
    "AUC_LEVELS", "METHODS", "POSITIVES", "SHAPES", "Coverage", "auc_coverage",
    "difference_coverage", "figure_coverage", "mean_coverage",
]  # fmt: skip

_Array = npt.NDArray[np.float64]

#: Numbers of positive patients, and true AUCs, that are simulated.
POSITIVES = (1, 2, 5, 10, 30)
AUC_LEVELS = (0.6, 0.75, 0.9, 0.97, 0.99)
#: Patients without the label.
NEGATIVES = 240
#: Correlation of a patient's records, and share of a positive patient's further records that are
#: negative.
ALIKE, TURNED = 0.6, 0.2
#: Shares of patients with one, two and three records.
RECORDS = (0.6, 0.3, 0.1)
#: Correlation of the scores of two classifiers.
CLASSIFIERS_ALIKE = 0.6
#: What intervals are of.
AUC, AVERAGE_PRECISION, SENSITIVITY, BRIER = (
    "AUC",
    "average precision",
    "sensitivity",
    "Brier score",
)
NO_DIFFERENCE, DIFFERENCE = "difference, none", "difference"
MEAN, MEAN_DIFFERENCE = "mean", "difference of means"

#: Quantiles over which what is true of a shape is averaged.
_QUANTILES = 40_000


def _normal(width: float) -> Callable[[_Array, float], _Array]:
    return lambda latent, auc: norm.ppf(auc) * np.sqrt(1 + width**2) + width * latent


def _power(latent: _Array, auc: float) -> _Array:
    # A positive is the highest of so many negatives (Lehmann).
    return -norm.isf(norm.cdf(latent) ** ((1 - auc) / auc))


def _exponential(latent: _Array, auc: float) -> _Array:
    # The scores of both are exponential, those of positives on a larger scale (Hanley and McNeil).
    return np.asarray(norm.isf(norm.sf(latent) ** (1 / (1 - auc) - 1)))


def _unseen(latent: _Array, auc: float) -> _Array:
    # A share 1 - AUC of the positives looks like negatives.
    share = 1 - auc
    shift = np.sqrt(2) * norm.ppf((auc - share / 2) / (1 - share))
    grid = np.linspace(-9, 9 + shift, 4001)
    mixed = share * norm.cdf(grid) + (1 - share) * norm.cdf(grid - shift)
    return np.interp(norm.cdf(latent), mixed, grid)


#: Scores of positives by their standard normal quantile and the AUC; negatives are standard normal.
SHAPES: Mapping[str, Callable[[_Array, float], _Array]] = {
    "binormal": _normal(1.0),
    "positives 1.4 times as wide": _normal(1.4),
    "positives 0.7 times as wide": _normal(0.7),
    "highest of several negatives": _power,
    "exponential": _exponential,
    "some positives unseen": _unseen,
}


@dataclass(frozen=True)
class Coverage:
    """How often an interval held the truth.

    Attributes
    ----------
    figure, method, shape
        What the interval is of, how it is made, and how the positives' scores are spread.
    positives
        Positive patients of each label of a cohort; a mean is one of several labels.
    auc
        The true AUC.
    share
        Of the cohorts whose interval holds the truth.
    width
        Mean width of the intervals.
    cohorts
        How many there were.
    """

    figure: str
    method: str
    shape: str
    positives: tuple[int, ...]
    auc: float
    share: float
    width: float
    cohorts: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True)
class _Cohort:
    """Records of one cohort; scores have a column for each label, or for each classifier."""

    patient: npt.NDArray[np.int64]
    targets: npt.NDArray[np.bool_]
    scores: _Array

    def predictions(self) -> Predictions:
        names = tuple(f"r{k}" for k in range(len(self.patient)))
        labels = tuple(f"label {k}" for k in range(self.targets.shape[1]))
        patients = tuple(f"p{k}" for k in self.patient)
        return Predictions(names, patients, labels, self.targets, self.scores.astype(np.float32))


def _draw(
    positives: Sequence[int],
    aucs: Sequence[float],
    shape: str,
    rng: np.random.Generator,
    negatives: int,
    alike: float = 0.0,
) -> _Cohort:
    """Draw a cohort: label k has so many positive patients, and column k of the scores its AUC.

    The label of column k is the last of *positives* where there are fewer labels than AUCs.
    """
    columns = len(aucs)
    patients = max(positives) + negatives
    records = rng.choice(np.arange(1, 1 + len(RECORDS)), patients, p=RECORDS)
    patient = np.repeat(np.arange(patients), records)
    first = np.append(True, patient[1:] != patient[:-1])
    stays = first | (rng.random(len(patient)) >= TURNED)
    has = np.zeros((patients, len(positives)), dtype=bool)
    for column, count in enumerate(positives):
        # The labels of a cohort with several belong to patients drawn by lot.
        chosen = rng.permutation(patients)[:count] if len(positives) > 1 else np.arange(count)
        has[chosen, column] = True
    targets = has[patient] & stays[:, None]

    def draw(rows: int) -> _Array:
        own, common = rng.normal(size=(rows, columns)), rng.normal(size=(rows, 1))
        return np.sqrt(1 - alike) * own + np.sqrt(alike) * common

    latent = np.sqrt(ALIKE) * draw(patients)[patient] + np.sqrt(1 - ALIKE) * draw(len(patient))
    scores = latent.copy()
    for column, auc in enumerate(aucs):
        own = targets[:, min(column, targets.shape[1] - 1)]
        scores[own, column] = SHAPES[shape](latent[own, column], auc)
    return _Cohort(patient, targets, scores)


@dataclass(frozen=True)
class _Sample:
    """AUCs of many cohorts at once, one in each place."""

    aucs: AUCs
    variance: _Array
    drawn: tuple[_Array, _Array] | None


def _wald(value: _Array, deviation: _Array) -> tuple[_Array, _Array]:
    return value - Z * deviation, value + Z * deviation


def _hanley_mcneil(sample: _Sample) -> tuple[_Array, _Array]:
    value, m, n = sample.aucs.value, sample.aucs.positives, sample.aucs.negatives
    one, two = value / (2 - value), 2 * value**2 / (1 + value)
    spread = value * (1 - value) + (m - 1) * (one - value**2) + (n - 1) * (two - value**2)
    return _wald(value, np.sqrt(np.maximum(spread / (m * n), 0)))


def _newcombe(sample: _Sample) -> tuple[_Array, _Array]:
    aucs = sample.aucs
    alone = AUCs(aucs.value, aucs.positives, aucs.negatives, np.ones_like(aucs.value),
                 aucs.influence)  # fmt: skip
    return alone.limits()


def _delong_logit(sample: _Sample) -> tuple[_Array, _Array]:
    aucs = sample.aucs
    half = 0.5 / (aucs.positives * aucs.negatives)
    value = np.clip(aucs.value, half, 1 - half)
    reach = Z * np.sqrt(sample.variance) / (value * (1 - value))
    return expit(logit(value) - reach), expit(logit(value) + reach)


def _modified_wald(sample: _Sample) -> tuple[_Array, _Array]:
    value, number = sample.aucs.value, sample.aucs.positives + sample.aucs.negatives
    reach = Z * np.sqrt(value * (1 - value) / (0.75 * number - 1)) + 1 / (2 * number)
    return value - reach, value + reach


def _clopper_pearson(sample: _Sample) -> tuple[_Array, _Array]:
    value, number = sample.aucs.value, sample.aucs.positives
    hits, misses = value * number, (1 - value) * number
    low = np.where(hits > 0, beta.ppf(0.025, np.maximum(hits, 1e-9), misses + 1), 0.0)
    return low, np.where(misses > 0, beta.ppf(0.975, hits + 1, np.maximum(misses, 1e-9)), 1.0)


def _drawn(sample: _Sample) -> tuple[_Array, _Array]:
    assert sample.drawn is not None
    return sample.drawn


OURS = "the plugin's"
BOOTSTRAP = "bootstrap percentile"
#: Intervals of an AUC that are compared, patients being what is counted.
METHODS: Mapping[str, Callable[[_Sample], tuple[_Array, _Array]]] = {
    OURS: lambda sample: sample.aucs.limits(),
    "Hanley-McNeil": _hanley_mcneil,
    "Newcombe 5": _newcombe,
    "DeLong, logit": _delong_logit,
    BOOTSTRAP: _drawn,
    "modified Wald": _modified_wald,
    "Clopper-Pearson": _clopper_pearson,
}


def auc_coverage(
    positives: Sequence[int] = POSITIVES,
    levels: Sequence[float] = AUC_LEVELS,
    shapes: Sequence[str] = tuple(SHAPES),
    methods: Sequence[str] = tuple(METHODS),
    cohorts: int = 1000,
    draws: int = 400,
    negatives: int = NEGATIVES,
    seed: int = 0,
) -> Iterator[Coverage]:
    """Yield how often intervals of an AUC hold it.

    Parameters
    ----------
    positives, levels, shapes
        Numbers of positive patients, true AUCs, and names in :data:`SHAPES`.
    methods
        Names in :data:`METHODS`.
    cohorts
        Cohorts of each.
    draws
        Of the bootstrap.
    negatives
        Patients without the label.
    seed
        Of the cohorts.
    """
    for number, shape, auc in _cases(positives, shapes, levels):
        rng = np.random.default_rng((seed, number, int(1000 * auc), list(SHAPES).index(shape)))
        found, drawn = [], []
        for _ in range(cohorts):
            cohort = _draw((number,), (auc,), shape, rng, negatives)
            found.append(measure_aucs(cohort.targets, cohort.scores, cohort.patient))
            if BOOTSTRAP in methods:
                drawn.append(_percentiles(cohort, draws, rng))
        names = ("value", "positives", "negatives", "rarer")
        parts = [np.concatenate([getattr(one, name) for one in found]) for name in names]
        variance = np.concatenate([one.variance for one in found])
        # Only the sum of the influences' squares enters an AUC's interval.
        sample = _Sample(
            AUCs(parts[0], parts[1], parts[2], parts[3], np.sqrt(variance)[None]),
            variance,
            tuple(np.transpose(drawn)) if drawn else None,  # type: ignore[arg-type]
        )
        for method in methods:
            low, high = (np.clip(side, 0, 1) for side in METHODS[method](sample))
            yield _counted(AUC, method, shape, (number,), auc, auc, low, high)


def figure_coverage(
    positives: Sequence[int] = POSITIVES,
    levels: Sequence[float] = AUC_LEVELS,
    shapes: Sequence[str] = tuple(SHAPES),
    cohorts: int = 1000,
    draws: int = 200,
    negatives: int = NEGATIVES,
    seed: int = 0,
) -> Iterator[Coverage]:
    """Yield how often intervals of average precision, sensitivity and Brier score hold them.

    They are those of :func:`~selfmis_plugin.metrics.statistics.judge`, and for comparison the
    bootstrap's percentiles. See :func:`auc_coverage`.
    """
    for number, shape, auc in _cases(positives, shapes, levels):
        rng = np.random.default_rng((seed, 1, number, int(1000 * auc), list(SHAPES).index(shape)))
        truth = _truth(shape, auc, number, negatives)
        limits = _Limits()
        for _ in range(cohorts):
            cohort = _draw((number,), (auc,), shape, rng, negatives)
            figures = judge(cohort.predictions(), draws, seed).labels["label 0"]
            limits.add(AVERAGE_PRECISION, OURS, figures.average_precision)
            limits.add(SENSITIVITY, OURS, figures.sensitivity)
            # The judge's own is the bootstrap's.
            limits.add(BRIER, BOOTSTRAP, figures.brier)
            scores, weights = _weights(cohort, draws, rng)
            drawn = scores.ranking(*weights, SPECIFICITY)
            limits.add(AVERAGE_PRECISION, BOOTSTRAP, estimate(0.5, drawn.average_precision))
            limits.add(SENSITIVITY, BOOTSTRAP, estimate(0.5, drawn.sensitivity))
        yield from limits.counted(shape, (number,), auc, truth)


def difference_coverage(
    positives: Sequence[int] = POSITIVES,
    levels: Sequence[float] = AUC_LEVELS,
    shapes: Sequence[str] = tuple(SHAPES),
    cohorts: int = 1000,
    draws: int = 200,
    negatives: int = NEGATIVES,
    seed: int = 0,
) -> Iterator[Coverage]:
    """Yield how often intervals of the difference of two classifiers' AUCs hold it.

    The second classifier has the same AUC, or one that has lost a quarter of the way from chance.
    Where there is no difference, what is missing from 1 is how often a test of 5 % finds one. See
    :func:`auc_coverage`.
    """
    for number, shape, auc in _cases(positives, shapes, levels):
        rng = np.random.default_rng((seed, 2, number, int(1000 * auc), list(SHAPES).index(shape)))
        for name, other in ((NO_DIFFERENCE, auc), (DIFFERENCE, auc - (auc - 0.5) / 4)):
            limits = _Limits()
            for _ in range(cohorts):
                cohort = _draw((number,), (auc, other), shape, rng, negatives, CLASSIFIERS_ALIKE)
                sides = [
                    measure_aucs(cohort.targets, cohort.scores[:, [k]], cohort.patient)
                    for k in (0, 1)
                ]
                value = float((sides[0].value - sides[1].value)[0])
                own_low, own_high = difference_limits(sides[0], sides[1])
                limits.add(name, OURS, Estimate(value, float(own_low[0]), float(own_high[0])))
                apart = np.square(sides[0].influence - sides[1].influence).sum()
                reach = Z * float(np.sqrt(apart))
                limits.add(name, "DeLong", Estimate(value, value - reach, value + reach))
                scores, weights = _weights(cohort, draws, rng)
                second = LabelScores(cohort.targets[:, 0], cohort.scores[:, 1])
                drawn = scores.auc(*weights) - second.auc(*weights)
                limits.add(name, BOOTSTRAP, estimate(value, drawn))
            yield from limits.counted(shape, (number,), auc, {name: auc - other})


def mean_coverage(
    labels: Sequence[Sequence[int]] = ((1, 2, 5, 20), (1,) * 4, (1, 60, 60, 60), (60,) * 4),
    levels: Sequence[float] = AUC_LEVELS,
    shapes: Sequence[str] = tuple(SHAPES),
    cohorts: int = 1000,
    negatives: int = NEGATIVES,
    seed: int = 0,
) -> Iterator[Coverage]:
    """Yield how often the intervals of a mean AUC, and of the difference of two, hold them.

    *labels* are positive patients of each label; their AUCs lie around the level. See
    :func:`auc_coverage`.
    """
    for counts in labels:
        for _, shape, level in _cases((counts[0],), shapes, levels):
            rng = np.random.default_rng((seed, *counts, int(1000 * level)))
            spread = np.linspace(-1, 1, len(counts)) * (1 - level) / 2
            aucs = [float(auc) for auc in level + spread]
            limits = _Limits()
            for _ in range(cohorts):
                cohort = _draw(counts, aucs, shape, rng, negatives, CLASSIFIERS_ALIKE)
                noisy = cohort.scores + rng.normal(size=cohort.scores.shape)
                one = measure_aucs(cohort.targets, cohort.scores, cohort.patient)
                two = measure_aucs(cohort.targets, noisy, cohort.patient)
                limits.add(MEAN, OURS, mean_estimate(one))
                limits.add(MEAN_DIFFERENCE, OURS, mean_difference(one, two).estimate)
            less = level - float(np.mean([_with_noise(shape, auc) for auc in aucs]))
            truth = {MEAN: level, MEAN_DIFFERENCE: less}
            yield from limits.counted(shape, counts, level, truth)


class _Limits:
    """Intervals of many cohorts, by figure and method."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, str], list[tuple[float, float]]] = {}

    def add(self, figure: str, method: str, found: Estimate) -> None:
        assert found.low is not None and found.high is not None
        self._pairs.setdefault((figure, method), []).append((found.low, found.high))

    def counted(
        self, shape: str, positives: Sequence[int], auc: float, truth: Mapping[str, float]
    ) -> Iterator[Coverage]:
        for (figure, method), pairs in self._pairs.items():
            low, high = np.transpose(pairs)
            yield _counted(figure, method, shape, positives, auc, truth[figure], low, high)


def _cases(
    positives: Sequence[int], shapes: Sequence[str], levels: Sequence[float]
) -> Iterator[tuple[int, str, float]]:
    for number in positives:
        for shape in shapes:
            for level in levels:
                yield number, shape, level


def _weights(
    cohort: _Cohort, draws: int, rng: np.random.Generator
) -> tuple[LabelScores, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """Scores of the first column, and how often its positives and negatives are in each draw."""
    target = cohort.targets[:, 0]
    weights = draw_patients_apart(cohort.patient, target, draws, rng)
    scores = LabelScores(target, cohort.scores[:, 0])
    return scores, (weights[:, scores.positive], weights[:, scores.negative])


def _percentiles(cohort: _Cohort, draws: int, rng: np.random.Generator) -> tuple[float, float]:
    scores, weights = _weights(cohort, draws, rng)
    drawn = estimate(0.5, scores.auc(*weights))
    assert drawn.low is not None and drawn.high is not None
    return drawn.low, drawn.high


def _counted(
    figure: str, method: str, shape: str, positives: Sequence[int], auc: float, truth: float,
    low: _Array, high: _Array,
) -> Coverage:  # fmt: skip
    holds = (low <= truth) & (truth <= high)
    width = float(np.mean(high - low))
    return Coverage(
        figure, method, shape, tuple(positives), float(auc), float(holds.mean()), width, len(low)
    )


def _positive_scores(shape: str, auc: float) -> tuple[_Array, _Array]:
    """Scores of positives and of negatives at equally spaced quantiles, rising."""
    latent = np.asarray(norm.ppf((np.arange(_QUANTILES) + 0.5) / _QUANTILES))
    return np.asarray(SHAPES[shape](latent, auc)), latent


def _with_noise(shape: str, auc: float) -> float:
    """AUC of scores to which standard normal noise is added."""
    scores, _ = _positive_scores(shape, auc)
    # A positive's score plus two noises, less a negative's: normal with this width.
    return float(np.mean(norm.cdf(scores / np.sqrt(3))))


def _truth(shape: str, auc: float, positives: int, negatives: int) -> dict[str, float]:
    """What is true of all the patients that a cohort is drawn from."""
    scores, others = _positive_scores(shape, auc)
    records = float(np.dot(RECORDS, np.arange(1, 1 + len(RECORDS))))
    share = positives * (1 + (records - 1) * (1 - TURNED)) / (records * (positives + negatives))
    hits = share * (1 - np.arange(_QUANTILES) / _QUANTILES)
    precision = hits / (hits + (1 - share) * norm.sf(scores))
    misses, alarms = np.mean(expit(-scores) ** 2), np.mean(expit(others) ** 2)
    return {
        AVERAGE_PRECISION: float(np.mean(precision)),
        SENSITIVITY: float(np.mean(scores >= norm.ppf(SPECIFICITY))),
        BRIER: float(share * misses + (1 - share) * alarms),
    }
