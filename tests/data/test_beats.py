"""Beats: the compiled XQRS against that of wfdb, and against where the beats are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from wfdb import processing

from selfmis_plugin.data.beats import find_beats, xqrs
from selfmis_plugin.data.preprocessing import resample
from selfmis_plugin.synthetic import simulate

RATE = 250.0


def of_wfdb(signal: np.ndarray, rate: float) -> np.ndarray:
    return np.asarray(processing.xqrs_detect(signal, rate, verbose=False), dtype=np.int64)


@pytest.fixture(scope="module")
def hearts() -> np.ndarray:
    """Leads I, aVR and V1 of four synthetic hearts, (12, samples)."""
    records = [simulate(5, patient=patient).signal[[0, 3, 6]] for patient in range(4)]
    return resample(np.concatenate(records).astype(np.float64), 500, RATE)


@given(
    heart=st.integers(0, 11), gain=st.sampled_from([-1.0, 0.0, 1e-3, 1.0]),
    white=st.sampled_from([0.0, 50.0, 400.0]), drift=st.sampled_from([0.0, 50.0]),
    samples=st.integers(500, 2500), seed=st.integers(0, 99),
)  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_the_beats_are_those_of_wfdb(
    hearts: np.ndarray,
    heart: int,
    gain: float,
    white: float,
    drift: float,
    samples: int,
    seed: int,
) -> None:
    """Also upside down, in millivolts, under noise, of noise alone, and of nothing."""
    noise = np.random.default_rng(seed).normal(size=(2, samples))
    signal = gain * hearts[heart, :samples] + white * noise[0] + drift * noise[1].cumsum()
    np.testing.assert_array_equal(xqrs(signal, RATE), of_wfdb(signal, RATE))


@pytest.mark.parametrize("rate", [100.0, 128.0, 333.3, 500.0])
def test_at_any_rate(hearts: np.ndarray, rate: float) -> None:
    for signal in resample(hearts, RATE, rate):
        np.testing.assert_array_equal(xqrs(signal, rate), of_wfdb(signal, rate))


def test_on_real_records(real_data: Path) -> None:
    beats = 0
    for header in sorted((real_data / "challenge2021").glob("*.hea"))[::2]:
        record = wfdb.rdrecord(str(header.with_suffix("")), channel_names=["I", "V2"])
        for signal in np.nan_to_num(record.p_signal.T) * 1000:
            found = xqrs(signal, record.fs)
            np.testing.assert_array_equal(found, of_wfdb(signal, record.fs))
            beats += len(found)
    assert beats > 100


def test_beats_are_at_the_peaks() -> None:
    peaks = np.arange(100, 2400, 190)
    away = (np.arange(2500)[:, None] - peaks) / RATE
    signal = 1000 * np.exp(-0.5 * (away / 0.01) ** 2).sum(axis=1)
    np.testing.assert_array_equal(find_beats(signal, RATE), peaks)
    np.testing.assert_array_equal(find_beats(-signal, RATE), peaks)
