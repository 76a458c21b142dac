"""Net1D against an independent computation from the published description, and its config."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from selfmis_plugin.nn.net1d import Net1D, Net1DConfig, count_parameters

torch.set_num_threads(1)

SMALL = Net1DConfig(
    base_filters=8, filters=(8, 12, 24), blocks=(2, 1, 2), kernel_size=5, group_width=4, in_leads=1
)


def reference(state: dict[str, Tensor], config: Net1DConfig, signal: Tensor) -> Tensor:
    """The encoder written out for one record at a time, window by window."""

    def at(row: Tensor, position: int) -> Tensor:
        """Samples of all channels at a position, zeros outside the signal."""
        inside = 0 <= position < row.shape[1]
        return row[:, position] if inside else torch.zeros(row.shape[0], dtype=row.dtype)

    def convolve(row: Tensor, name: str, stride: int, groups: int) -> Tensor:
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        kernel, samples = weight.shape[2], row.shape[1]
        outputs = (samples + stride - 1) // stride
        left = max(0, (outputs - 1) * stride + kernel - samples) // 2
        columns = []
        for output in range(outputs):
            start = output * stride - left
            window = torch.stack([at(row, start + tap) for tap in range(kernel)], dim=1)
            parts = zip(weight.chunk(groups), window.chunk(groups), strict=True)
            columns.append(
                torch.cat([torch.einsum("oik,ik->o", part, taps) for part, taps in parts]) + bias
            )
        return torch.stack(columns, dim=1)

    def swish(row: Tensor) -> Tensor:
        return row / (1 + torch.exp(-row))

    def pool(row: Tensor, stride: int) -> Tensor:
        left = (stride - 1) // 2
        outputs = (row.shape[1] + stride - 1) // stride
        windows = [[at(row, o * stride - left + i) for i in range(stride)] for o in range(outputs)]
        return torch.stack([torch.stack(window).amax(0) for window in windows], dim=1)

    embeddings = []
    for record in signal:
        out = swish(convolve(record, "first_conv", 2, 1))
        for stage, (channels, blocks) in enumerate(zip(config.filters, config.blocks, strict=True)):
            for block in range(blocks):
                name, stride = f"stages.{stage}.{block}", config.stride if block == 0 else 1
                shortcut = out
                if (stage, block) != (0, 0):
                    out = swish(out)
                out = swish(convolve(out, f"{name}.conv1", 1, 1))
                groups = channels // config.group_width
                out = swish(convolve(out, f"{name}.conv2", stride, groups))
                out = convolve(out, f"{name}.conv3", 1, 1)
                squeezed = state[f"{name}.se_fc1.weight"] @ out.mean(1)
                squeezed = swish(squeezed + state[f"{name}.se_fc1.bias"])
                excited = state[f"{name}.se_fc2.weight"] @ squeezed
                out = out / (1 + torch.exp(-excited - state[f"{name}.se_fc2.bias"]))[:, None]
                if stride > 1:
                    shortcut = pool(shortcut, stride)
                before = (channels - shortcut.shape[0]) // 2
                first = slice(before, before + shortcut.shape[0])
                out[first] = out[first] + shortcut
        embeddings.append(out.mean(1))
    return torch.stack(embeddings)


def lively(config: Net1DConfig, seed: int = 0) -> Net1D:
    """A network whose blocks all matter (with the usual initialisation biases dominate)."""
    torch.manual_seed(seed)
    model = Net1D(config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(2)
    return model


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        Net1DConfig(4, (4, 10), (1, 2), kernel_size=16, stride=2, group_width=2, in_leads=12),
        Net1DConfig(4, (6, 6), (2, 1), kernel_size=4, stride=3, group_width=3, in_leads=2),
        Net1DConfig(4, (4, 8), (1, 1), kernel_size=3, stride=4, group_width=4, ratio=2, in_leads=1),
        Net1DConfig(4, (4,), (2,), kernel_size=3, stride=1, group_width=2, ratio=1.5, in_leads=1),
    ],
    ids=["default", "twelve-leads", "stride-3", "wide-inside", "stride-1"],
)
@pytest.mark.parametrize("samples", [1, 2, 37, 64])
def test_equals_the_published_description(config: Net1DConfig, samples: int) -> None:
    model = lively(config)
    signal = torch.randn(2, config.in_leads, samples, dtype=torch.float64)
    expected = reference(model.state_dict(), config, signal)
    assert expected.std(0).max() > 1e-4  # otherwise equality would say nothing
    torch.testing.assert_close(model(signal).detach(), expected, rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(model(signal), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("leads", "parameters"), [(1, 30_654_000), (12, 30_665_264)])
def test_parameters_of_the_full_size(leads: int, parameters: int) -> None:
    """The authors' counts without heads, less their 66,368 values of unused batch norms."""
    with torch.device("meta"):
        model = Net1D(Net1DConfig(in_leads=leads))
    assert count_parameters(model) == parameters - 66_368
    assert model.embedding_dim == 1024
    model.first_conv.requires_grad_(False)
    assert (
        count_parameters(model, trainable_only=True) == parameters - 66_368 - (16 * leads + 1) * 64
    )


