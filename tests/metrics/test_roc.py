"""ROC curves and their bands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import auc, roc_auc_score, roc_curve

from selfmis_plugin.metrics.roc import roc_band


@settings(deadline=None, max_examples=40)
@given(records=st.integers(2, 60), levels=st.sampled_from([2, 4, 1000]), seed=st.integers(0, 9999))
def test_curve_is_scikit_learns(records: int, levels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = np.zeros(records, dtype=bool)
    target[: rng.integers(1, records)] = True
    score = rng.integers(0, levels, records).astype(np.float32)
    band = roc_band(target, score, np.arange(records), draws=20)
    false, true, _ = roc_curve(target, score, drop_intermediate=False)
    np.testing.assert_allclose(band.false_positive_rate, false, atol=1e-12)
    np.testing.assert_allclose(band.sensitivity, true, atol=1e-12)
    assert (band.low <= band.high).all() and band.low[0] >= 0 and band.high[-1] == 1


def test_band_holds_the_curve_and_narrows_with_more_records() -> None:
    widths = []
    for records in (200, 3200):
        rng = np.random.default_rng(0)
        target = rng.random(records) < 0.3
        score = rng.normal(size=records) + target
        band = roc_band(target, score, np.arange(records), draws=200)
        curve = np.interp(band.grid, band.false_positive_rate, band.sensitivity)
        assert ((band.low <= curve + 1e-9) & (curve <= band.high + 1e-9)).mean() > 0.95
        assert auc(band.grid, curve) == pytest.approx(roc_auc_score(target, score), abs=0.01)
        widths.append(float(np.mean(band.high - band.low)))
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.35)


def test_band_is_as_wide_as_few_positives_demand() -> None:
    rates = (10, 30, 60)  # per cent, the places of the grid
    true = norm.cdf(np.sqrt(2) * norm.ppf(0.85) + norm.ppf(np.array(rates) / 100))
    for positives, least, most in ((1, 0.9, 1.0), (5, 0.5, 0.85), (60, 0.05, 0.3)):
        target = np.arange(positives + 200) < positives
        holds, widths = [], []
        for seed in range(40):
            score = np.random.default_rng(seed).normal(size=len(target))
            score[target] += np.sqrt(2) * norm.ppf(0.85)
            band = roc_band(target, score, np.arange(len(target)), draws=30, seed=seed)
            low, high = band.low[list(rates)], band.high[list(rates)]
            holds.append((low <= true) & (true <= high))
            widths.append(high - low)
            assert (np.diff(band.low) >= 0).all() and (np.diff(band.high) >= 0).all()
        assert np.mean(holds) > 0.93
        assert least < np.mean(widths) < most


def test_no_curve_without_both() -> None:
    with pytest.raises(ValueError, match="positive and a negative"):
        roc_band(np.ones(3, bool), np.arange(3.0), np.arange(3))
