"""SigLIP loss against a double loop, in low precision, centred, and across processes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from selfmis_plugin.nn.exchange import gather_rows
from selfmis_plugin.nn.losses import pair_loss
from selfmis_plugin.nn.losses.pair_loss import siglip_loss
from selfmis_plugin.nn.losses.siglip import SigLIPLoss
from tests.processes import run_processes

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
    ids = torch.arange(3)
    scale, bias = torch.tensor(3.0).double(), torch.tensor(-1.0).double()
    inputs = tuple(value.requires_grad_() for value in (single, multi, scale, bias))
    assert torch.autograd.gradcheck(lambda *values: siglip_loss(*values, ids, ids), inputs)


def plain(single: Tensor, multi: Tensor, scale: Tensor, bias: Tensor, ids: Tensor) -> Tensor:
    """The loss as the whole matrix of logits, for autograd to differentiate."""
    logits = F.normalize(single, dim=1) @ F.normalize(multi, dim=1).T * scale + bias
    return F.softplus(torch.where(ids[:, None] == ids, -logits, logits)).sum()


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(0, 9),
    at_once=st.integers(1, 30),
    multi_needs_grad=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_gradients_are_those_of_the_whole_matrix_whatever_the_chunks(
    rows: int, at_once: int, multi_needs_grad: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    single, multi = torch.randn(2, rows, 5, generator=generator, dtype=torch.float64)
    ids = torch.randint(0, 6, (rows,), generator=generator)
    found, expected = [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_loss, "LOGITS_AT_ONCE", at_once)
        for grads in (found, expected):
            own = single.clone().requires_grad_(), multi.clone().requires_grad_(multi_needs_grad)
            loss = SigLIPLoss(logit_scale=6.0, logit_bias=-2.0).double()
            value = (
                loss(*own, ids)
                if grads is found
                else plain(*own, loss.log_scale.exp(), loss.bias, ids)
            )
            (3 * value).backward()
            grads += [value.detach(), loss.log_scale.grad, loss.bias.grad]
            grads += [tensor.grad for tensor in own if tensor.requires_grad]
    # The module hands its scale and bias on as float32.
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


class LargestTensor(TorchDispatchMode):
    """Notes the most elements that any operation returned."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(value, Tensor):
                self.elements = max(self.elements, value.numel())
        return result


@pytest.mark.parametrize("frozen", [True, False])
def test_memory_grows_with_the_batch_not_with_its_square(
    frozen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_loss, "LOGITS_AT_ONCE", 2000)
    rows, dim = 1000, 8
    single, multi = torch.randn(rows, dim).requires_grad_(), torch.randn(rows, dim)
    multi.requires_grad_(not frozen)
    kept: list[int] = []
    with (
        LargestTensor() as largest,
        torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: (kept.append(tensor.numel()), tensor)[1], lambda tensor: tensor
        ),
    ):
        SigLIPLoss()(single, multi, torch.arange(rows)).backward()
    assert rows * dim <= largest.elements < 2 * rows * dim
    assert sum(kept) < 20 * rows * dim


def test_equals_open_clip() -> None:
    theirs = pytest.importorskip("open_clip.loss").SigLipLoss()
    torch.manual_seed(5)
    embeddings = F.normalize(torch.randn(2, 12, 16), dim=-1)
    scale, bias = torch.tensor(9.0), torch.tensor(-8.0)
    ids = torch.arange(12)
    results = []
    for score in (
        lambda *values: siglip_loss(*values, ids, ids) / 12,
        lambda *values: theirs(*values),
    ):
        inputs = [value.clone().requires_grad_() for value in (*embeddings, scale, bias)]
        value = score(*inputs)
        results.append([value.detach(), *torch.autograd.grad(value, inputs)])
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-7)


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
    with pytest.raises(ValueError, match="multi_ids"):
        siglip_loss(
            torch.randn(2, 4), torch.randn(3, 4), 1.0, 0.0, torch.arange(2), torch.arange(2)
        )


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


def test_gradients_under_autocast_are_those_of_float32() -> None:
    torch.manual_seed(4)
    single, multi = torch.randn(2, 8, 16)
    grads = []
    for enabled in (False, True):
        own = single.clone().requires_grad_(), multi.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            SigLIPLoss()(*own, torch.arange(8)).backward()
        grads.append([tensor.grad for tensor in own])
    torch.testing.assert_close(*grads, rtol=0, atol=0)


