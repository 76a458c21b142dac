"""Intervals of AUCs: against other computations, and how often they hold what is true."""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score

from selfmis_plugin.cli.benchmarks.intervals import BENCHMARK
from selfmis_plugin.metrics import coverage
from selfmis_plugin.metrics.bootstrap import draw_patients_apart
from selfmis_plugin.metrics.coverage import (
    AUC_LEVELS,
    POSITIVES,
    SHAPES,
    Coverage,
    auc_coverage,
    difference_coverage,
    figure_coverage,
    mean_coverage,
)
from selfmis_plugin.metrics.intervals import (
    AUCs,
    auc_estimates,
    auc_limits,
    difference_estimates,
    mean_difference,
    mean_estimate,
    measure_aucs,
    share_limits,
)
from selfmis_plugin.metrics.ranking import LabelScores


def drawn_aucs(
    positives: int, negatives: int, seed: int = 0, records: int = 1, effect: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, scores and patients, each with so many records of one class."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(positives + negatives), records)
    target = patient < positives
    own = rng.normal(size=positives + negatives)[patient]
    return target, own + 0.7 * rng.normal(size=len(patient)) + effect * target, patient


def delong_by_hand(target: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """AUC and its variance from the whole table of pairs."""
    pairs = (score[target][:, None] > score[~target]) + 0.5 * (
        score[target][:, None] == score[~target]
    )
    m, n = pairs.shape
    return pairs.mean(), pairs.mean(1).var(ddof=1) / m + pairs.mean(0).var(ddof=1) / n


@settings(deadline=None, max_examples=40)
@given(
    positives=st.integers(2, 12),
    negatives=st.integers(2, 30),
    levels=st.sampled_from([3, 1000]),
    seed=st.integers(0, 999),
)
def test_auc_and_variance_are_delongs(
    positives: int, negatives: int, levels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    target = np.arange(positives + negatives) < positives
    score = rng.integers(0, levels, len(target)).astype(float)
    aucs = measure_aucs(target[:, None], score[:, None], np.arange(len(target)))
    value, variance = delong_by_hand(target, score)
    assert aucs.value[0] == pytest.approx(value) == pytest.approx(roc_auc_score(target, score))
    assert aucs.variance[0] == pytest.approx(variance, abs=1e-12)
    assert (aucs.positives[0], aucs.negatives[0]) == (positives, negatives)
    low, high = aucs.limits()
    assert 0 <= low[0] <= value <= high[0] <= 1
    # The other class's AUC is its mirror.
    mirrored = measure_aucs(~target[:, None], score[:, None], np.arange(len(target))).limits()
    assert 1 - mirrored[1][0] == pytest.approx(low[0], abs=1e-7)
    assert 1 - mirrored[0][0] == pytest.approx(high[0], abs=1e-7)


def test_records_of_a_patient_count_as_one_where_they_are_alike() -> None:
    target, score, patient = drawn_aucs(12, 80)
    one = measure_aucs(target[:, None], score[:, None], patient)
    thrice = measure_aucs(
        np.repeat(target, 3)[:, None], np.repeat(score, 3)[:, None], np.repeat(patient, 3)
    )
    for name in ("value", "positives", "negatives", "rarer", "variance"):
        np.testing.assert_allclose(getattr(one, name), getattr(thrice, name))
    apart = measure_aucs(
        np.repeat(target, 3)[:, None], np.repeat(score, 3)[:, None], np.arange(3 * len(target))
    )
    assert np.subtract(*apart.limits()[::-1])[0] < 0.7 * np.subtract(*one.limits()[::-1])[0]


def test_variance_by_patient_is_the_bootstraps() -> None:
    target, score, patient = drawn_aucs(60, 200, records=3)
    target = target & (np.random.default_rng(1).random(len(target)) < 0.7)  # both in a patient
    weights = draw_patients_apart(patient, target, 4000, np.random.default_rng(0))
    scores = LabelScores(target, score)
    drawn = scores.auc(weights[:, scores.positive], weights[:, scores.negative])
    aucs = measure_aucs(target[:, None], score[:, None], patient)
    assert np.sqrt(aucs.variance[0]) == pytest.approx(drawn.std(), rel=0.06)


@pytest.mark.parametrize(("positives", "negatives"), [(1, 1), (1, 240), (7, 30), (200, 12)])
@pytest.mark.parametrize("value", [0.3, 0.845, 0.99, 1.0])
def test_limits_are_where_the_score_test_turns(
    positives: int, negatives: int, value: float
) -> None:
    def beyond(auc: float) -> float:
        # Newcombe (2006), method 5, written out.
        half = (positives + negatives) / 2 - 1
        spread = auc * (1 - auc) * (1 + half * ((1 - auc) / (2 - auc) + auc / (1 + auc)))
        return (value - auc) ** 2 - 1.959964**2 * spread / (positives * negatives)

    ones = np.ones(1)
    low, high = auc_limits(value * ones, positives * ones, negatives * ones, ones)
    assert low[0] == pytest.approx(brentq(beyond, 0, value - 1e-9), abs=1e-6)
    if value == 1:
        assert high[0] == pytest.approx(1)
    else:
        assert high[0] == pytest.approx(brentq(beyond, value + 1e-9, 1), abs=1e-6)


def test_one_positive_has_its_true_width() -> None:
    """Of 252 records the one was above 84.5 %: by a bootstrap 0.801 to 0.887."""
    aucs = measure_aucs(
        (np.arange(252) == 0)[:, None], np.append(211.5, np.arange(251))[:, None], np.arange(252)
    )
    figure = auc_estimates(aucs)[0]
    assert figure.value == pytest.approx(212 / 251)
    assert figure.low is not None and figure.high is not None
    assert figure.low < 0.35 and figure.high > 0.97


def test_a_label_of_one_class_has_none() -> None:
    target = np.zeros((5, 2), dtype=bool)
    target[0, 0] = True
    aucs = measure_aucs(target, np.arange(10.0).reshape(5, 2), np.arange(5))
    assert auc_estimates(aucs)[1].to_dict() == {"value": None, "low": None, "high": None}
    nothing = difference_estimates(aucs, aucs)[1]
    assert nothing.estimate.value is None and nothing.p_value is None
    assert mean_estimate(aucs.chosen([])).value is None
    assert mean_difference(aucs.chosen([]), aucs.chosen([])).p_value is None


def two_classifiers(seed: int = 0, gain: float = 0.6) -> tuple[AUCs, AUCs]:
    rng = np.random.default_rng(seed)
    targets = rng.random((300, 3)) < (0.3, 0.1, 0.004)
    targets[0] = True
    targets[1] = False
    scores = rng.normal(size=targets.shape) + 0.6 * targets
    patient = np.arange(300) // 2
    first = measure_aucs(targets, scores + gain * targets, patient)
    return first, measure_aucs(targets, scores + 0.5 * rng.normal(size=scores.shape), patient)


@pytest.mark.parametrize("gain", [0.0, 0.3, 1.5])
def test_p_value_is_the_level_of_an_interval_that_ends_at_zero(gain: float) -> None:
    first, second = two_classifiers(gain=gain)
    forth, back = difference_estimates(first, second), difference_estimates(second, first)
    mean, mean_back = mean_difference(first, second), mean_difference(second, first)
    for one, other in zip([*forth, mean], [*back, mean_back], strict=True):
        estimate = one.estimate
        assert estimate.low is not None and estimate.high is not None
        assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert (one.p_value < 0.05) == (estimate.low > 0 or estimate.high < 0)
        assert one.p_value == pytest.approx(other.p_value, rel=1e-4, abs=1e-9)
        assert other.estimate.low == pytest.approx(-estimate.high, abs=1e-6)
    assert mean.estimate.value == pytest.approx(np.mean([one.estimate.value for one in forth]))


@pytest.mark.parametrize("effect", [0.0, 0.3, 1.5, 4.0])
@pytest.mark.parametrize(("positives", "records"), [(1, 1), (2, 3), (9, 1), (60, 2)])
def test_a_mean_over_one_label_is_that_label(positives: int, records: int, effect: float) -> None:
    target, score, patient = drawn_aucs(positives, 80, positives, records, effect)
    first = measure_aucs(target[:, None], score[:, None], patient)
    noise = np.random.default_rng(1).normal(size=len(score))
    second = measure_aucs(target[:, None], (score + noise)[:, None], patient)
    assert [mean_estimate(first)] == auc_estimates(first)
    assert [mean_difference(first, second)] == difference_estimates(first, second)


def test_many_patients_need_no_prior() -> None:
    """With thousands of patients all are DeLong's: differences, p-values and means too."""
    rng = np.random.default_rng(3)
    target = np.arange(6000) % 3 == 0
    base = rng.normal(size=6000) + 0.8 * target
    scores = [base + width * rng.normal(size=6000) for width in (0.5, 0.6)]
    patient = np.arange(6000)
    one, two = (measure_aucs(target[:, None], s[:, None], patient) for s in scores)
    low, high = one.limits()
    assert (high - low)[0] == pytest.approx(2 * 1.96 * np.sqrt(one.variance[0]), rel=0.02)
    difference = difference_estimates(one, two)[0]
    deviation = np.sqrt(np.square(one.influence - two.influence).sum())
    assert difference.estimate.high - difference.estimate.low == pytest.approx(
        2 * 1.96 * deviation, rel=0.03
    )
    z = difference.estimate.value / deviation
    assert difference.p_value == pytest.approx(2 * stats.norm.sf(abs(z)), rel=0.2)
    several = measure_aucs(np.repeat(target[:, None], 2, axis=1), np.stack(scores, 1), patient)
    mean = mean_estimate(several)
    deviation = np.sqrt(np.square(several.influence.mean(axis=1)).sum())
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * deviation, rel=0.02)


def test_shares_are_clopper_and_pearsons_with_few_patients() -> None:
    for hits, number in ((0, 1), (1, 1), (3, 5), (10, 10)):
        binomial = hits / number * (1 - hits / number) / number
        low, high = share_limits(hits / number, np.arange(number), binomial)
        theirs = stats.binomtest(hits, number).proportion_ci(method="exact")
        assert (low, high) == pytest.approx((theirs.low, theirs.high))
    # Patients who have two records each, alike, count once; a variance that is larger widens.
    twice = share_limits(0.6, np.repeat(np.arange(5), 2), 0.6 * 0.4 / 5)
    np.testing.assert_allclose(twice, share_limits(0.6, np.arange(5), 0.6 * 0.4 / 5))
    wide, narrow = (np.subtract(*share_limits(0.6, np.arange(50), v)) for v in (0.02, 0.001))
    assert abs(wide) > 1.5 * abs(narrow)


def bounds(found: list[Coverage]) -> tuple[float, float]:
    shares = [one.share for one in found]
    return min(shares), max(shares)


def test_shapes_have_the_auc_that_they_are_asked_for() -> None:
    for shape, level in itertools.product(SHAPES, AUC_LEVELS):
        positive, _ = coverage._positive_scores(shape, level)
        assert np.mean(stats.norm.cdf(positive)) == pytest.approx(level, abs=2e-3), shape


def test_coverage_of_the_auc() -> None:
    """From 0.93 to 0.99 of the cohorts, up to what 150 of them leave open (3 standard errors)."""
    found = list(auc_coverage(shapes=("binormal",), methods=(coverage.OURS,), cohorts=150))
    assert len(found) == len(POSITIVES) * len(AUC_LEVELS)
    low, high = bounds(found)
    assert 0.93 - 3 * np.sqrt(0.93 * 0.07 / 150) <= low
    assert np.mean([one.share for one in found]) == pytest.approx(0.966, abs=0.015) and high < 1
    widths = {one.positives[0]: one.width for one in found if one.auc == 0.9}
    assert widths[1] > 0.55 and widths[30] < 0.16  # an interval that says nothing holds as well


def test_the_bootstrap_does_not_hold_with_few() -> None:
    """What is compared does differ: else the test above would say nothing of the choice."""
    few = {"positives": (2,), "levels": (0.9,), "shapes": ("binormal",), "cohorts": 100}
    found = auc_coverage(methods=("bootstrap percentile", "Hanley-McNeil"), draws=100, **few)
    assert all(one.share < 0.93 for one in found)


def test_coverage_of_the_other_figures() -> None:
    few = {"levels": (0.9,), "shapes": ("binormal",), "cohorts": 40}
    found = [
        *figure_coverage(positives=(1, 5), draws=50, **few),
        *difference_coverage(positives=(1, 5), draws=20, **few),
        *mean_coverage(((1, 3, 20),), **few),
    ]
    ours = [one for one in found if one.method not in ("bootstrap percentile", "DeLong")]
    assert {one.figure for one in ours} == {
        "average precision", "sensitivity", "difference", "difference, none", "mean",
        "difference of means",
    }  # fmt: skip
    assert bounds(ours)[0] >= 0.93 - 3 * np.sqrt(0.93 * 0.07 / 40)


@pytest.mark.slow
def test_coverage_in_full() -> None:
    """Every number of positives and level; shapes other than binormal are held less well."""
    low, high = bounds(
        list(auc_coverage(shapes=("binormal",), methods=(coverage.OURS,), cohorts=2000))
    )
    assert low >= 0.93 and high <= 0.99
    others = [shape for shape in SHAPES if shape != "binormal"]
    assert (
        bounds(list(auc_coverage(shapes=others, methods=(coverage.OURS,), cohorts=500)))[0] > 0.88
    )
    found = [
        *figure_coverage(cohorts=60, draws=100),
        *difference_coverage(cohorts=60, draws=10),
        *mean_coverage(cohorts=60, levels=(0.75, 0.97), shapes=("binormal", "exponential")),
    ]
    ours = [one for one in found if one.method == coverage.OURS]
    assert bounds(ours)[0] >= 0.93 - 3.5 * np.sqrt(0.93 * 0.07 / 60)


def test_the_command_prints_and_keeps_what_it_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "c.json"
    few = ["--cohorts", "2", "--draws", "2", "--negatives", "9", "--positives", "1,3"]
    parser = argparse.ArgumentParser()
    BENCHMARK.add_arguments(parser)
    assert BENCHMARK.run(parser.parse_args(["--only", "auc", *few, "--json", str(out)])) == 0
    printed = capsys.readouterr().out
    kept = json.loads(out.read_text())
    assert kept["positives"] == [1, 3] and kept["negatives"] == 9
    assert len(kept["coverage"]) == 2 * len(AUC_LEVELS) * len(SHAPES) * len(coverage.METHODS)
    own = [
        one for one in kept["coverage"]
        if (one["method"], one["shape"], one["positives"]) == (coverage.OURS, "binormal", [3])
    ]  # fmt: skip
    shares = [one["share"] for one in own]
    row = next(line for line in printed.splitlines() if "| binormal | the plugin's |" in line)
    assert f"{min(shares):.3f} to {max(shares):.3f}" in row.split("|")[4]
    with pytest.raises(SystemExit):
        parser.parse_args(["--positives", "0"])
