"""AUC by label against its definition over pairs, and honest handling of what is undefined."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfmis_plugin.metrics.auc import auc_report

NAMES = ["AMI", "IMI", "NORM", "PMI"]
INFARCTION = ["ALMI", "AMI", "IMI", "PMI"]


def by_pairs(target: np.ndarray, score: np.ndarray) -> float | None:
    """Share of (positive, negative) pairs in the right order, ties as half."""
    positive, negative = score[target == 1], score[target == 0]
    if not (len(positive) and len(negative)):
        return None
    wins = [(p > n) + 0.5 * (p == n) for p in positive.tolist() for n in negative.tolist()]
    return float(np.mean(wins))


@settings(deadline=None, max_examples=60)
@given(
    records=st.integers(1, 25),
    levels=st.sampled_from([2, 5, 1000]),
    share=st.floats(0, 1),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    seed=st.integers(0, 2**16),
)
def test_equals_the_definition(
    records: int, levels: int, share: float, dtype: type, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    targets = (rng.random((records, 4)) < share).astype(np.float32)
    scores = rng.integers(0, levels, (records, 4)).astype(dtype)
    report = auc_report(targets, scores, NAMES, INFARCTION)
    expected = {name: by_pairs(targets[:, i], scores[:, i]) for i, name in enumerate(NAMES)}
    defined = {name: value for name, value in expected.items() if value is not None}
    assert report.per_label == pytest.approx(defined)
    assert report.undefined == [name for name in NAMES if name not in defined]
    assert report.positives == {name: int(targets[:, i].sum()) for i, name in enumerate(NAMES)}
    assert report.records == records
    infarction = [defined[name] for name in INFARCTION if name in defined]
    if defined:
        assert report.macro_auc == pytest.approx(np.mean(list(defined.values())))
    else:
        assert report.macro_auc is None
    assert report.mi_auc == (pytest.approx(np.mean(infarction)) if infarction else None)
    again = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert list(again["per_label"]) == NAMES
    assert again["per_label"] == pytest.approx(expected)


def test_undefined_labels_are_named_and_left_out() -> None:
    targets = np.array([[1, 0, 1, 0], [0, 0, 1, 1], [1, 0, 1, 1]])
    scores = np.array([[2.0, 1, 1, 0], [1, 2, 2, 1], [3, 3, 3, 2]])
    report = auc_report(targets, scores, NAMES, INFARCTION)
    assert report.per_label == {"AMI": 1.0, "PMI": 1.0}
    assert report.undefined == ["IMI", "NORM"]
    assert (report.macro_auc, report.mi_auc) == (1.0, 1.0)
    assert report.infarction == ["AMI", "PMI"]
    assert report.to_dict()["per_label"] == {"AMI": 1.0, "IMI": None, "NORM": None, "PMI": 1.0}


def test_neighbouring_float32_scores_keep_their_order() -> None:
    low = np.float32(20.0)
    scores = np.array([[low], [np.nextafter(low, np.float32(21), dtype=np.float32)]])
    assert scores.dtype == np.float32
    assert auc_report([[0], [1]], scores, ["AMI"], INFARCTION).macro_auc == 1.0
    assert auc_report([[1], [0]], scores, ["AMI"], INFARCTION).macro_auc == 0.0
    tiny = np.array([[0.0], [1e-45]], dtype=np.float32)
    assert auc_report([[0], [1]], tiny, ["AMI"], INFARCTION).macro_auc == 1.0


def test_without_infarction_labels_there_is_no_infarction_auc() -> None:
    report = auc_report([[0], [1]], [[0.1], [0.2]], ["NORM"], INFARCTION)
    assert report.mi_auc is None
    assert report.macro_auc == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(value: float) -> None:
    scores = np.zeros((3, 4))
    scores[1, 2] = value
    with pytest.raises(ValueError, match=r"1 of 3 records .*NORM"):
        auc_report(np.eye(3, 4), scores, NAMES, INFARCTION)


def test_input_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="4 labels"):
        auc_report(np.zeros((3, 3)), np.zeros((3, 3)), NAMES, INFARCTION)
    with pytest.raises(ValueError, match="must both be"):
        auc_report(np.zeros((3, 4)), np.zeros((2, 4)), NAMES, INFARCTION)
    with pytest.raises(ValueError, match="0 or 1"):
        auc_report(np.full((3, 4), 0.5), np.zeros((3, 4)), NAMES, INFARCTION)
    with pytest.raises(ValueError, match="repeat"):
        auc_report(np.zeros((3, 2)), np.zeros((3, 2)), ["AMI", "AMI"], INFARCTION)
