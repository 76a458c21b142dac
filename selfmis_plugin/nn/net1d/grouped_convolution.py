"""Grouped convolutions over ``(batch, time, channels)``, and their gradients, each in the form of
PyTorch's operators that runs fastest."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from selfmis_plugin.nn.net1d.channels_last import (
    as_image,
    as_image_weight,
    convolution_gradient,
    from_image,
    on_float32_cpu,
    same_padding,
)

__all__ = ["grouped", "grouped_input_gradient", "grouped_weight_gradient"]

_ALIASING_BYTES = 2048
"""Rows whose length is a multiple of this fall on the same few sets of a CPU's first cache."""

_APART_BYTES = 128
"""What is added to such a row."""

_BLOCK_VALUES = 128
"""Values of one group in one block of :func:`_weight_gradient_by_products`: large enough for a
matrix product, small enough that the part of it that is thrown away stays small."""

_PIECE_OUTPUTS = 160
"""Outputs of one piece of a long signal in :func:`_weight_gradient_by_convolution`."""


def grouped(signal: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """Grouped convolution with :func:`~selfmis_plugin.nn.net1d.channels_last.same_padding`.

    Parameters
    ----------
    signal
        ``(batch, time, channels)``.
    weight
        ``(channels, width, kernel)``: there are ``channels / width`` groups.
    bias
        ``(channels,)``.
    stride
        Of the outputs.

    Returns
    -------
    Tensor
        ``(batch, ceil(time / stride), channels)``.
    """
    channels, width, kernel = weight.shape
    if _onednn_errs(signal, width):
        return grouped(signal.float(), weight.float(), bias.float(), stride).to(signal.dtype)
    padding = same_padding(signal.shape[1], kernel, stride)
    apart = _channels_apart(signal, width)
    # A convolution pads both sides alike; what one side has more is a copy.
    signal = _pad(signal, channels=apart, right=padding.right - padding.left)
    out = F.conv2d(
        as_image(signal),
        as_image_weight(_pad_rows(weight, apart)),
        _pad_rows(bias, apart),
        (1, stride),
        (0, padding.left),
        1,
        (channels + apart) // width,
    )
    return from_image(out)[..., :channels]


def grouped_input_gradient(grad: Tensor, weight: Tensor, stride: int, samples: int) -> Tensor:
    """Gradient of :func:`grouped` by its signal of ``samples``, from that by its output."""
    channels, width, kernel = weight.shape
    if _onednn_errs(grad, width):
        exact = grouped_input_gradient(grad.float(), weight.float(), stride, samples)
        return exact.to(grad.dtype)
    padding = same_padding(samples, kernel, stride)
    apart = _channels_apart(grad, width)
    grad = _pad(grad, channels=apart)
    extra = padding.right - padding.left
    out = convolution_gradient(
        grad,
        grad.new_empty(grad.shape[0], samples + extra, channels + apart),
        _pad_rows(weight, apart),
        stride,
        padding.left,
        (channels + apart) // width,
        of_weight=False,
    )
    return out[:, :samples, :channels]


def grouped_weight_gradient(
    grad: Tensor, signal: Tensor, width: int, kernel: int, stride: int
) -> Tensor:
    """Gradient of :func:`grouped` by its weight, ``(channels, width, kernel)``."""
    if signal.device.type == "cpu" and not on_float32_cpu(signal):
        return _weight_gradient_by_products(grad, signal, width, kernel, stride)
    return _weight_gradient_by_convolution(grad, signal, width, kernel, stride)


def _onednn_errs(signal: Tensor, width: int) -> bool:
    """Whether PyTorch's convolution may be wrong: oneDNN's in bfloat16 is, by tens of percent, of
    groups that do not fill a tile of a CPU with AMX (seen with 3.12, in PyTorch 2.13)."""
    return signal.device.type == "cpu" and signal.dtype == torch.bfloat16 and width % 16 != 0


def _weight_gradient_by_convolution(
    grad: Tensor, signal: Tensor, width: int, kernel: int, stride: int
) -> Tensor:
    batch, samples, channels = signal.shape
    padding = same_padding(samples, kernel, stride)
    apart = _channels_apart(signal, width)
    pieces = 1
    if signal.device.type == "cpu" and padding.outputs > 2 * _PIECE_OUTPUTS:
        # oneDNN takes twice as long a sample for a long signal as for its pieces.
        pieces = -(-padding.outputs // _PIECE_OUTPUTS)
    outputs = -(-padding.outputs // pieces)
    length, hop = (outputs - 1) * stride + kernel, outputs * stride
    right = (pieces - 1) * hop + length - padding.left - samples
    signal = _pad(signal, channels=apart, left=padding.left, right=right)
    grad = _pad(grad, channels=apart, right=pieces * outputs - padding.outputs)
    if pieces > 1:
        signal = signal.unfold(1, length, hop).transpose(2, 3)
        signal = signal.reshape(batch * pieces, length, channels + apart)
        grad = grad.view(batch * pieces, outputs, channels + apart)
    weight = signal.new_empty(channels + apart, width, kernel)
    groups = (channels + apart) // width
    gradient = convolution_gradient(grad, signal, weight, stride, 0, groups, of_weight=True)
    return gradient[:channels]


def _weight_gradient_by_products(
    grad: Tensor, signal: Tensor, width: int, kernel: int, stride: int
) -> Tensor:
    """The gradient by products of large matrices, at least float32: two to four times as fast as
    oneDNN's in bfloat16.

    Cut the padded signal into blocks of ``length = outputs * stride`` samples, and the gradient
    into blocks of ``outputs``.  A block of the signal is seen by its own block of the gradient and
    the ``reach - 1`` before it, so one matrix product over all blocks and records holds every
    product of a sample and a gradient that belongs to a tap, on the diagonals
    ``sample - output * stride = tap``.
    """
    batch, samples, channels = signal.shape
    groups = channels // width
    padding = same_padding(samples, kernel, stride)
    outputs = max(1, _BLOCK_VALUES // (width * stride))
    length = outputs * stride
    reach = -(-((outputs - 1) * stride + kernel) // length)
    blocks = -(-padding.outputs // outputs) + reach - 1
    signals = (
        _pad(signal, left=padding.left, right=blocks * length - padding.left - samples)
        .view(batch, blocks, length, groups, width)
        .permute(3, 0, 1, 2, 4)
        .reshape(groups, batch * blocks, length * width)
    )
    before = (reach - 1) * outputs
    grads = (
        _pad(grad, left=before, right=blocks * outputs - padding.outputs)
        .view(batch, blocks + reach - 1, outputs, groups, width)
        .permute(3, 0, 1, 2, 4)
        # Here, and not as part of the next step: then that one copies long rows.
        .reshape(groups, batch, blocks + reach - 1, outputs * width)
        .unfold(2, reach, 1)
        .transpose(3, 4)
        .reshape(groups, batch * blocks, reach * outputs * width)
    )
    products = torch.bmm(signals.transpose(1, 2), grads)
    products = products.view(groups, length, width, reach * outputs, width)
    dtype = torch.promote_types(grad.dtype, torch.float32)
    weight = grad.new_zeros(groups, kernel, width, width, dtype=dtype)
    for output in range(reach * outputs):
        first = before * stride - output * stride  # tap of a block's first sample
        taps = range(max(0, first), min(kernel, first + length))
        if taps:
            part = products[:, taps.start - first : taps.stop - first, :, output]
            weight[:, taps.start : taps.stop] += part
    # (group, tap, input, output) to (group, output, input, tap)
    return weight.permute(0, 3, 2, 1).reshape(channels, width, kernel)


def _channels_apart(signal: Tensor, width: int) -> int:
    """Channels to add so that samples at neighbouring times do not push each other out of the
    cache: oneDNN's float32 grouped convolution of 1,024 channels runs 3 times as fast with them."""
    size = signal.element_size()
    if not on_float32_cpu(signal) or (signal.shape[-1] * size) % _ALIASING_BYTES:
        return 0
    return -(-_APART_BYTES // (size * width)) * width


def _pad(signal: Tensor, channels: int = 0, left: int = 0, right: int = 0) -> Tensor:
    if channels or left or right:
        return F.pad(signal, (0, channels, left, right))
    return signal.contiguous()


def _pad_rows(tensor: Tensor, rows: int) -> Tensor:
    return F.pad(tensor, (0, 0) * (tensor.dim() - 1) + (0, rows)) if rows else tensor
