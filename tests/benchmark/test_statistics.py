"""Figures with intervals: against scikit-learn on repeated rows, and honest about rare labels."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.evaluation.evaluate import figures_of
from selfmis_plugin.metrics import bootstrap
from selfmis_plugin.metrics.bootstrap import (
    draw_patients,
    draw_patients_apart,
    draws_apart,
    estimate,
)
from selfmis_plugin.metrics.calibration import calibrate, probabilities
from selfmis_plugin.metrics.predictions import Predictions, PredictionsError
from selfmis_plugin.metrics.ranking import LabelScores
from selfmis_plugin.metrics.statistics import compare, judge


def cohort(
    records: int = 300,
    labels: tuple[str, ...] = (*INFARCTION_TYPES, "NORM"),
    share: float = 0.2,
    seed: int = 0,
    effect: float = 1.0,
) -> Predictions:
    rng = np.random.default_rng(seed)
    targets = rng.random((records, len(labels))) < share
    logits = (rng.normal(size=targets.shape) + effect * targets).astype(np.float32)
    patients = np.sort(rng.integers(0, max(1, records // 2), records))
    return Predictions(
        tuple(f"r{k}" for k in range(records)),
        tuple(f"p{k}" for k in patients),
        labels,
        targets,
        logits,
    )


def sensitivity_by_curve(target: np.ndarray, score: np.ndarray, specificity: float) -> float:
    false, true, _ = roc_curve(target, score, drop_intermediate=False)
    return float(true[false <= 1 - specificity + 1e-12].max())


@settings(deadline=None, max_examples=60)
@given(
    records=st.integers(2, 60),
    levels=st.sampled_from([2, 5, 1000]),
    share=st.floats(0.05, 0.95),
    specificity=st.sampled_from([0.5, 0.8, 0.9, 1.0]),
    seed=st.integers(0, 2**16),
)
def test_a_weighted_figure_is_that_of_repeated_records(
    records: int, levels: int, share: float, specificity: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    target = rng.random(records) < share
    score = rng.integers(0, levels, records).astype(np.float32)
    weights = rng.integers(0, 4, (5, records)).astype(np.float32)
    weights[0] = 1
    scores = LabelScores(target, score)
    ranking = scores.ranking(weights[:, scores.positive], weights[:, scores.negative], specificity)
    auc = scores.auc(weights[:, scores.positive], weights[:, scores.negative])
    for draw in range(5):
        rows = np.repeat(np.arange(records), weights[draw].astype(int))
        truth, values = target[rows], score[rows]
        if truth.all() or not truth.any():
            assert np.isnan(auc[draw])
            assert np.isnan(ranking.average_precision[draw])
            assert np.isnan(ranking.sensitivity[draw])
            continue
        assert auc[draw] == pytest.approx(roc_auc_score(truth, values), abs=1e-12)
        assert ranking.average_precision[draw] == pytest.approx(
            average_precision_score(truth, values), abs=1e-12
        )
        assert ranking.sensitivity[draw] == pytest.approx(
            sensitivity_by_curve(truth, values, specificity), abs=1e-12
        )


def test_more_positives_than_a_block_holds() -> None:
    rng = np.random.default_rng(0)
    target = rng.random(2500) < 0.5
    score = (rng.normal(size=2500) + target).astype(np.float32)
    scores = LabelScores(target, score)
    ones = [np.ones((1, int(n)), np.float32) for n in (target.sum(), (~target).sum())]
    ranking = scores.ranking(*ones)
    assert scores.auc(*ones)[0] == pytest.approx(roc_auc_score(target, score), abs=1e-12)
    assert ranking.average_precision[0] == pytest.approx(
        average_precision_score(target, score), abs=1e-12
    )
    assert ranking.sensitivity[0] == pytest.approx(sensitivity_by_curve(target, score, 0.9))


def test_the_time_does_not_grow_with_positives_times_records() -> None:
    rng = np.random.default_rng(0)
    target = rng.random(100_000) < 0.3
    score = (rng.normal(size=100_000) + target).astype(np.float32)
    scores = LabelScores(target, score)
    ones = [np.ones((1, int(n)), np.float32) for n in (target.sum(), (~target).sum())]
    began = time.process_time()
    ranking = scores.ranking(*ones)
    # A sort and sums, not 30,000 times 100,000 comparisons.
    assert time.process_time() - began < 2
    assert ranking.average_precision[0] == pytest.approx(
        average_precision_score(target, score), abs=1e-12
    )


def test_draws_come_in_blocks_that_are_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = np.arange(300) // 2
    target = np.random.default_rng(0).random(300) < 0.1
    whole = draw_patients_apart(patient, target, 50, np.random.default_rng(1))
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 1000)
    blocks = list(draws_apart(patient, target, 50, np.random.default_rng(1)))
    assert {block.size for block in blocks} == {900, 600}
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


@settings(deadline=None, max_examples=40)
@given(
    patient=st.lists(st.integers(0, 6), min_size=1, max_size=25),
    flags=st.integers(0, 2**25 - 1),
    seed=st.integers(0, 99),
)
def test_draws_keep_patients_whole_and_strata_full(
    patient: list[int], flags: int, seed: int
) -> None:
    _, index = np.unique(patient, return_inverse=True)
    index = index.astype(np.int64)
    target = np.array([bool(flags >> k & 1) for k in range(len(index))])
    together = draw_patients(index, 20, np.random.default_rng(seed))
    apart = draw_patients_apart(index, target, 20, np.random.default_rng(seed))
    patients = int(index.max()) + 1
    first = [int(np.flatnonzero(index == k)[0]) for k in range(patients)]
    has = np.array([target[index == k].any() for k in range(patients)])
    for weights in (together, apart):
        assert weights.shape == (20, len(index))
        np.testing.assert_array_equal(weights, weights[:, first][:, index])
        assert (weights[:, first].sum(axis=1) == patients).all()
    assert (apart[:, first][:, has].sum(axis=1) == has.sum()).all()


def test_report_of_known_figures() -> None:
    predictions = cohort()
    report = judge(predictions, draws=200)
    assert report.units == 300 and report.patients == len(set(predictions.patient_ids))
    aucs = []
    for column, label in enumerate(predictions.labels):
        figures = report.labels[label]
        target, logits = predictions.targets[:, column], predictions.logits[:, column]
        chance = probabilities(logits)
        aucs.append(roc_auc_score(target, logits))
        assert figures.positives == target.sum()
        positive = {p for p, t in zip(predictions.patient_ids, target, strict=True) if t}
        assert figures.positive_patients == len(positive)
        assert figures.auc.value == pytest.approx(aucs[-1], abs=1e-12)
        assert figures.brier.value == pytest.approx(brier_score_loss(target, chance), abs=1e-7)
        for figure in (figures.auc, figures.average_precision, figures.sensitivity, figures.brier):
            assert figure.low is not None and figure.high is not None and figure.value is not None
            assert figure.low <= figure.value <= figure.high
            assert figure.low < figure.high
    assert report.macro_auc.estimate.value == pytest.approx(np.mean(aucs), abs=1e-12)
    assert report.mi_auc.estimate.value == pytest.approx(np.mean(aucs[:9]), abs=1e-12)
    assert report.mi_auc.labels == INFARCTION_TYPES
    assert judge(predictions, draws=200) == report
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["units"] == 300


def test_interval_is_as_wide_as_the_figure_varies() -> None:
    """Standard deviation of the AUC over fresh cohorts, against the interval within one."""
    label = ("AMI",)
    aucs = [judge(cohort(400, label, seed=s), 2).labels["AMI"].auc.value for s in range(1, 150)]
    figure = judge(cohort(400, label), 500).labels["AMI"].auc
    assert figure.high is not None and figure.low is not None
    assert (figure.high - figure.low) / 3.92 == pytest.approx(np.std(aucs), rel=0.35)


def test_rare_and_absent_labels() -> None:
    predictions = cohort(200, ("PMI", "AMI", "LMI", "NORM"))
    targets = predictions.targets.copy()
    targets[:, 0] = False
    targets[[3, 150], 0] = True
    targets[:, 2] = False
    rare = Predictions(
        predictions.record_ids,
        predictions.patient_ids,
        predictions.labels,
        targets,
        predictions.logits,
    )
    report = judge(rare, draws=300)
    two = report.labels["PMI"].auc
    assert two.low is not None and two.high is not None and two.high - two.low > 0.35
    assert report.mi_auc.fewest == report.macro_auc.fewest == 2
    # What two patients cannot tell of one label stays untold of the mean of two.
    mean = report.mi_auc.estimate
    assert mean.low is not None and mean.high is not None
    assert mean.high - mean.low > 0.45 * (two.high - two.low)
    absent = report.labels["LMI"]
    assert absent.auc.value is None and absent.auc.low is None and absent.positives == 0
    assert absent.brier.value is not None
    assert report.macro_auc.labels == ("PMI", "AMI", "NORM")
    figures = figures_of(rare, draws=20)
    assert figures["undefined"] == ["LMI"]
    json.dumps(figures, allow_nan=False)


def test_patients_in_place_of_records() -> None:
    predictions = cohort(40, ("AMI", "IMI"))
    patients = predictions.by_patient()
    assert sorted(patients.record_ids) == sorted(set(predictions.patient_ids))
    for row, patient in enumerate(patients.patient_ids):
        own = [k for k, name in enumerate(predictions.patient_ids) if name == patient]
        assert (patients.targets[row] == predictions.targets[own].any(axis=0)).all()
        assert (patients.logits[row] == predictions.logits[own].max(axis=0)).all()


def test_two_classifiers() -> None:
    good, poor = cohort(effect=2.0), cohort(effect=0.2)
    same = Predictions(good.record_ids, good.patient_ids, good.labels, good.targets, poor.logits)
    order = np.random.default_rng(1).permutation(len(good))
    columns = [8, 0, 9]  # another order of records and labels, and labels that it lacks
    shuffled = Predictions(
        tuple(good.record_ids[k] for k in order),
        tuple(good.patient_ids[k] for k in order),
        tuple(good.labels[k] for k in columns),
        good.targets[order][:, columns],
        poor.logits[order][:, columns],
    )
    whole, part = compare(good, same), compare(good, shuffled)
    assert list(part.labels) == [good.labels[0], good.labels[8], good.labels[9]]
    value = roc_auc_score(good.targets[:, 0], good.logits[:, 0])
    value -= roc_auc_score(good.targets[:, 0], poor.logits[:, 0])
    for comparison in (whole, part):
        difference = comparison.labels[good.labels[0]]
        assert difference.estimate.value == pytest.approx(value, abs=1e-12)
        assert difference.p_value is not None and 0 < difference.p_value < 1e-4
        assert difference.estimate.low is not None and difference.estimate.low > 0
    assert whole.macro_auc.p_value is not None and whole.macro_auc.p_value < 1e-12
    nothing = compare(good, good)
    assert nothing.mi_auc.estimate.value == 0 and nothing.mi_auc.p_value == 1


def test_what_cannot_be_compared_is_said() -> None:
    one = cohort(50, ("AMI",))
    with pytest.raises(PredictionsError, match="share no label"):
        compare(one, cohort(50, ("IMI",)))
    with pytest.raises(PredictionsError, match="different records"):
        compare(one, cohort(51, ("AMI",)))
    with pytest.raises(PredictionsError, match="disagree"):
        compare(one, cohort(50, ("AMI",), seed=5))


def test_interval_of_draws() -> None:
    result = estimate(0.5, np.append(np.linspace(0, 1, 201), np.nan))
    assert (result.value, result.low, result.high) == pytest.approx((0.5, 0.025, 0.975))


@settings(deadline=None, max_examples=40)
@given(records=st.integers(1, 200), bins=st.integers(1, 12), seed=st.integers(0, 999))
def test_calibration_counts_every_record_once(records: int, bins: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = rng.random(records) < 0.3
    probability = rng.integers(0, 20, records) / 19
    result = calibrate(target, probability, bins)
    assert sum(result.records) == records and len(result.records) <= bins
    assert list(result.predicted) == sorted(result.predicted)
    counts = np.array(result.records)
    assert np.dot(result.observed, counts) == pytest.approx(target.sum())
    assert np.dot(result.predicted, counts) == pytest.approx(probability.sum())


def test_calibration_against_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(1000)
    target = rng.random(1000) < probability**2
    result = calibrate(target, probability)
    observed, predicted = calibration_curve(target, probability, n_bins=10, strategy="quantile")
    assert result.observed == pytest.approx(observed, abs=0.02)
    assert result.predicted == pytest.approx(predicted, abs=0.02)
    assert result.error == pytest.approx(np.mean(np.abs(probability - probability**2)), abs=0.03)


def test_probabilities_do_not_overflow() -> None:
    with np.errstate(all="raise"):
        values = probabilities(np.array([[-700.0, 0.0, 700.0]], np.float32))
    assert values[0] == pytest.approx([0.0, 0.5, 1.0], abs=1e-12)


def test_predictions_come_back(tmp_path: Path) -> None:
    predictions = cohort(20, ("AMI", "true_AMI"))
    predictions.write(tmp_path / "p.parquet")
    back = Predictions.read(tmp_path / "p.parquet")
    assert back.record_ids == predictions.record_ids and back.labels == predictions.labels
    assert back.patient_ids == predictions.patient_ids
    np.testing.assert_array_equal(back.targets, predictions.targets)
    np.testing.assert_array_equal(back.logits, predictions.logits)
    (tmp_path / "bad.parquet").write_bytes(b"no table")
    for name in ("bad.parquet", "none.parquet"):
        with pytest.raises(PredictionsError, match=name):
            Predictions.read(tmp_path / name)
