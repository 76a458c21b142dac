"""Decimation against scipy, z-score against numpy, and what hosts do to modules."""

from __future__ import annotations

import copy
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from selfmis_plugin.nn.inputs import Preparation, resampled_samples, zscore

torch.set_num_threads(1)


def expected(signal: np.ndarray, store_rate: int, sample_rate: int) -> np.ndarray:
    signal = signal.astype(np.float64)
    common = math.gcd(store_rate, sample_rate)
    if store_rate != sample_rate:
        signal = resample_poly(signal, sample_rate // common, store_rate // common, axis=-1)
    mean = signal.mean(axis=(1, 2), keepdims=True)
    return (signal - mean) / signal.std(axis=(1, 2), keepdims=True)


@settings(deadline=None, max_examples=40)
@given(
    rates=st.sampled_from(
        [(500, 500), (500, 250), (500, 100), (500, 128), (257, 100), (360, 250), (1000, 50)]
    ),
    samples=st.integers(50, 1600),
    leads=st.integers(1, 3),
    offset=st.sampled_from([0, 3000]),
    seed=st.integers(0, 2**16),
)
def test_equals_resample_poly_and_zscore(
    rates: tuple[int, int], samples: int, leads: int, offset: int, seed: int
) -> None:
    raw = np.random.default_rng(seed).integers(-3000, 3000, (2, leads, samples)) + offset
    prepared = Preparation(*rates)(torch.from_numpy(raw.astype(np.int16)))
    wanted = expected(raw, *rates)
    assert prepared.dtype == torch.float32
    assert prepared.shape == wanted.shape
    assert prepared.shape[-1] == resampled_samples(samples, *rates)
    np.testing.assert_allclose(prepared.numpy(), wanted, rtol=1e-4, atol=1e-4)


def test_ratio_with_a_long_filter() -> None:
    raw = np.random.default_rng(0).normal(0, 500, (1, 1, 5000)).astype(np.float32)
    prepared = Preparation(500, 499)(torch.from_numpy(raw))
    np.testing.assert_allclose(prepared.numpy(), expected(raw, 500, 499), atol=1e-4)


def test_a_real_record(real_data: Path) -> None:
    record = wfdb.rdrecord(str(real_data / "challenge2021" / "JS20000"))
    assert (record.fs, record.n_sig) == (500, 12)
    raw = np.round(np.nan_to_num(record.p_signal.T) * 1000).astype(np.int16)[None]
    for sample_rate in (500, 250, 100):
        prepared = Preparation(500, sample_rate)(torch.from_numpy(raw)).numpy()
        np.testing.assert_allclose(prepared, expected(raw, 500, sample_rate), atol=2e-5)


def test_content_above_half_the_rate_is_removed() -> None:
    time = torch.arange(5000) / 500
    slow, fast = (1000 * torch.sin(2 * math.pi * hertz * time) for hertz in (5, 90))
    prepare = Preparation(500, 100)
    mixed, alone = prepare((slow + fast)[None, None]), prepare(slow[None, None])
    assert (mixed - alone).abs()[..., 50:-50].max() < 0.02


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.float32, torch.float64])
def test_types_of_raw_signals_agree(dtype: torch.dtype) -> None:
    raw = torch.randint(-2000, 2000, (2, 3, 1000), dtype=torch.int16)
    prepare = Preparation(500, 250)
    assert torch.equal(prepare(raw.to(dtype)), prepare(raw))


@pytest.mark.parametrize("sample_rate", [500, 100])
@pytest.mark.parametrize("value", [0, 1, -3, 12345, 32767, 0.1, 1234.567])
def test_a_constant_becomes_zeros(sample_rate: int, value: float) -> None:
    raw = torch.full((3, 12, 5000), value)
    raw[1, 4, 100:200] += 50
    prepared = Preparation(500, sample_rate)(raw)
    assert torch.equal(prepared[0], torch.zeros_like(prepared[0]))
    assert torch.equal(prepared[2], torch.zeros_like(prepared[2]))
    assert torch.isfinite(prepared).all()
    assert prepared[1].std(correction=0) == pytest.approx(1, abs=1e-4)


@settings(deadline=None, max_examples=30)
@given(
    gain=st.floats(0.01, 100),
    offset=st.floats(-1000, 1000),
    seed=st.integers(0, 2**16),
)
def test_zscore_forgets_gain_and_offset(gain: float, offset: float, seed: int) -> None:
    signal = torch.randn(2, 3, 200, generator=torch.Generator().manual_seed(seed)) * 100
    once = zscore(signal)
    torch.testing.assert_close(zscore(signal * gain + offset), once, rtol=1e-3, atol=1e-3)
    assert once.mean(dim=(1, 2)).abs().max() < 1e-5
    torch.testing.assert_close(once.std(dim=(1, 2), correction=0), torch.ones(2))


def test_leads_keep_their_relative_size() -> None:
    signal = torch.randn(1, 2, 500)
    signal[:, 1] *= 5
    once = zscore(signal)
    assert float(once[0, 1].std() / once[0, 0].std()) == pytest.approx(
        float(signal[0, 1].std() / signal[0, 0].std()), rel=1e-4
    )


def test_hosts_may_cast_copy_and_pickle() -> None:
    raw = torch.randint(-2000, 2000, (2, 2, 1000), dtype=torch.int16)
    model = torch.nn.Sequential(Preparation(500, 100))
    before = model(raw)
    assert not model.state_dict()
    assert not list(model.buffers())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), model.half()):
        assert torch.equal(other(raw), before)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model(raw), before)


def test_filter_made_in_inference_mode_serves_autograd() -> None:
    prepare = Preparation(500, 100)
    with torch.inference_mode():
        prepare(torch.randn(1, 1, 700))
    signal = torch.randn(1, 1, 700, requires_grad=True)
    prepare(signal).square().mul(torch.randn(1, 1, 140)).sum().backward()
    assert signal.grad is not None
    assert signal.grad.abs().sum() > 0


def test_errors_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="choose at most 100"):
        Preparation(100, 500)
    with pytest.raises(ValueError, match="positive"):
        Preparation(500, 0)
    for shape in [(5000,), (1, 5000), (1, 0, 5000), (1, 1, 0)]:
        with pytest.raises(ValueError, match="batch, leads, samples"):
            Preparation(500, 100)(torch.zeros(shape))
