"""Grouped convolution of a swish, and its gradients, in machine code of our own where there is some
(:mod:`selfmis_plugin.nn.net1d.native`) and else in PyTorch's operators.

Of a Net1D's step on a CPU PyTorch's operators spend a third on the grouped convolutions, in which a
twentieth of the multiplications are, and much of it on copies: the swish, the zero padding and the
blocks for the gradient of the weight.  One function for all of them needs no copy.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from selfmis_plugin.nn.net1d.channels_last import same_padding
from selfmis_plugin.nn.net1d.grouped_convolution import (
    grouped,
    grouped_input_gradient,
    grouped_weight_gradient,
)
from selfmis_plugin.nn.net1d.native import ops

__all__ = [
    "convolve_swish",
    "convolve_swish_backward",
    "has_machine_code",
    "silu_gradient",
    "swish",
    "swish_backward",
]


def convolve_swish(
    signal: Tensor,
    signal_bias: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    stride: int,
    keep: bool,
) -> tuple[Tensor | None, Tensor]:
    """Grouped convolution of ``swish(signal + signal_bias)``, and the swish of that.

    Parameters
    ----------
    signal
        ``(batch, time, channels)``; overwritten unless *keep* is set.
    signal_bias
        ``(channels,)``; None for a signal that has it already.
    weight, bias, stride
        See :func:`selfmis_plugin.nn.net1d.grouped_convolution.grouped`.
    keep
        Whether a backward pass will come.

    Returns
    -------
    Tensor or None
        The convolution, ``(batch, ceil(time / stride), channels)``; None without *keep*.
    Tensor
        Its swish, of that shape.
    """
    if _native(signal, weight):
        padding = same_padding(signal.shape[1], weight.shape[2], stride)
        out, activated = ops.convolve_swish(
            signal.contiguous(),
            signal_bias,
            weight,
            bias,
            stride,
            padding.left,
            padding.outputs,
            keep,
        )
        return out if keep else None, activated
    if signal_bias is not None:
        signal = signal + signal_bias
    out = grouped(F.silu(signal, inplace=not keep), weight, bias, stride)
    return out if keep else None, F.silu(out, inplace=not keep)


def convolve_swish_backward(
    grad: Tensor, signal: Tensor, signal_bias: Tensor | None, weight: Tensor, stride: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of :func:`convolve_swish`, from that by the convolution.

    Returns
    -------
    tuple of Tensor
        Gradient by the signal, by the weight, by the bias, and the first summed over batch and
        time.
    """
    channels, width, kernel = weight.shape
    if _native(signal, weight):
        left = same_padding(signal.shape[1], kernel, stride).left
        return ops.convolve_swish_backward(
            grad.contiguous(), signal.contiguous(), signal_bias, weight, stride, left
        )
    if signal_bias is not None:
        signal = signal + signal_bias
    grad_weight = grouped_weight_gradient(grad, F.silu(signal), width, kernel, stride)
    grad_signal = grouped_input_gradient(grad, weight, stride, signal.shape[1])
    grad_signal = silu_gradient(grad_signal, signal)
    return grad_signal, grad_weight, grad.sum((0, 1)), grad_signal.sum((0, 1))


def swish(signal: Tensor) -> Tensor:
    """``signal * sigmoid(signal)``."""
    return ops.swish(signal.contiguous()) if has_machine_code(signal) else F.silu(signal)


def swish_backward(grad: Tensor, signal: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``swish(signal)``, and the gradient by the signal from that by the swish, which is
    overwritten."""
    if has_machine_code(signal):
        grad = grad.contiguous()
        return ops.swish_backward(grad, signal.contiguous()), grad
    return F.silu(signal), silu_gradient(grad, signal)


def silu_gradient(grad: Tensor, signal: Tensor) -> Tensor:
    """Gradient by the signal, from that by its swish."""
    out: Tensor = torch.ops.aten.silu_backward(grad, signal)
    return out


def has_machine_code(signal: Tensor) -> bool:
    """Whether there is machine code for what is made of each sample and channel alone."""
    return signal.shape[-1] % ops.WIDTH == 0 and ops.available(signal.device, signal.dtype)


def _native(signal: Tensor, weight: Tensor) -> bool:
    return weight.shape[1] == ops.WIDTH and has_machine_code(signal)
