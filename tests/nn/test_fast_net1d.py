"""The Net1D that trains against the plain one: values, gradients, precision, memory."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from selfmis_plugin.nn.net1d import Net1D, Net1DConfig, grouped_convolution
from selfmis_plugin.nn.net1d.block_function import BlockShape, residual_block
from selfmis_plugin.nn.net1d.plain import PlainNet1D
from selfmis_plugin.training.encoder_config import EncoderConfig, configure

torch.set_num_threads(1)

SMALL = Net1DConfig(8, (8, 16, 32), (2, 1, 2), kernel_size=5, group_width=4, in_leads=1)


def pair(config: Net1DConfig, dtype: torch.dtype) -> tuple[Net1D, PlainNet1D]:
    """Both networks with the same weights, such that every block matters."""
    torch.manual_seed(0)
    plain = PlainNet1D(config).to(dtype)
    with torch.no_grad():
        for parameter in plain.parameters():
            if parameter.dim() > 1:
                parameter.mul_(2)
    fast = Net1D(config).to(dtype)
    fast.load_state_dict(plain.state_dict())
    return fast, plain


def results(net: torch.nn.Module, signal: Tensor) -> dict[str, Tensor]:
    """Embedding, and the gradients of a weighted sum of it by the input and all parameters."""
    net.zero_grad()
    signal = signal.clone().requires_grad_()
    embedding = net(signal)
    weights = torch.linspace(-1, 1, embedding.numel(), dtype=embedding.dtype)
    (embedding * weights.view_as(embedding)).sum().backward()
    gradients: dict[str, Any] = {name: p.grad for name, p in net.named_parameters()}
    return {"embedding": embedding.detach(), "signal": signal.grad, **gradients}  # type: ignore[dict-item]


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], rtol: float) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        error = float((found[name] - value).norm())
        assert error <= rtol * float(value.norm()) + 1e-3 * rtol, name


@st.composite
def configs(draw: st.DrawFn) -> Net1DConfig:
    width = draw(st.sampled_from([1, 2, 4, 16]))
    filters: list[int] = []
    for _ in range(draw(st.integers(1, 3))):
        least = filters[-1] // width if filters else -(-2 // width)
        filters.append(width * draw(st.integers(least, least + 2)))
    ratio = draw(st.sampled_from([1.0, 2.0, 0.5]))
    assume(ratio >= 1 or width % 2 == 0)
    return Net1DConfig(
        base_filters=draw(st.integers(1, filters[0])),
        filters=tuple(filters),
        blocks=tuple(draw(st.integers(1, 2)) for _ in filters),
        kernel_size=draw(st.sampled_from([1, 2, 3, 5, 16])),
        stride=draw(st.integers(1, 3)),
        group_width=width,
        ratio=ratio,
        in_leads=draw(st.sampled_from([1, 3])),
    )


@settings(deadline=None, max_examples=40)
@given(config=configs(), samples=st.integers(1, 130), batch=st.integers(1, 3))
def test_gradients_equal_those_of_the_plain_network(
    config: Net1DConfig, samples: int, batch: int
) -> None:
    fast, plain = pair(config, torch.float64)
    signal = torch.randn(batch, config.in_leads, samples, dtype=torch.float64)
    expected = results(plain, signal)
    assert_same(results(fast, signal), expected, 1e-9)
    fast.checkpoint_activations()
    assert_same(results(fast, signal), expected, 1e-9)


@pytest.mark.parametrize(
    ("config", "samples"),
    [
        (Net1DConfig(16, (16, 32), (1, 2), in_leads=1), 1500),
        (Net1DConfig(16, (512, 512), (1, 1), in_leads=12), 65),  # rows that fall on each other
        (Net1DConfig(16, (16, 48), (1, 1), kernel_size=7, stride=3, in_leads=1), 2999),
    ],
)
def test_float32_equals_float64(config: Net1DConfig, samples: int) -> None:
    """float32 takes other ways than float64: oneDNN's convolutions, in pieces where it is long."""
    fast, plain = pair(config, torch.float32)
    signal = torch.randn(3, config.in_leads, samples)
    expected = results(copy.deepcopy(plain).double(), signal.double())
    single = {name: value.float() for name, value in expected.items()}
    assert_same(results(fast, signal), single, 2e-5)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("recompute", [False, True])
def test_gradcheck_of_a_block(stride: int, recompute: bool) -> None:
    torch.manual_seed(1)
    shapes = [(4, 3, 1), (4,), (4, 2, 5), (4,), (6, 4, 1), (6,), (3, 6), (3,), (6, 3), (6,)]
    weights = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]
    signal = torch.randn(2, 7, 3, dtype=torch.float64, requires_grad=True)
    shape = BlockShape(stride, True, 1, recompute)
    assert torch.autograd.gradcheck(
        lambda signal, *weights: residual_block(signal, shape, list(weights)), (signal, *weights)
    )


