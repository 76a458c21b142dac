"""A residual block of Net1D over ``(batch, time, channels)``, with a backward pass of its own.

Autograd would keep every activation beside what it was computed from.  Here the backward pass
keeps what comes out of the convolutions only, and computes the activations again, which is a small
share of the work.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from selfmis_plugin.nn.channels_last import (
    pointwise,
    pointwise_input_gradient,
    pointwise_weight_gradient,
)
from selfmis_plugin.nn.native import ops
from selfmis_plugin.nn.swish_convolution import (
    convolve_swish,
    convolve_swish_backward,
    has_machine_code,
    silu_gradient,
    swish,
    swish_backward,
)

__all__ = ["BlockShape", "residual_block"]


class BlockShape(NamedTuple):
    """What a residual block is beside its weights.

    Attributes
    ----------
    stride
        Of the grouped convolution and of the shortcut's max-pool.
    activate
        Whether a swish comes before the first convolution.
    channels_before
        Zero channels before those of the shortcut.
    recompute
        Keep only the block's input for the backward pass, and compute the rest again.
    """

    stride: int
    activate: bool
    channels_before: int
    recompute: bool = False


def residual_block(signal: Tensor, shape: BlockShape, weights: list[Tensor]) -> Tensor:
    """1x1, grouped and 1x1 convolution, squeeze-excitation, and a max-pooled, channel-padded
    shortcut.

    Parameters
    ----------
    signal
        ``(batch, time, channels)``; its type is that of the computation.
    shape
        See :class:`BlockShape`.
    weights
        Weight and bias of the three convolutions and the two linear layers of the
        squeeze-excitation, ten tensors of any floating type.

    Returns
    -------
    Tensor
        ``(batch, ceil(time / stride), out_channels)``, in the type of ``signal``.
    """
    if torch.is_grad_enabled() and any(t.requires_grad for t in (signal, *weights)):
        out: Tensor = _ResidualBlock.apply(signal, shape, *weights)
        return out
    return _forward(signal, shape, _cast(weights, signal.dtype), keep=False).out


class _Steps(NamedTuple):
    """What a forward pass computed: outputs of the convolutions, squeeze-excitation, result.

    Without a backward pass to come the output of the second is not kept.
    """

    conv1: Tensor
    conv2: Tensor | None
    conv3: Tensor
    squeezed: Tensor
    hidden: Tensor
    scale: Tensor
    out: Tensor


def _cast(weights: Any, dtype: torch.dtype) -> list[Tensor]:
    return [weight.to(dtype) for weight in weights]


def _forward(signal: Tensor, shape: BlockShape, weights: list[Tensor], keep: bool = True) -> _Steps:
    weight1, bias1, weight2, bias2, weight3, bias3, fc1, fc1_bias, fc2, fc2_bias = weights
    conv1 = pointwise(swish(signal) if shape.activate else signal, weight1, bias1)
    conv2, activated = convolve_swish(conv1, weight2, bias2, shape.stride, keep)
    conv3 = pointwise(activated, weight3, bias3)
    del activated
    squeezed = _mean_over_time(conv3)
    hidden = F.linear(squeezed, fc1, fc1_bias)
    scale = torch.sigmoid(F.linear(F.silu(hidden), fc2, fc2_bias)).unsqueeze(1)
    shortcut = _max_pool(signal, shape.stride)
    first, channels = shape.channels_before, shortcut.shape[-1]
    if channels == conv3.shape[-1]:
        out = torch.addcmul(shortcut, conv3, scale)
    else:
        out = conv3 * scale
        out[..., first : first + channels] += shortcut
    return _Steps(conv1, conv2, conv3, squeezed, hidden, scale, out)


def _mean_over_time(signal: Tensor) -> Tensor:
    if signal.dtype == torch.bfloat16:
        # mean() copies the signal to float32 first; sum() adds up in float32 without, and bfloat16
        # has float32's range.
        return signal.sum(1) / signal.shape[1]
    return signal.mean(1)


def _sums_over_time(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of ``one * other`` and of ``one``, in the type of both."""
    if has_machine_code(one):
        products, sums = ops.sums_over_time(one.contiguous(), other.contiguous())
        return products.to(one.dtype), sums.to(one.dtype)
    return (one * other).sum(1), one.sum(1)