def test_gather_without_processes_is_the_identity() -> None:
    rows = torch.randn(3, 2)
    assert gather_rows(rows) is rows


# -- several processes

#: Rows of each process, and whether the multi-lead embeddings are frozen.
CASES: dict[int, list[tuple[list[int], bool]]] = {
    2: [([4, 3], True), ([2, 5], False), ([3, 0], False), ([0, 4], True), ([0, 0], False)],
    3: [([3, 3, 3], True), ([3, 4, 2], False), ([2, 0, 3], False), ([0, 1, 5], True)],
}


def joined(rows: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(9)
    single, multi = torch.randn(2, rows, 6, generator=generator)
    ids = torch.arange(rows)
    if rows > 4:
        ids[4] = ids[0]  # a record that two processes hold
    return single, multi, ids


def weight(rank: int) -> float:
    """What a process's loss is multiplied by: hosts drop that of a repeated batch."""
    return [1.0, 0.25, 3.0][rank]


def score_own_rows(rank: int, cases: list[tuple[list[int], bool]]) -> list[dict[str, Tensor]]:
    results = []
    # Some blocks take several chunks, some one.
    pair_loss.LOGITS_AT_ONCE = 8
    for counts, frozen in cases:
        own = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
        single, multi, ids = (value[own].clone() for value in joined(sum(counts)))
        single.requires_grad_()
        multi.requires_grad_(not frozen)
        loss = SigLIPLoss(logit_scale=4.0, logit_bias=-1.0, across_processes=True)
        value = loss(single, multi, ids)
        (weight(rank) * value).backward()
        assert loss.log_scale is not None and loss.bias is not None
        results.append(
            {
                "loss": value.detach(),
                "single": single.grad,
                "multi": multi.grad,
                "scale": loss.log_scale.grad,
                "bias": loss.bias.grad,
                "ids": gather_rows(ids),
            }
        )
    return results


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_together_equal_the_joined_batch(processes: int, tmp_path: Path) -> None:
    cases = CASES[processes]
    results = run_processes(score_own_rows, processes, tmp_path, cases)
    for (counts, frozen), *parts in zip(cases, *results, strict=True):
        single, multi, ids = joined(sum(counts))
        own = torch.arange(processes).repeat_interleave(torch.tensor(counts))
        log_scale, bias = torch.tensor([math.log(4.0)]), torch.tensor([-1.0])
        inputs = [value.requires_grad_() for value in (single, multi, log_scale, bias)]
        logits = F.normalize(single, dim=1) @ F.normalize(multi, dim=1).T * log_scale.exp() + bias
        terms = F.softplus(torch.where(ids[:, None] == ids, -logits, logits)).sum(1)
        weights = torch.tensor([weight(int(rank)) for rank in own])
        grads = torch.autograd.grad((terms * weights).sum(), inputs)

        def close(actual: Tensor, expected: Tensor) -> None:
            torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)

        for rank, part in enumerate(parts):
            close(part["loss"], terms.detach()[own == rank].sum())
            assert torch.equal(part["ids"], ids)
        close(torch.cat([part["single"] for part in parts]), grads[0])
        if frozen:
            assert all(part["multi"] is None for part in parts)
        else:
            close(torch.cat([part["multi"] for part in parts]), grads[1])
        close(sum(part["scale"] for part in parts), grads[2])
        close(sum(part["bias"] for part in parts), grads[3])


def evaluate_alone(rank: int) -> list[float]:
    loss = SigLIPLoss(across_processes=True).eval()
    single, multi, ids = joined(6)
    return [float(loss(single, multi, ids).detach()) for _ in range(1 + 2 * rank)]


def test_evaluation_waits_for_nobody(tmp_path: Path) -> None:
    alone, *more = run_processes(evaluate_alone, 2, tmp_path)
    expected = float(SigLIPLoss()(*joined(6)).detach())
    assert [len(alone), len(more[0])] == [1, 3]
    assert alone + more[0] == pytest.approx([expected] * 4)
