"""The machine code for residual blocks, against the same in float64 and PyTorch's operators."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from selfmis_plugin.nn.net1d import Net1D, Net1DConfig, shortcut
from selfmis_plugin.nn.net1d.channels_last import same_padding
from selfmis_plugin.nn.net1d.native import build, ops

CPU = torch.device("cpu")
TYPES = [
    pytest.param(
        dtype,
        marks=pytest.mark.skipif(
            not ops.available(CPU, dtype), reason=f"no machine code for {dtype} here"
        ),
    )
    for dtype in (torch.float32, torch.bfloat16)
]
#: Relative error in norm: some roundings of float32, up to three of bfloat16 (2 ** -9 each).
TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 6e-3}
CONFIG = Net1DConfig(16, (32, 48, 64), (2, 1, 2), in_leads=1)


def assert_near(found: Tensor, expected: Tensor, rtol: float) -> None:
    expected = expected.detach().double()
    assert found.shape == expected.shape
    assert float((found.double() - expected).norm()) <= rtol * float(expected.norm()) + 1e-6


@pytest.mark.parametrize("dtype", TYPES)
@settings(deadline=None, max_examples=60)
@given(
    batch=st.integers(1, 35),
    samples=st.one_of(st.integers(1, 40), st.sampled_from([128, 129, 257, 313])),
    groups=st.integers(1, 6),
    kernel=st.sampled_from([1, 2, 3, 5, 16]),
    stride=st.integers(1, 4),
)
def test_convolution_of_swish(
    dtype: torch.dtype, batch: int, samples: int, groups: int, kernel: int, stride: int
) -> None:
    torch.manual_seed(batch * samples)
    channels = 16 * groups
    padding = same_padding(samples, kernel, stride)
    signal, weight, bias, grad = (
        torch.randn(shape).to(dtype)
        for shape in (
            (batch, samples, channels),
            (channels, 16, kernel),
            (channels,),
            (batch, padding.outputs, channels),
        )
    )
    exact = [t.double().requires_grad_() for t in (signal, weight, bias)]
    padded = F.pad(F.silu(exact[0]).transpose(1, 2), (padding.left, padding.right))
    # With a kernel shorter than the stride some samples are seen by no output.
    expected = F.conv1d(padded, *exact[1:], stride, groups=groups).transpose(1, 2)
    expected = expected[:, : padding.outputs]
    expected.backward(grad.double())

    arguments = (weight, bias, stride, padding.left, padding.outputs)
    out, activated = ops.convolve_swish(signal, None, *arguments, keep=True)
    rtol = TOLERANCE[dtype]
    assert_near(out, expected, rtol)
    assert_near(activated, F.silu(expected), rtol)
    assert torch.equal(ops.convolve_swish(signal, None, *arguments, keep=False)[1], activated)
    # The sum of whole numbers is exact in either type.
    before, after = (torch.randint(-9, 10, t.shape).to(dtype) for t in (bias, signal))
    together = ops.convolve_swish(after + before, None, *arguments, keep=False)
    apart = ops.convolve_swish(after, before, *arguments, keep=False)
    assert torch.equal(apart[1], together[1])
    for one, other in zip(
        ops.convolve_swish_backward(grad, after, before, weight, stride, padding.left),
        ops.convolve_swish_backward(grad, after + before, None, weight, stride, padding.left),
        strict=True,
    ):
        assert torch.equal(one, other)
    found = ops.convolve_swish_backward(grad, signal, None, weight, stride, padding.left)
    for one, other in zip(found, [t.grad for t in exact], strict=False):
        assert other is not None
        assert_near(one, other, rtol)
    total = exact[0].grad.sum((0, 1))  # type: ignore[union-attr]
    size = float(exact[0].grad.norm()) * (batch * samples) ** 0.5  # type: ignore[union-attr]
    assert float((found[3].double() - total).norm()) <= rtol * size + 1e-6


@pytest.mark.parametrize("dtype", TYPES)
def test_swish_and_sums(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    signal = (torch.randn(3, 37, 176) * 4).to(dtype)
    signal[0, 0, :5] = torch.tensor([0.0, 1e4, -1e4, 90.0, -90.0])
    grad = torch.randn(signal.shape).to(dtype)
    exact = signal.double().requires_grad_()
    F.silu(exact).backward(grad.double())
    assert_near(ops.swish(signal), F.silu(exact), TOLERANCE[dtype])
    changed = grad.clone()
    assert torch.equal(ops.swish_backward(changed, signal), ops.swish(signal))
    assert_near(changed, exact.grad, TOLERANCE[dtype])  # type: ignore[arg-type]
    products, sums = ops.sums_over_time(grad, signal)
    assert_near(products, (grad.double() * signal.double()).sum(1), 1e-5)
    assert_near(sums, grad.double().sum(1), 1e-5)


@pytest.mark.parametrize("dtype", TYPES)
@settings(deadline=None, max_examples=40)
@given(
    samples=st.integers(1, 30),
    stride=st.integers(1, 4),
    channels=st.sampled_from([(16, 16), (32, 48), (16, 64), (48, 112)]),
    with_bias=st.booleans(),
)
def test_shortcut(
    dtype: torch.dtype, samples: int, stride: int, channels: tuple[int, int], with_bias: bool
) -> None:
    torch.manual_seed(samples)
    few, many = channels
    first, padding = (many - few) // 2, same_padding(samples, stride, stride)
    signal, branch, scale = (
        torch.randn(shape).to(dtype)
        for shape in ((3, samples, few), (3, padding.outputs, many), (3, 1, many))
    )
    bias = torch.randn(many).to(dtype) if with_bias else None
    # Windows of the stride, zeros among them, as in the authors' code.
    left = (stride - 1) // 2
    padded = F.pad(signal.double().transpose(1, 2), (left, stride - 1 - left))
    expected = F.pad(F.max_pool1d(padded, stride).transpose(1, 2), (first, many - few - first))
    expected += (branch.double() + (0 if bias is None else bias.double())) * scale.double()
    for keep in (True, False):
        given_branch = branch.clone()
        found = shortcut.add_shortcut(signal, given_branch, bias, scale, stride, first, keep)
        assert_near(found, expected, TOLERANCE[dtype])
        assert torch.equal(given_branch, branch) == keep


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("stride", [2, 3, 5])
def test_max_pool_gradient(
    dtype: torch.dtype, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole numbers, so that samples are often equal to each other and to the padding."""
    torch.manual_seed(stride)
    for samples in range(1, 14):
        signal = torch.randint(-2, 3, (2, samples, 32)).to(dtype)
        outputs = -(-samples // stride)
        grad = torch.randint(1, 9, (2, outputs, 80)).to(dtype)
        if outputs == 1:
            # Such strides are as good as contiguous.
            grad = grad.as_strided(grad.shape, (80, 3, 1))
        totals = []
        for native in (True, False):
            total = torch.ones_like(signal)
            monkeypatch.setattr(shortcut, "has_machine_code", lambda _, native=native: native)
            shortcut.add_max_pool_gradient(total, grad, 16, signal, stride)
            totals.append(total)
        assert torch.equal(*totals)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kernel", [3, 16])
def test_what_is_not_a_number_stays_where_it_is(dtype: torch.dtype, kernel: int) -> None:
    given = (t.to(dtype) for t in (torch.randn(32, 16, kernel), torch.randn(32)))
    left = (kernel - 1) // 2
    signal = torch.randn(2, 200, 32)
    # Of a piece of 128 outputs, where the second, shorter one ends.
    signal[0, 200 - 128 + kernel - 2] = torch.nan
    _, out = ops.convolve_swish(signal.to(dtype), None, *given, 1, left, 200, False)
    # Tiles take taps in pairs, so that it may reach one output more.
    (reached,) = torch.isnan(out[0]).any(1).nonzero(as_tuple=True)
    assert kernel <= len(reached) <= kernel + kernel % 2
    assert reached[-1] - reached[0] == len(reached) - 1 and torch.isfinite(out[1]).all()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16])
