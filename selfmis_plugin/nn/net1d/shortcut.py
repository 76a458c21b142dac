"""The shortcut of a Net1D's residual block: a max-pool over time, and zero channels around it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from selfmis_plugin.nn.net1d.native import ops
from selfmis_plugin.nn.net1d.swish_convolution import has_machine_code

__all__ = ["add_max_pool_gradient", "add_shortcut"]


def add_shortcut(
    signal: Tensor,
    branch: Tensor,
    bias: Tensor | None,
    scale: Tensor,
    stride: int,
    first: int,
    keep: bool,
) -> Tensor:
    """``(branch + bias) * scale``, plus the max-pooled signal in its channels from *first* on.

    Parameters
    ----------
    signal
        ``(batch, time, channels of the signal)``.
    branch
        ``(batch, ceil(time / stride), channels)``; overwritten unless *keep* is set.
    bias
        ``(channels,)``; None for a branch that has it already.
    scale
        ``(batch, 1, channels)``.
    stride
        Samples of a window.
    first
        Zero channels before those of the signal.
    keep
        Whether a backward pass will come.

    Returns
    -------
    Tensor
        In the shape of *branch*.
    """
    if has_machine_code(signal) and has_machine_code(branch):
        branch = branch.contiguous()
        out = torch.empty_like(branch) if keep else branch
        left = _zeros_before(stride)
        ops.add_shortcut(
            out, signal.contiguous(), branch if keep else None, bias, scale, stride, left, first
        )
        return out
    if bias is not None:
        branch = branch + bias
    shortcut = _max_pool(signal, stride)
    channels = shortcut.shape[-1]
    if channels == branch.shape[-1]:
        return torch.addcmul(shortcut, branch, scale)
    out = branch * scale
    out[..., first : first + channels] += shortcut
    return out


def add_max_pool_gradient(
    total: Tensor, grad: Tensor, first: int, signal: Tensor, stride: int
) -> None:
    """Add the gradient of the shortcut's max-pool by its signal to *total*; the first of equal
    samples has it.

    Parameters
    ----------
    total, signal
        ``(batch, time, channels of the signal)``.
    grad
        Gradient by what :func:`add_shortcut` returned.
    stride, first
        As given to it.
    """
    shortcut = grad[..., first : first + signal.shape[-1]]
    if stride == 1:
        total += shortcut
        return
    left = _zeros_before(stride)
    if has_machine_code(signal) and total.is_contiguous():
        ops.add_pool_gradient(total, grad.contiguous(), first, signal.contiguous(), stride, left)
        return
    windows = _windows(signal, stride)
    largest = _max_pool(signal, stride)
    for place, samples in enumerate(windows):
        grad_here = shortcut * (samples == largest)
        if place + 1 < stride:
            shortcut = shortcut - grad_here
        # Samples that lie in the padding, and those that no window reaches, are left out.
        skipped = 1 if place < left else 0
        inside = total[:, skipped * stride + place - left :: stride]
        reached = min(inside.shape[1], grad_here.shape[1] - skipped)
        inside[:, :reached] += grad_here[:, skipped : skipped + reached]


def _zeros_before(stride: int) -> int:
    """The smaller half of ``stride - 1``."""
    return (stride - 1) // 2


def _windows(signal: Tensor, stride: int) -> list[Tensor]:
    """Samples at each place of the windows of ``stride``, after padding with ``stride - 1`` zeros.

    The zeros take part in the maximum, as in the authors' code: the last of an odd number of
    samples is pooled with 0.
    """
    left = _zeros_before(stride)
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
