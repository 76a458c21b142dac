"""SigLIP loss against a double loop, in low precision, centred, and across processes."""

from __future__ import annotations

import math
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from selfmis_plugin.nn.gather import gather_rows
from selfmis_plugin.nn.siglip import SigLIPLoss, siglip_loss

torch.set_num_threads(1)


def by_hand(
    single: Tensor, multi: Tensor, ids: Tensor, scale: float, bias: float, normalize: bool = True
) -> float:
    """Equation 3 term by term in Python floats, with the bias in the sign of SigLIP's code."""
    total = 0.0
    for i, row in enumerate(single.double().tolist()):
        for j, column in enumerate(multi.double().tolist()):
            inner = sum(a * b for a, b in zip(row, column, strict=True))
            if normalize:
                inner /= math.hypot(*row) * math.hypot(*column)
            z = 1 if ids[i] == ids[j] else -1
            total += math.log1p(math.exp(-z * (scale * inner + bias)))
    return total


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(1, 7),
    dim=st.integers(1, 9),
    scale=st.floats(0.07, 30),
    bias=st.floats(-12, 3),
    normalize=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_equals_a_double_loop(
    rows: int, dim: int, scale: float, bias: float, normalize: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    single, multi = torch.randn(2, rows, dim, generator=generator)
    ids = torch.randint(0, 5, (rows,), generator=generator)
    loss = SigLIPLoss(normalize=normalize, logit_scale=scale, logit_bias=bias)
    expected = by_hand(single, multi, ids, scale, bias, normalize)
    assert float(loss(single, multi, ids).detach()) == pytest.approx(expected, rel=2e-4)


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    single, multi = torch.randn(2, 3, 4, dtype=torch.float64)
    same = torch.eye(3, dtype=torch.bool)
    scale, bias = torch.tensor(3.0).double(), torch.tensor(-1.0).double()
    inputs = tuple(value.requires_grad_() for value in (single, multi, scale, bias))
    assert torch.autograd.gradcheck(lambda *values: siglip_loss(*values, same), inputs)


def test_collapse_costs_what_the_paper_setting_says() -> None:
    """One direction opposite to all: with b = 0 a batch of 128 costs softplus(t) + 127
    softplus(-t)."""
    single = torch.ones(128, 4)
    loss = SigLIPLoss(
        logit_scale=1 / 0.07, learn_logit_scale=False, logit_bias=0.0, learn_logit_bias=False
    )
    assert not list(loss.parameters())
    assert not loss.state_dict()
    scale = 1 / 0.07
    expected = math.log1p(math.exp(scale)) + 127 * math.log1p(math.exp(-scale))
    value = float(loss(single, -single, torch.arange(128))) / 128
    assert value == pytest.approx(expected, rel=1e-5)


def test_defaults_are_siglips_start() -> None:
    loss = SigLIPLoss()
    assert loss.scale_value.item() == pytest.approx(10)
    assert loss.bias_value.item() == -10
    assert {name for name, _ in loss.named_parameters()} == {"log_scale", "bias"}
    assert loss.log_scale is not None
    assert float(loss.log_scale.detach()) == pytest.approx(math.log(10))


@pytest.mark.parametrize("cast", ["half", "bfloat16", "autocast"])
def test_computed_in_float32(cast: str) -> None:
    torch.manual_seed(1)
    single, multi = torch.randn(2, 16, 64)
    if cast != "autocast":
        dtype = torch.float16 if cast == "half" else torch.bfloat16
        single, multi = single.to(dtype), multi.to(dtype)
    loss = SigLIPLoss(logit_scale=8.0, logit_bias=-2.0)
    ids = torch.arange(16)
    expected = float(loss(single.float(), multi.float(), ids).detach())
    with torch.autocast("cpu", torch.bfloat16, enabled=cast == "autocast"):
        value = loss(single, multi, ids)
    assert value.dtype == torch.float32
    assert float(value.detach()) == expected
    if cast == "half":
        loss.half()
        with torch.no_grad():
            held = math.exp(float(loss.log_scale))  # what float16 holds
        value = loss(single, multi, ids)
        assert value.dtype == torch.float32
        assert float(value.detach()) == pytest.approx(
            by_hand(single, multi, ids, held, -2.0), rel=1e-4
        )
        value.backward()
        assert loss.log_scale is not None
        assert loss.log_scale.grad is not None


def test_a_record_that_occurs_twice_is_not_its_own_negative() -> None:
    torch.manual_seed(2)
    single, multi = torch.randn(2, 4, 8)
    multi[3] = multi[0]
    loss = SigLIPLoss()
    apart = float(loss(single, multi, torch.tensor([0, 1, 2, 3])).detach())
    same = float(loss(single, multi, torch.tensor([7, 1, 2, 7])).detach())
    assert same == pytest.approx(by_hand(single, multi, torch.tensor([7, 1, 2, 7]), 10, -10))
    assert same != pytest.approx(apart)


def test_ids_that_a_host_cast_to_half_are_refused() -> None:
    with pytest.raises(TypeError, match="half precision"):
        SigLIPLoss()(torch.randn(2, 4), torch.randn(2, 4), torch.arange(2).half())


def test_shapes_that_do_not_fit_are_refused() -> None:
    loss = SigLIPLoss()
    for multi, ids in [((3, 4), 2), ((2, 5), 2), ((2, 4), 3)]:
        with pytest.raises(ValueError, match="same records"):
            loss(torch.randn(2, 4), torch.randn(multi), torch.arange(ids))
    with pytest.raises(ValueError, match="same_record"):
        siglip_loss(torch.randn(2, 4), torch.randn(3, 4), 1.0, 0.0, torch.eye(2) > 0)


def test_arguments_that_make_no_loss_are_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        SigLIPLoss(logit_scale=0)
    with pytest.raises(ValueError, match="embedding_dim"):
        SigLIPLoss(center=True)
    with pytest.raises(ValueError, match="center=True"):
        SigLIPLoss().set_center(torch.zeros(4))


def test_centring() -> None:
    torch.manual_seed(3)
    single, multi = torch.randn(2, 5, 6)
    multi += 4
    ids, mean = torch.arange(5), multi.mean(0)
    expected = by_hand(single, multi - mean, ids, 10, -10)

    loss = SigLIPLoss(center=True, embedding_dim=6)
    with pytest.raises(RuntimeError, match="set_center"):
        loss(single, multi, ids)
    loss.set_center(mean)
    for mode in (True, False):
        assert float(loss.train(mode)(single, multi, ids).detach()) == pytest.approx(
            expected, rel=1e-5
        )

    plain = SigLIPLoss()(single, multi, ids, center=mean)
    assert float(plain.detach()) == pytest.approx(expected, rel=1e-5)

    resumed = SigLIPLoss(center=True, embedding_dim=6)
    resumed.load_state_dict(loss.state_dict())
    assert torch.equal(resumed(single, multi, ids), loss(single, multi, ids))

    half = float(resumed.half()(single, multi, ids).detach())
    assert half == pytest.approx(expected, rel=1e-2)

    with pytest.raises(ValueError, match="embedding_dim=6"):
        loss.set_center(torch.zeros(5))
    with pytest.raises(ValueError, match="NaN"):
        loss.set_center(torch.full((6,), torch.nan))


def test_a_checkpoint_without_a_mean_does_not_count_as_one() -> None:
    unset = SigLIPLoss(center=True, embedding_dim=2).state_dict()
    loss = SigLIPLoss(center=True, embedding_dim=2)
    loss.load_state_dict(unset)
    with pytest.raises(RuntimeError, match="never set"):
        loss(torch.randn(2, 2), torch.randn(2, 2), torch.arange(2))


def test_gather_without_processes_is_the_identity() -> None:
    rows = torch.randn(3, 2, requires_grad=True)
    assert gather_rows(rows) is rows


# -- two processes


def joined(rows: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(9)
    single, multi = torch.randn(2, rows, 6, generator=generator)
    ids = torch.arange(rows)
    if rows > 4:
        ids[4] = ids[0]  # a record that both processes hold
    return single, multi, ids


def one_process(rank: int, port: int, counts: list[int], frozen: bool, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=len(counts)
    )
    try:
        own = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
        single, multi, ids = (value[own].clone() for value in joined(sum(counts)))
        single.requires_grad_()
        multi.requires_grad_(not frozen)
        loss = SigLIPLoss(logit_scale=4.0, logit_bias=-1.0, gather=gather_rows)
        value = loss(single, multi, ids)
        value.backward()
        gathered_ids = gather_rows(ids)
        torch.save(
            {
                "loss": value.detach(),
                "single": single.grad,
                "multi": multi.grad,
                "scale": loss.log_scale.grad,
                "bias": loss.bias.grad,
                "ids": gathered_ids,
            },
            Path(folder) / f"{rank}.pt",
        )
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize(
    ("counts", "frozen"), [([4, 3], True), ([2, 5], False), ([3, 0], False)], ids=str
)
def test_processes_together_equal_the_joined_batch(
    counts: list[int], frozen: bool, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(one_process, args=(port, counts, frozen, str(tmp_path)), nprocs=len(counts))
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(len(counts))]

    single, multi, ids = joined(sum(counts))
    single.requires_grad_()
    multi.requires_grad_()
    loss = SigLIPLoss(logit_scale=4.0, logit_bias=-1.0)
    value = loss(single, multi, ids)
    value.backward()

    def close(actual: Tensor, expected: Tensor | None) -> None:
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)

    close(sum(part["loss"] for part in parts), value.detach())
    close(torch.cat([part["single"] for part in parts]), single.grad)
    close(sum(part["scale"] for part in parts), loss.log_scale.grad)
    close(sum(part["bias"] for part in parts), loss.bias.grad)
    if frozen:
        assert all(part["multi"] is None for part in parts)
    else:
        close(torch.cat([part["multi"] for part in parts]), multi.grad)
    for part in parts:
        assert torch.equal(part["ids"], ids)
