"""Draws that all labels share, of which each label takes its own."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfmis_plugin.evaluation.evaluate import figures_of
from selfmis_plugin.metrics import bootstrap
from selfmis_plugin.metrics.bootstrap import draw_patients_apart, drawn_patients
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.metrics.ranking import LabelScores
from selfmis_plugin.metrics.statistics import judge


@settings(max_examples=60)
@given(flags=st.lists(st.booleans(), min_size=1, max_size=60), seed=st.integers(0, 99))
def test_each_group_is_drawn_as_often_as_it_is_large(flags: list[bool], seed: int) -> None:
    has = np.array(flags)
    (some,) = drawn_patients(len(has), 40, seed)
    before = some.counts.copy()
    assert (before.sum(axis=0) == len(has)).all()
    with some.apart(has, np.random.default_rng(seed)) as counts:
        assert counts.shape == before.shape and (counts >= 0).all()
        assert (counts[has].sum(axis=0) == has.sum()).all()
        assert (counts[~has].sum(axis=0) == (~has).sum()).all()
    np.testing.assert_array_equal(some.counts, before)


@pytest.mark.parametrize("known", [12, 0])
@pytest.mark.parametrize("positives", [3, 20, 35])
def test_a_draw_spreads_as_one_that_nobody_shares(
    positives: int, known: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "_LAST", known)
    has = np.arange(40) < positives
    values = np.random.default_rng(5).random((3, 40)).astype(np.float32)
    (some,) = drawn_patients(40, 6_000, 1)
    with some.apart(has, np.random.default_rng(2)) as counts:
        for group in (has, ~has):
            size = int(group.sum())
            sums = values[:, group] @ counts[group]
            # Of a mean of n draws with replacement: the mean, and the population's variance by n.
            own = values[:, group]
            expected = np.cov(own, bias=True) * size
            tolerance = 4 * expected[0, 0] / np.sqrt(6_000) * 2
            np.testing.assert_allclose(sums.mean(axis=1), own.sum(axis=1), rtol=0.02)
            np.testing.assert_allclose(np.cov(sums), expected, atol=tolerance)
        # The two groups have nothing to do with each other.
        both = np.corrcoef(values[0, has] @ counts[has], values[0, ~has] @ counts[~has])
    assert abs(both[0, 1]) < 0.06


def test_blocks_are_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = drawn_patients(50, 30, 3)
    monkeypatch.setattr(bootstrap, "_SHARED_AT_ONCE", 400)
    parts = list(drawn_patients(50, 30, 3))
    assert [part.counts.shape for part in parts] == [(50, 8)] * 3 + [(50, 6)]
    np.testing.assert_array_equal(np.concatenate([p.counts for p in parts], axis=1), whole.counts)
    np.testing.assert_array_equal(np.concatenate([p.last for p in parts]), whole.last)


def test_a_patients_records_go_together() -> None:
    rng = np.random.default_rng(0)
    patient = rng.integers(0, 30, 80)
    patient = np.unique(patient, return_inverse=True)[1].astype(np.int64)
    target = rng.random(80) < 0.3
    scores = LabelScores(target, rng.integers(0, 12, 80).astype(np.float32))
    weights = draw_patients_apart(patient, target, 50, rng)
    by_record = scores.ranking(weights[:, scores.positive], weights[:, scores.negative])
    first = np.unique(patient, return_index=True)[1]
    by_patient = scores.ranking_of(np.ascontiguousarray(weights[:, first].T), patient)
    np.testing.assert_array_equal(by_patient.average_precision, by_record.average_precision)
    np.testing.assert_array_equal(by_patient.sensitivity, by_record.sensitivity)


@settings(max_examples=30, deadline=None)
@given(
    records=st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=2, max_size=6),
    seed=st.integers(0, 99),
)
def test_no_figure_is_beyond_what_json_holds(records: list[tuple[int, bool]], seed: int) -> None:
    # Where every patient has the label in some record, draws may have no negative record.
    logits = np.random.default_rng(seed).normal(size=(len(records), 1)).astype(np.float32)
    predictions = Predictions(
        tuple(map(str, range(len(records)))),
        tuple(str(patient) for patient, _ in records),
        ("NORM",),
        np.array([[has] for _, has in records]),
        logits,
    )
    json.dumps(figures_of(predictions, 40), allow_nan=False)


def test_draws_without_a_negative_record_are_left_out() -> None:
    truth, logits = np.array([[True], [False], [True]]), np.array([[2], [1], [0]], dtype=np.float32)
    predictions = Predictions(("a", "b", "c"), ("A", "A", "B"), ("NORM",), truth, logits)
    figures = judge(predictions, 200).labels["NORM"]
    for figure in (figures.average_precision, figures.sensitivity):
        assert figure.value is not None and figure.low is not None and figure.high is not None
        assert 0 <= figure.low <= figure.value <= figure.high <= 1