class _ResidualBlock(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, signal: Tensor, shape: BlockShape, *weights: Tensor) -> Tensor:
        cast = _cast(weights, signal.dtype)
        steps = _forward(signal, shape, cast)
        ctx.shape = shape
        kept = () if shape.recompute else steps[:-1]
        ctx.save_for_backward(signal, *cast, *kept)
        return steps.out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast(grads[0].device.type, enabled=False):
            return _backward(ctx, grads[0].contiguous())


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    shape: BlockShape = ctx.shape
    signal, *saved = ctx.saved_tensors
    weights = saved[:10]
    weight1, _, weight2, _, weight3, _, fc1, _, fc2, _ = weights
    conv2: Tensor | None
    if shape.recompute:
        conv1, conv2, conv3, squeezed, hidden, scale, _ = _forward(signal, shape, weights)
    else:
        conv1, conv2, conv3, squeezed, hidden, scale = saved[10:]

    # Squeeze-excitation: out = conv3 * scale, scale a function of the mean of conv3.
    grad_scale, grad_sum = _sums_over_time(grad, conv3)
    grad_gate = grad_scale * (scale * (1 - scale)).squeeze(1)
    excited = F.silu(hidden)
    grad_hidden = silu_gradient(grad_gate @ fc2, hidden)
    grad_mean = (grad_hidden @ fc1).unsqueeze(1) / conv3.shape[1]
    grad_conv3 = torch.addcmul(grad_mean, grad, scale)

    grad_activated = pointwise_input_gradient(grad_conv3, weight3)
    assert conv2 is not None
    activated, grad_conv2 = swish_backward(grad_activated, conv2)
    grad_weight3 = pointwise_weight_gradient(grad_conv3, activated)

    grad_conv1, grad_weight2, grad_bias2, grad_bias1 = convolve_swish_backward(
        grad_conv2, conv1, weight2, shape.stride
    )

    grad_signal = None
    if ctx.needs_input_grad[0]:
        grad_signal = pointwise_input_gradient(grad_conv1, weight1)
    activated = signal
    if shape.activate and grad_signal is not None:
        activated, grad_signal = swish_backward(grad_signal, signal)
    elif shape.activate:
        activated = swish(signal)
    grad_weight1 = pointwise_weight_gradient(grad_conv1, activated)
    if grad_signal is not None:
        first = shape.channels_before
        shortcut = grad[..., first : first + signal.shape[-1]]
        _add_max_pool_gradient(grad_signal, shortcut, signal, shape.stride)
    return (
        grad_signal,
        None,
        grad_weight1,
        grad_bias1,
        grad_weight2,
        grad_bias2,
        grad_weight3,
        (grad_sum * scale.squeeze(1) + grad_mean.squeeze(1) * conv3.shape[1]).sum(0),
        grad_hidden.t() @ squeezed,
        grad_hidden.sum(0),
        grad_gate.t() @ excited,
        grad_gate.sum(0),
    )


# -- max-pool


def _windows(signal: Tensor, stride: int) -> list[Tensor]:
    """Samples at each place of the windows of ``stride``, after padding with ``stride - 1`` zeros,
    the smaller half of them on the left.

    The zeros take part in the maximum, as in the authors' code: the last of an odd number of
    samples is pooled with 0.
    """
    left = (stride - 1) // 2
    # Zeros that no whole window reaches are not worth a copy of the signal.
    right = min(stride - 1 - left, -(signal.shape[1] + left) % stride)
    if left or right:
        signal = F.pad(signal, (0, 0, left, right))
    outputs = signal.shape[1] // stride
    return [signal[:, place : outputs * stride : stride] for place in range(stride)]


def _max_pool(signal: Tensor, stride: int) -> Tensor:
    if stride == 1:
        return signal
    windows = _windows(signal, stride)
    out = windows[0]
    for samples in windows[1:]:
        out = torch.maximum(out, samples)
    return out


def _add_max_pool_gradient(total: Tensor, grad: Tensor, signal: Tensor, stride: int) -> None:
    """Add the gradient of :func:`_max_pool` by its signal to ``total``; the first of equal samples
    has it."""
    if stride == 1:
        total += grad
        return
    left = (stride - 1) // 2
    if has_machine_code(signal) and total.is_contiguous():
        ops.add_pool_gradient(total, grad, signal.contiguous(), stride, left)
        return
    windows = _windows(signal, stride)
    largest = _max_pool(signal, stride)
    for place, samples in enumerate(windows):
        grad_here = grad * (samples == largest)
        if place + 1 < stride:
            grad = grad - grad_here
        # Samples that lie in the padding, and those that no window reaches, are left out.
        first = 1 if place < left else 0
        inside = total[:, first * stride + place - left :: stride]
        reached = min(inside.shape[1], grad_here.shape[1] - first)
        inside[:, :reached] += grad_here[:, first : first + reached]