@settings(deadline=None, max_examples=25)
@given(samples=st.integers(1, 300), batch=st.integers(1, 4), leads=st.integers(1, 3))
def test_records_do_not_touch_each_other(samples: int, batch: int, leads: int) -> None:
    model = lively(Net1DConfig(**{**vars(SMALL), "in_leads": leads}))
    signal = torch.randn(batch, leads, samples, dtype=torch.float64)
    before = signal.clone()
    with torch.no_grad():
        whole = model(signal)
        alone = torch.cat([model(record[None]) for record in signal])
    assert whole.shape == (batch, SMALL.embedding_dim)
    torch.testing.assert_close(whole, alone, rtol=1e-10, atol=1e-12)
    assert torch.equal(signal, before)  # in-place steps stay inside


def test_gradients_equal_those_of_the_reference() -> None:
    model = lively(SMALL)
    signal = torch.randn(2, 1, 33, dtype=torch.float64)
    weights = torch.randn(2, SMALL.embedding_dim, dtype=torch.float64)
    (model(signal) * weights).sum().backward()
    state = {
        name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()
    }
    (reference(state, SMALL, signal) * weights).sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, state[name].grad, rtol=1e-8, atol=1e-10)


def test_trains_in_bfloat16_autocast_and_runs_in_half() -> None:
    torch.manual_seed(0)
    model = Net1D(SMALL)
    signal = torch.randn(3, 1, 200)
    exact = model(signal).detach()
    with torch.autocast("cpu", torch.bfloat16):
        embedding = model(signal)
    embedding.float().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    torch.testing.assert_close(embedding.float(), exact, rtol=0.05, atol=0.02)
    half = copy.deepcopy(model).half()
    with torch.no_grad():
        torch.testing.assert_close(half(signal.half()).float(), exact, rtol=0.02, atol=0.005)


def test_same_in_training_and_evaluation_mode() -> None:
    model = lively(SMALL)
    signal = torch.randn(2, 1, 100, dtype=torch.float64)
    assert torch.equal(model.train()(signal), model.eval()(signal))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filters": (8, 12, 24), "group_width": 16}, "group_width"),
        ({"filters": (8, 18, 24)}, "multiple of group_width"),
        ({"filters": (8, 24, 12)}, "may not shrink"),
        ({"base_filters": 16}, "may not shrink"),
        ({"blocks": (1, 1)}, "one number of blocks for each stage"),
        ({"blocks": (1, 0, 1)}, "blocks"),
        ({"filters": (), "blocks": ()}, "at least one"),
        ({"kernel_size": 0}, "kernel_size"),
        ({"stride": 1.5}, "stride"),
        ({"in_leads": True}, "in_leads"),
        ({"filters": (8.5, 12, 24)}, "whole number"),
        ({"ratio": 0.3}, "ratio"),
        ({"ratio": float("nan")}, "ratio"),
        ({"base_filters": 1, "filters": (1, 1, 1), "group_width": 1}, "at least 2"),
    ],
)
def test_config_refuses_what_makes_no_network(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Net1DConfig(**{**vars(SMALL), **change})


def test_config_takes_lists() -> None:
    config = Net1DConfig(**{**vars(SMALL), "filters": [8, 12, 24], "blocks": [2, 1, 2], "ratio": 1})
    assert config == SMALL
    assert hash(config) == hash(SMALL)


def test_input_of_other_leads_is_refused() -> None:
    model = Net1D(SMALL)
    for shape in [(2, 12, 100), (1, 100), (2, 1, 0)]:
        with pytest.raises(ValueError, match="batch, 1, samples"):
            model(torch.zeros(shape))


def test_max_pool_shortcut_sees_the_padded_zero() -> None:
    """An odd number of negative samples: the last window pools with zero, as in the authors'
    code."""
    config = Net1DConfig(2, (2,), (1,), kernel_size=1, stride=2, group_width=1, in_leads=1)
    model = Net1D(config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.first_conv.bias.fill_(-1.0)
        swish = float(F.silu(torch.tensor(-1.0, dtype=torch.float64)))
        # 6 samples -> 3 after the first convolution -> windows (x, x) and (x, 0).
        embedding = model(torch.zeros(1, 1, 6, dtype=torch.float64))
    torch.testing.assert_close(embedding, torch.full((1, 2), swish / 2, dtype=torch.float64))