def test_gradients_do_not_depend_on_the_default_type(
    dtype: torch.dtype, default: torch.dtype
) -> None:
    torch.manual_seed(0)
    net, signal = Net1D(CONFIG, precision=dtype), torch.randn(2, 1, 301)
    expected = gradients(net, signal)
    torch.set_default_dtype(default)
    try:
        found = gradients(net, signal)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_near(found, expected, 1e-6)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Where a test has said so, nothing is compiled."""
    yield monkeypatch
    monkeypatch.undo()
    build.library.cache_clear()
    ops._types.cache_clear()


def gradients(net: Net1D, signal: Tensor) -> Tensor:
    net.zero_grad()
    net(signal).square().sum().backward()
    return torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])


@pytest.mark.parametrize("dtype", TYPES)
def test_network_equals_that_of_operators(dtype: torch.dtype, without: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net, signal = Net1D(CONFIG, precision=dtype), torch.randn(5, 1, 701)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with_code = gradients(net, signal)
    torch.set_num_threads(3)
    by_threads = gradients(net, signal)
    torch.set_num_threads(before)
    with torch.no_grad():
        embedded = net(signal)
    without.setattr(ops, "available", lambda *_: False)
    with torch.no_grad():
        assert_near(embedded, net(signal), 10 * TOLERANCE[dtype])
    assert_near(with_code, gradients(net, signal), 30 * TOLERANCE[dtype] / 4)
    assert_near(by_threads, with_code, TOLERANCE[dtype])


@pytest.mark.skipif("avx2" not in build._processor(), reason="needs AVX2")
def test_without_a_compiler_it_goes_on(
    without: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    without.setenv("XDG_CACHE_HOME", str(tmp_path))
    without.setenv("CXX", str(tmp_path / "no compiler").replace(" ", "-"))
    build.library.cache_clear()
    ops._types.cache_clear()
    with caplog.at_level(logging.INFO, "selfmis_plugin"):
        assert torch.isfinite(gradients(Net1D(CONFIG), torch.randn(2, 1, 99))).all()
    assert caplog.text.count("install a C++ compiler") == 1
    assert not ops.available(CPU, torch.float32)


@pytest.mark.parametrize("dtype", TYPES)
def test_compiled_once(dtype: torch.dtype, without: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without.setenv("XDG_CACHE_HOME", str(tmp_path))
    build.library.cache_clear()
    first = build.library()
    (made,) = (tmp_path / "selfmis").iterdir()
    written = made.stat().st_mtime_ns
    build.library.cache_clear()
    assert isinstance(first, ctypes.CDLL) and build.library() is not None
    assert made.stat().st_mtime_ns == written


@pytest.mark.parametrize("dtype", TYPES)
def test_a_damaged_file_is_compiled_again(
    dtype: torch.dtype, without: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without.setenv("XDG_CACHE_HOME", str(tmp_path / "whole"))
    build.library.cache_clear()
    assert build.library() is not None
    (whole,) = (tmp_path / "whole" / "selfmis").iterdir()
    # In another folder, since a library that was loaded is not looked at again.
    without.setenv("XDG_CACHE_HOME", str(tmp_path / "cut"))
    cut = tmp_path / "cut" / "selfmis" / whole.name
    cut.parent.mkdir(parents=True)
    cut.touch()
    build.library.cache_clear()
    assert build.library() is not None
    assert cut.stat().st_size > 0


@pytest.mark.skipif("avx2" not in build._processor(), reason="needs AVX2")
def test_without_a_home_it_goes_on(
    without: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without.delenv("XDG_CACHE_HOME", raising=False)

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    without.setattr(Path, "home", no_home)
    build.library.cache_clear()
    with caplog.at_level(logging.INFO, "selfmis_plugin"):
        assert build.library() is None
    assert "home directory" in caplog.text


def test_can_be_switched_off(without: pytest.MonkeyPatch) -> None:
    without.setenv("SELFMIS_NATIVE", "0")
    build.library.cache_clear()
    assert build.library() is None
