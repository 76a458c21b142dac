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

from selfmis_plugin.nn.net1d.native import ops
from selfmis_plugin.nn.net1d.pointwise_convolution import (
    pointwise,
    pointwise_input_gradient,
    pointwise_weight_gradient,
)
from selfmis_plugin.nn.net1d.shortcut import add_max_pool_gradient, add_shortcut
from selfmis_plugin.nn.net1d.swish_convolution import (
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
    cast = _cast(weights, signal.dtype)
    return _with_shortcut(signal, _branch(signal, shape, cast, keep=False), shape, cast, keep=False)


class _Steps(NamedTuple):
    """What a forward pass computed: outputs of the convolutions, squeeze-excitation.

    The first and the third lack the biases that :func:`_biases_for_later` names.  Without a
    backward pass to come the second is not kept.
    """

    conv1: Tensor
    conv2: Tensor | None
    conv3: Tensor
    squeezed: Tensor
    hidden: Tensor
    scale: Tensor


def _cast(weights: Any, dtype: torch.dtype) -> list[Tensor]:
    return [weight.to(dtype) for weight in weights]


def _branch(signal: Tensor, shape: BlockShape, weights: list[Tensor], keep: bool = True) -> _Steps:
    weight1, bias1, weight2, bias2, weight3, bias3, fc1, fc1_bias, fc2, fc2_bias = weights
    first_bias, last_bias = _biases_for_later(signal, bias1, bias3)
    conv1 = pointwise(
        swish(signal) if shape.activate else signal, weight1, bias1 if first_bias is None else None
    )
    conv2, activated = convolve_swish(conv1, first_bias, weight2, bias2, shape.stride, keep)
    conv3 = pointwise(activated, weight3, bias3 if last_bias is None else None)
    del activated
    squeezed = _mean_over_time(conv3)
    if last_bias is not None:
        squeezed = squeezed + last_bias
    hidden = F.linear(squeezed, fc1, fc1_bias)
    scale = torch.sigmoid(F.linear(F.silu(hidden), fc2, fc2_bias)).unsqueeze(1)
    return _Steps(conv1, conv2, conv3, squeezed, hidden, scale)


def _with_shortcut(
    signal: Tensor, steps: _Steps, shape: BlockShape, weights: list[Tensor], keep: bool = True
) -> Tensor:
    (bias,) = _biases_for_later(signal, weights[5])
    return add_shortcut(
        signal, steps.conv3, bias, steps.scale, shape.stride, shape.channels_before, keep
    )


def _biases_for_later(signal: Tensor, *biases: Tensor) -> tuple[Tensor | None, ...]:
    """The biases of 1x1 convolutions that are added where their outputs are read next; None for
    each that the convolution itself adds.

    A matrix product with a bias begins with a pass over its whole output.  Machine code adds it in
    passing.
    """
    return biases if has_machine_code(signal) else (None,) * len(biases)


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
        steps = _branch(signal, shape, cast)
        ctx.shape = shape
        ctx.save_for_backward(signal, *cast, *(() if shape.recompute else steps))
        return _with_shortcut(signal, steps, shape, cast)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast(grads[0].device.type, enabled=False):
            return _backward(ctx, grads[0].contiguous())


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    shape: BlockShape = ctx.shape
    signal, *saved = ctx.saved_tensors
    weights = saved[:10]
    weight1, bias1, weight2, _, weight3, bias3, fc1, _, fc2, _ = weights
    first_bias, last_bias = _biases_for_later(signal, bias1, bias3)
    steps = _branch(signal, shape, weights) if shape.recompute else _Steps(*saved[10:])
    conv1, conv2, conv3, squeezed, hidden, scale = steps

    # Squeeze-excitation: out = conv3 * scale, scale a function of the mean of conv3.
    grad_scale, grad_sum = _sums_over_time(grad, conv3)
    if last_bias is not None:
        grad_scale = torch.addcmul(grad_scale, grad_sum, last_bias)
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
        grad_conv2, conv1, first_bias, weight2, shape.stride
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
        add_max_pool_gradient(grad_signal, grad, shape.channels_before, signal, shape.stride)
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