def test_both_ways_to_the_gradient_of_a_grouped_weight_agree() -> None:
    torch.manual_seed(2)
    for samples, stride in ((1, 1), (37, 2), (700, 1), (700, 2), (701, 3)):
        signal = torch.randn(2, samples, 48, dtype=torch.float64)
        grad = torch.randn(2, -(-samples // stride), 48, dtype=torch.float64)
        ways = [
            way(grad, signal, 16, 16, stride)
            for way in (
                grouped_convolution._weight_gradient_by_products,
                grouped_convolution._weight_gradient_by_convolution,
            )
        ]
        torch.testing.assert_close(*ways, rtol=1e-9, atol=1e-9)


def test_without_gradient_the_same_bits_come_out() -> None:
    fast, _ = pair(SMALL, torch.float32)
    signal = torch.randn(2, 1, 301)
    with torch.no_grad():
        assert torch.equal(fast(signal), fast(signal))
        without = fast(signal)
    assert torch.equal(fast(signal).detach(), without)


def test_frozen_parts_get_no_gradient() -> None:
    fast, _ = pair(SMALL, torch.float32)
    fast.requires_grad_(False)
    fast.stages[2].requires_grad_(True)
    fast(torch.randn(2, 1, 100)).sum().backward()
    for name, parameter in fast.named_parameters():
        assert (parameter.grad is not None) == name.startswith("stages.2"), name


def test_own_precision_is_that_of_autocast() -> None:
    fast, plain = pair(SMALL, torch.float32)
    signal = torch.randn(4, 1, 400)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = results(fast, signal)
    exact = results(plain, signal)
    fast.precision = torch.bfloat16
    own = results(fast, signal)
    for name, value in own.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, under_autocast[name]), name
        assert not torch.equal(value, exact[name]), name
    flat = [torch.cat([r[n].flatten() for n in exact if "." in n]) for r in (own, exact)]
    assert float(torch.cosine_similarity(*flat, dim=0)) > 0.99


def test_checkpointing_keeps_less() -> None:
    fast, plain = pair(SMALL, torch.float32)

    def kept(net: torch.nn.Module) -> int:
        storages: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            net(torch.randn(4, 1, 2000))
        return sum(storages.values())

    whole = kept(fast)
    fast.checkpoint_activations()
    assert kept(fast) < 0.6 * whole < 0.6 * 0.75 * kept(plain)


def test_configure() -> None:
    encoder = Net1D(SMALL)
    settings_ = EncoderConfig()
    configure(encoder, settings_)
    assert encoder.precision is None
    settings_.precision, settings_.activation_checkpointing = "bfloat16", True
    configure(encoder, settings_)
    assert encoder.precision == torch.bfloat16
    assert all(block.shape.recompute for stage in encoder.stages for block in stage)
    configure(encoder, settings_, frozen=True)
    assert encoder.precision == torch.bfloat16
    assert not any(block.shape.recompute for stage in encoder.stages for block in stage)
    settings_.frozen_precision = "float16"
    configure(encoder, settings_, frozen=True)
    assert encoder.precision == torch.float16
    with torch.no_grad():
        assert torch.isfinite(encoder(torch.randn(2, 1, 100))).all()
    for key in ("precision", "frozen_precision"):
        bad = SimpleNamespace(**{**vars(EncoderConfig()), key: "float8"})
        with pytest.raises(ValueError, match=f"model.{key}=float8: choose one of float32, bf"):
            configure(encoder, bad)  # type: ignore[arg-type]


@pytest.mark.slow
def test_compiled() -> None:
    """``model.compile=true``: the same in training and evaluation, and every operator traced."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    plain = Net1D(Net1DConfig(16, (32, 48), (1, 1), in_leads=1))
    compiled = copy.deepcopy(plain)
    settings_ = EncoderConfig()
    settings_.compile = True
    configure(compiled, settings_)
    signal = torch.randn(4, 1, 500)
    assert_same(results(compiled, signal), results(plain, signal), 1e-5)
    with torch.no_grad():
        found, expected = compiled.eval()(signal), plain.eval()(signal)
    assert_same({"": found}, {"": expected}, 1e-5)
    counters = torch._dynamo.utils.counters
    assert counters["stats"]["unique_graphs"] > 0
    assert not counters["graph_break"]


@pytest.mark.parametrize("width", [4, 8, 16, 32])
@pytest.mark.parametrize("leads", [1, 12])
def test_bfloat16_is_near_float32_for_any_width(width: int, leads: int) -> None:
    torch.manual_seed(0)
    config = Net1DConfig(width, (width, 2 * width), (1, 1), group_width=width, in_leads=leads)
    exact = Net1D(config)
    rounded = copy.deepcopy(exact)
    rounded.precision = torch.bfloat16
    signal = torch.randn(3, leads, 501)
    found = []
    for network in (exact, rounded):
        embedding = network(signal).float()
        embedding.square().sum().backward()
        gradient = torch.cat([weight.grad.flatten() for weight in network.parameters()])
        found.append((embedding.detach(), gradient))
    for one, other in zip(*found, strict=True):
        assert float((one - other).norm()) < 0.03 * float(one.norm())
