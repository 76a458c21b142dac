"""Quality of a channel: signs, beats, the figure and thresholds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from selfmis_plugin.data.beats import find_beats
from selfmis_plugin.data.quality import (
    assess,
    beat_similarity,
    choose_threshold,
    describe,
    interpolate_missing,
    signs,
)
from selfmis_plugin.synthetic import simulate

RATE = 500
TIME = np.arange(10 * RATE) / RATE


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    """Lead II of a healthy heart, microvolts at 500 Hz."""
    return simulate(5, patient=1, infarctions=()).signal[1].astype(np.float64)


def pulses(rate: float, per_minute: float, seconds: float = 10) -> np.ndarray:
    """Beats of 1 mV, 20 ms wide, on a little noise."""
    time = np.arange(round(seconds * rate)) / rate
    away = (time * per_minute / 60 + 0.5) % 1 - 0.5
    wave = 1000 * np.exp(-0.5 * (away * 60 / per_minute / 0.02) ** 2)
    return wave + np.random.default_rng(0).normal(0, 10, len(time))


def test_a_good_channel_has_no_sign(ecg: np.ndarray) -> None:
    quality = assess(ecg, RATE)
    assert quality.reasons == ()
    assert quality.figure > 0.9
    assert quality.usable()
    assert not quality.usable(threshold=1.0)


@pytest.mark.parametrize("rate", [100, 128, 250, 333.3, 1000, 2000])
@pytest.mark.parametrize("per_minute", [40, 72, 140])
def test_beats_are_counted_at_any_rate(rate: float, per_minute: float) -> None:
    quality = assess(pulses(rate, per_minute), rate)
    assert abs(quality.beats - per_minute / 6) <= 1.5
    assert quality.reasons == ()
    assert quality.figure > 0.8


def test_an_offset_and_the_sign_change_nothing(ecg: np.ndarray) -> None:
    first = assess(ecg, RATE)
    for other in (ecg + 300_000, ecg - 300_000):
        assert assess(other, RATE).figure == pytest.approx(first.figure, abs=1e-3)
    assert assess(-ecg, RATE).figure == pytest.approx(first.figure, abs=0.05)


@pytest.mark.parametrize(
    ("sign", "spoil"),
    [
        ("missing", lambda x: np.where(TIME < 0.2, np.nan, x)),
        ("missing", lambda x: np.where(TIME >= 0, np.nan, x)),
        ("flat", lambda x: np.zeros_like(x)),
        ("flat", lambda x: np.where((TIME > 4) & (TIME < 6.1), 250.0, x)),
        ("flat", lambda x: np.where(TIME >= 7.99, x[-1], x)),
        ("clipped", lambda x: np.clip(x, None, np.quantile(x, 0.97))),
        ("off", lambda x: x + 20_000 * (TIME > 9)),
        ("noisy", lambda x: x + 2000 * np.sin(2 * np.pi * 50 * TIME)),
        ("beats", lambda x: pulses(RATE, 20)),
    ],
)
def test_what_is_wrong_is_named(ecg: np.ndarray, sign: str, spoil: object) -> None:
    quality = assess(spoil(np.round(ecg)), RATE)  # type: ignore[operator]
    assert sign in quality.reasons
    assert not quality.usable(threshold=0.0)
    assert describe(quality.reasons)


def test_small_faults_are_no_sign(ecg: np.ndarray) -> None:
    for fine in (
        np.where(TIME < 0.05, np.nan, ecg),
        np.where((TIME > 4) & (TIME < 5.8), 250.0, ecg),
        ecg + 20_000 * (TIME > 9.8),
        ecg + 20 * np.sin(2 * np.pi * 50 * TIME),
    ):
        assert signs(fine[None], RATE) == [()]


def test_a_quiet_baseline_is_no_rail() -> None:
    # Coarse steps, beats upwards only: most samples have the lowest value.
    breathing = 1 + 0.3 * np.sin(2 * np.pi * TIME / 4.3)
    wave = np.round(np.clip(breathing * pulses(RATE, 70), 0, None) / 50) * 50
    assert (wave == 0).mean() > 0.5
    assert "clipped" not in assess(wave + 1e-9, RATE).reasons


def test_channels_are_judged_each_by_itself(ecg: np.ndarray) -> None:
    bad = np.where(TIME < 1, np.nan, ecg)
    together = signs(np.stack([ecg, bad, np.zeros_like(ecg)]), RATE)
    assert together == [signs(channel[None], RATE)[0] for channel in (ecg, bad, 0 * ecg)]
    assert together[0] == ()


def test_more_noise_lowers_the_figure(ecg: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    noise = np.convolve(rng.normal(size=len(ecg) + 19), np.ones(20) / 20, mode="valid")
    figures = [assess(ecg + level * noise, RATE).figure for level in (0, 300, 900)]
    assert figures[0] > figures[1] > figures[2]
    assert figures[2] < 0.66 < figures[0]


def test_the_figure_is_the_mean_correlation_of_the_beats(ecg: np.ndarray) -> None:
    beats = find_beats(ecg, RATE)
    reach = int(np.median(np.diff(beats)) // 2)
    cut = [ecg[b - reach : b + reach + 1] for b in beats if b - reach >= 0 and b + reach < len(ecg)]
    average = np.mean(cut, axis=0)
    expected = np.mean([np.corrcoef(beat, average)[0, 1] for beat in cut])
    assert beat_similarity(ecg, beats, RATE) == pytest.approx(expected, abs=1e-12)


def test_without_two_beats_there_is_no_figure(ecg: np.ndarray) -> None:
    assert beat_similarity(ecg, np.array([], dtype=np.int64), RATE) == 0
    assert beat_similarity(ecg, np.array([100]), RATE) == 0
    assert beat_similarity(np.zeros(5000), np.array([1000, 2000, 3000]), RATE) == 0


def test_real_resting_records_are_usable(real_data: Path) -> None:
    records = sorted((real_data / "challenge2021").glob("*.hea"))
    assert records
    for header in records:
        record = wfdb.rdrecord(str(header.with_suffix("")), channel_names=["I"])
        quality = assess(record.p_signal[:, 0] * 1000, record.fs)
        assert quality.usable(), (header.name, quality)


def test_what_cannot_be_assessed() -> None:
    with pytest.raises(ValueError, match="two seconds"):
        assess(np.zeros(900), RATE)
    with pytest.raises(ValueError, match="one channel"):
        assess(np.zeros((2, 5000)), RATE)


def test_missing_samples_are_interpolated() -> None:
    signal = np.array([[np.nan, 1, np.nan, 3, np.inf], [np.nan] * 5, [1, 2, 3, 4, 5]])
    expected = [[1, 1, 2, 3, 3], [0] * 5, [1, 2, 3, 4, 5]]
    assert np.array_equal(interpolate_missing(signal), expected)


@given(
    low=st.floats(0.05, 0.5), high=st.floats(0.8, 0.95), count=st.integers(20, 200),
    share=st.floats(0.2, 0.8), seed=st.integers(0, 99),
)  # fmt: skip
@settings(deadline=None, max_examples=50)
def test_two_heaps_are_parted_between_them(
    low: float, high: float, count: int, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    few = max(1, round(share * count))
    bad = np.clip(rng.normal(low, 0.01, few), 0, 1)
    good = np.clip(rng.normal(high, 0.01, count), 0, 1)
    threshold = choose_threshold(np.concatenate([bad, good]))
    assert bad.max() < threshold <= max(0.8, good.min()) and 0.5 <= threshold <= 0.8
    free = choose_threshold(np.concatenate([bad, good]), lowest=0, highest=1)
    assert bad.max() <= free + 0.005 and free <= good.min() + 0.005


def test_one_heap_is_not_cut_in_two() -> None:
    rng = np.random.default_rng(0)
    assert choose_threshold(rng.uniform(0.9, 1, 500)) == 0.8
    assert choose_threshold(rng.uniform(0.1, 0.4, 500)) == 0.5
    assert choose_threshold([]) == 0.8
