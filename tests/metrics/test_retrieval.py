"""Retrieval and pairwise loss against double loops in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from selfmis_plugin.metrics.retrieval import TIE_TOLERANCE, pairwise_siglip, retrieval
from selfmis_plugin.nn.losses.siglip import SigLIPLoss

torch.set_num_threads(1)


def cosine(a: list[float], b: list[float]) -> float:
    sizes = math.hypot(*a) * math.hypot(*b)
    return sum(x * y for x, y in zip(a, b, strict=True)) / sizes if sizes else 0.0


def ranks_by_hand(single: Tensor, multi: Tensor) -> list[int]:
    ranks = []
    for i, row in enumerate(single.double().tolist()):
        similar = [cosine(row, column) for column in multi.double().tolist()]
        others = similar[:i] + similar[i + 1 :]
        ranks.append(1 + sum(value >= similar[i] - TIE_TOLERANCE for value in others))
    return ranks


# Small whole numbers make many exact ties, and no near ones.
grid = st.integers(1, 12).flatmap(
    lambda rows: st.lists(
        st.lists(st.integers(-2, 2), min_size=3, max_size=3), min_size=2 * rows, max_size=2 * rows
    )
)


@settings(deadline=None, max_examples=60)
@given(values=grid, chunk=st.integers(1, 13))
def test_equals_a_double_loop_with_ties(values: list[list[int]], chunk: int) -> None:
    single, multi = torch.tensor(values, dtype=torch.float32).chunk(2)
    report = retrieval(single, multi, k=(1, 2, 5), chunk=chunk)
    ranks = ranks_by_hand(single, multi)
    for top in (1, 2, 5):
        assert report[f"r{top}"] == pytest.approx(np.mean([rank <= top for rank in ranks]))
    assert report["median_rank"] == np.median(ranks)


@settings(deadline=None, max_examples=20)
@given(rows=st.integers(2, 60), gain=st.floats(0.1, 10), seed=st.integers(0, 2**16))
def test_order_and_size_do_not_matter(rows: int, gain: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    single = torch.randn(rows, 8, generator=generator)
    multi = single + torch.randn(rows, 8, generator=generator)
    order = torch.randperm(rows, generator=generator)
    report = retrieval(single, multi)
    assert retrieval(single[order], multi[order] * gain) == report
    assert 0 <= report["r1"] <= report["r5"] <= report["r10"] <= 1


def test_matching_embeddings_are_found() -> None:
    multi = torch.randn(50, 16, generator=torch.Generator().manual_seed(0))
    assert retrieval(multi.bfloat16(), multi) == {"r1": 1, "r5": 1, "r10": 1, "median_rank": 1}


@pytest.mark.parametrize("dim", [3, 64, 1000])
@pytest.mark.parametrize("noise", [0.0, 1e-8])
def test_collapsed_embeddings_are_not_found(dim: int, noise: float) -> None:
    generator = torch.Generator().manual_seed(0)
    row = torch.randn(1, dim, generator=generator)
    collapsed = row + noise * torch.randn(100, dim, generator=generator)
    report = retrieval(collapsed, collapsed)
    assert report == {"r1": 0, "r5": 0, "r10": 0, "median_rank": 100}
    zero = torch.zeros(100, dim)
    assert retrieval(zero, torch.randn(100, dim, generator=generator))["r10"] == 0


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(1, 9),
    scale=st.floats(0.5, 15),
    bias=st.floats(-10, 1),
    batch=st.integers(1, 300),
    chunk=st.integers(1, 10),
    seed=st.integers(0, 2**16),
)
def test_pairwise_loss_equals_a_double_loop(
    rows: int, scale: float, bias: float, batch: int, chunk: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    single, multi = torch.nn.functional.normalize(
        torch.randn(2, rows, 5, generator=generator), dim=-1
    )
    positive, negative = [], []
    for i, row in enumerate(single.double().tolist()):
        for j, column in enumerate(multi.double().tolist()):
            logit = scale * sum(a * b for a, b in zip(row, column, strict=True)) + bias
            (positive if i == j else negative).append(
                math.log1p(math.exp(-logit if i == j else logit))
            )
    expected = np.mean(positive) + (batch - 1) * (np.mean(negative) if negative else 0.0)
    value = pairwise_siglip(single, multi, scale, bias, batch, chunk=chunk)
    assert value == pytest.approx(expected, rel=1e-4)


def test_pairwise_loss_of_one_whole_batch_is_the_training_loss() -> None:
    torch.manual_seed(0)
    loss = SigLIPLoss(learn_logit_scale=False, learn_logit_bias=False)
    single, multi = torch.randn(2, 40, 12)
    trained = float(loss(single, multi, torch.arange(40))) / 40
    value = pairwise_siglip(*loss.embed(single, multi), scale=10.0, bias=-10.0, batch_size=40)
    assert value == pytest.approx(trained, rel=1e-5)


def test_pairwise_loss_is_the_mean_over_random_batches() -> None:
    torch.manual_seed(0)
    loss = SigLIPLoss(
        logit_scale=5.0, learn_logit_scale=False, logit_bias=-2.0, learn_logit_bias=False
    )
    single, multi = torch.randn(2, 60, 8)
    ids = torch.arange(60)
    drawn = [torch.randperm(60)[:10] for _ in range(600)]
    mean = np.mean([float(loss(single[d], multi[d], ids[d])) / 10 for d in drawn])
    value = pairwise_siglip(*loss.embed(single, multi), scale=5.0, bias=-2.0, batch_size=10)
    assert value == pytest.approx(mean, rel=0.02)


@pytest.mark.parametrize("function", [retrieval, lambda s, m: pairwise_siglip(s, m, 10, -10, 4)])
def test_what_cannot_be_measured_is_refused(function) -> None:  # type: ignore[no-untyped-def]
    good = torch.randn(4, 3)
    for bad_value in (torch.nan, torch.inf):
        bad = good.clone()
        bad[2, 1] = bad_value
        with pytest.raises(ValueError, match="1 of 4 single-lead embeddings hold NaN"):
            function(bad, good)
        with pytest.raises(ValueError, match="multi-lead"):
            function(good, bad)
    for single, multi in [(good, good[:3]), (good[:0], good[:0]), (good[0], good[0])]:
        with pytest.raises(ValueError, match="records, dim"):
            function(single, multi)


def test_arguments_out_of_range_are_refused() -> None:
    good = torch.randn(4, 3)
    with pytest.raises(ValueError, match="batch_size"):
        pairwise_siglip(good, good, 10, -10, 0)
    with pytest.raises(ValueError, match="chunk"):
        retrieval(good, good, chunk=0)
