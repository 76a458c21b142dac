"""The Frechet distance against closed forms and a matrix square root, and what stands beside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.metrics.frechet import frechet_distance, patient_halves
from selfmis_plugin.metrics.made_leads import MadeLeads, compare_leads, limb_residual


def with_moments(
    rng: np.random.Generator, records: int, mean: np.ndarray, covariance: np.ndarray
) -> np.ndarray:
    """Records whose own mean and covariance are exactly these."""
    rows = rng.normal(size=(records, len(mean)))
    rows -= rows.mean(axis=0)
    own = np.linalg.cholesky(np.cov(rows, rowvar=False))
    return rows @ np.linalg.inv(own).T @ np.linalg.cholesky(covariance).T + mean


def by_square_root(first: np.ndarray, second: np.ndarray) -> float:
    covariances = [np.cov(side, rowvar=False) for side in (first, second)]
    root = sqrtm(covariances[0] @ covariances[1])
    between = np.square(first.mean(axis=0) - second.mean(axis=0)).sum()
    return float(between + np.trace(covariances[0] + covariances[1] - 2 * np.real(root)))


def test_two_gaussians_in_closed_form() -> None:
    rng = np.random.default_rng(0)
    means = np.array([1.0, -2.0, 0.5]), np.array([0.0, 1.0, 0.5])
    # Covariances that commute: the distance is that of the deviations.
    spreads = np.array([1.0, 4.0, 0.25]), np.array([9.0, 1.0, 0.25])
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    sides = [
        with_moments(rng, 50 + k, mean, turn @ np.diag(spread) @ turn.T)
        for k, (mean, spread) in enumerate(zip(means, spreads, strict=True))
    ]
    expected = np.square(means[0] - means[1]).sum()
    expected += np.square(np.sqrt(spreads[0]) - np.sqrt(spreads[1])).sum()
    assert frechet_distance(*sides) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("records", "others"), [(200, 150), (200, 20), (12, 15)])
def test_a_matrix_square_root_says_the_same(records: int, others: int) -> None:
    rng = np.random.default_rng(1)
    mix = rng.normal(size=(30, 30))
    first = rng.normal(size=(records, 30)) @ mix
    second = rng.normal(size=(others, 30)) @ mix.T + 0.3
    # Of singular covariances sqrtm is good to some digits only.
    tolerance = 1e-8 if min(records, others) > 30 else 1e-3
    assert frechet_distance(first, second) == pytest.approx(
        by_square_root(first, second), rel=tolerance
    )


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.tuples(st.integers(2, 12), st.integers(2, 12), st.integers(1, 8)),
    seed=st.integers(0, 1000),
    shift=st.floats(-5, 5),
    scale=st.floats(0.1, 10),
)
def test_what_holds_of_a_distance(
    sizes: tuple[int, int, int], seed: int, shift: float, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    first, second = (rng.normal(size=(count, sizes[2])) for count in sizes[:2])
    found = frechet_distance(first, second)
    assert found >= 0
    assert frechet_distance(second, first) == pytest.approx(found, rel=1e-9, abs=1e-9)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    moved = frechet_distance(scale * first + shift, scale * second + shift)
    assert moved == pytest.approx(scale**2 * found, rel=1e-6, abs=1e-7)
    turn = np.linalg.qr(rng.normal(size=(sizes[2], sizes[2])))[0]
    assert frechet_distance(first @ turn, second @ turn) == pytest.approx(found, rel=1e-8, abs=1e-9)
    apart = frechet_distance(first, first + shift)
    assert apart == pytest.approx(sizes[2] * shift**2, rel=1e-9, abs=1e-9)


def test_the_floor_grows_as_records_get_fewer() -> None:
    """d^2 / 2n and more, of two samples of one Gaussian: why a floor stands beside the figure."""
    rng = np.random.default_rng(2)
    floors = []
    for records in (100, 400, 1600):
        first, second = rng.normal(size=(2, records, 32))
        floors.append(frechet_distance(first, second))
        assert floors[-1] == pytest.approx(32**2 / (2 * records) + 64 / records, rel=0.35)
    assert floors == sorted(floors, reverse=True)


def test_what_is_no_set_is_refused() -> None:
    rows = np.zeros((3, 2))
    for first, second, message in (
        (rows, np.zeros((3, 3)), "not both"),
        (rows[0], rows[0], "not both"),
        (rows, rows[:1], "two records"),
        (rows, rows + np.nan, "NaN or Inf"),
    ):
        with pytest.raises(ValueError, match=message):
            frechet_distance(first, second)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=40), st.integers(0, 99))
def test_halves_share_no_patient(drawn: list[int], seed: int) -> None:
    patient = np.unique(drawn, return_inverse=True)[1]
    if patient.max() < 1:
        return
    first, second = patient_halves(patient, np.random.default_rng(seed))
    assert len(first) == len(second) > 0
    assert not set(patient[first]) & set(patient[second])
    assert len(set(first)) == len(first) and len(set(second)) == len(second)


def heart_leads(records: int) -> np.ndarray:
    """Leads of hearts whose limb leads keep the laws, float64 microvolts at 500 Hz."""
    rng = np.random.default_rng(3)
    time = np.arange(5000) / 500
    beats = np.arange(0.4, 9.9, 0.8)
    wave = np.exp(-0.5 * ((time[:, None] - beats) / 0.015) ** 2).sum(1)
    leads = rng.normal(800, 50, (records, 12, 1)) * wave + rng.normal(0, 5, (records, 12, 5000))
    one, two = leads[:, 0], leads[:, 1]
    leads[:, 2], leads[:, 3] = two - one, -(one + two) / 2
    leads[:, 4], leads[:, 5] = one - two / 2, two - one / 2
    return leads


def test_real_leads_keep_the_laws_and_their_own_rate() -> None:
    real = heart_leads(4)
    assert limb_residual(real).max() < 1e-9
    same = compare_leads(real, real, 500)
    np.testing.assert_allclose(same.correlation, 1)
    assert not same.rmse.any() and not same.mae.any()
    np.testing.assert_allclose(same.heart_rate[:, [0, 1, 6]], 75, atol=0.5)
    broken = real.copy()
    broken[:, STANDARD_LEADS.index("II")] += 30
    # 30 in the first law, 15 in two others: the root of their mean square.
    expected = np.sqrt((30**2 + 15**2 + 15**2) / 4)
    np.testing.assert_allclose(limb_residual(broken), expected)
    off = compare_leads(real, broken, 500)
    np.testing.assert_allclose(off.mae[:, 1], 30)
    np.testing.assert_allclose(off.rmse[:, 1], 30)
    np.testing.assert_allclose(off.correlation, 1)
    flat = compare_leads(real, np.zeros_like(real), 500)
    assert not flat.correlation.any() and np.isnan(flat.heart_rate).all()
    both = MadeLeads.joined([same, off])
    assert both.correlation.shape == (8, 12) and both.residual.shape == (8,)
    with pytest.raises(ValueError, match="not both"):
        compare_leads(real, real[:, :3], 500)
