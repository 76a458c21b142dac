"""Differences against a named row, and Holm's correction."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfmis_plugin.metrics.against import compare_against, holm
from selfmis_plugin.metrics.predictions import Predictions, PredictionsError
from selfmis_plugin.metrics.statistics import compare

P_VALUES = st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8)


def holm_by_closure(values: list[float]) -> list[float]:
    """The closed test of Bonferroni: the largest over all sets of hypotheses that hold one."""
    adjusted = []
    for k in range(len(values)):
        worst = 0.0
        for bits in range(1 << len(values)):
            if bits >> k & 1:
                own = [v for j, v in enumerate(values) if bits >> j & 1]
                worst = max(worst, min(1.0, len(own) * min(own)))
        adjusted.append(worst)
    return adjusted


@given(P_VALUES)
def test_holm_is_the_closed_test(values: list[float | None]) -> None:
    adjusted = holm(values)
    known = [value for value in values if value is not None]
    theirs = iter(holm_by_closure(known))
    for value, own in zip(values, adjusted, strict=True):
        if value is None:
            assert own is None
        else:
            assert own == pytest.approx(next(theirs)) and own >= value


def test_holms_steps() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    with pytest.raises(ValueError, match="from 0 to 1"):
        holm([0.5, 1.2])


def rows(gains: dict[str, float], labels: tuple[str, ...] = ("AMI", "IMI", "NORM"), seed: int = 0):
    rng = np.random.default_rng(seed)
    targets = rng.random((400, len(labels))) < 0.2
    base = rng.normal(size=targets.shape) + 0.7 * targets
    names = tuple(f"r{k}" for k in range(400))
    patients = tuple(f"p{k // 2}" for k in range(400))
    return {
        name: Predictions(
            names, patients, labels, targets,
            (base + gain * targets + 0.4 * rng.normal(size=base.shape)).astype(np.float32),
        )
        for name, gain in gains.items()
    }  # fmt: skip


@pytest.mark.parametrize("by_patient", [False, True])
def test_every_row_against_one(by_patient: bool) -> None:
    all_rows = rows({"selfmis": 0.0, "better": 1.0, "same": 0.0, "worse": -0.5})
    found = compare_against(all_rows, "selfmis", by_patient)
    assert list(found) == ["better", "same", "worse"]
    for figure in ("AMI", "macro_auc", "mi_auc"):
        own = {}
        for name in found:
            pair = [all_rows[name], all_rows["selfmis"]]
            comparison = compare(*(one.by_patient() if by_patient else one for one in pair))
            assert found[name].comparison == comparison
            single = comparison.labels.get(figure) or getattr(comparison, figure)
            own[name] = single.p_value
        assert [found[name].adjusted[figure] for name in found] == holm(list(own.values()))
    better = found["better"].to_dict()
    assert better["macro_auc"]["p_holm"] < 0.001
    assert found["same"].to_dict()["mi_auc"]["p_holm"] > 0.05
    json.dumps(better, allow_nan=False)


def test_rows_with_other_labels_count_where_they_are() -> None:
    all_rows = rows({"a": 0.0, "b": 0.2, "c": 0.3})
    c = all_rows["c"]
    less = Predictions(c.record_ids, c.patient_ids, ("AMI",), c.targets[:, :1], c.logits[:, :1])
    found = compare_against({**all_rows, "c": less}, "a")
    assert "IMI" not in found["c"].adjusted
    b = found["b"].comparison
    assert found["b"].adjusted["IMI"] == b.labels["IMI"].p_value  # a family of one


def test_what_cannot_be_compared() -> None:
    all_rows = rows({"a": 0.0, "b": 0.2})
    with pytest.raises(ValueError, match="no row 'c'.*there is a, b"):
        compare_against(all_rows, "c")
    with pytest.raises(ValueError, match="only row"):
        compare_against({"a": all_rows["a"]}, "a")
    with pytest.raises(PredictionsError, match="disagree"):
        compare_against({"a": all_rows["a"], "b": rows({"b": 0.0}, seed=1)["b"]}, "a")
