"""Convolutions over ``(batch, time, channels)``: what those of any kind share.

PyTorch's own one-dimensional convolutions want ``(batch, channels, time)``, in which a 1x1
convolution is a slow matrix product and every call of oneDNN reorders its input.  Time before
channels avoids both, and makes the gradient of a grouped convolution's weight, the slowest part by
far of a Net1D's step on a CPU, a product of large matrices.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from selfmis_plugin.nn.compiled import constant_when_compiled

__all__ = [
    "SamePadding",
    "as_image",
    "as_image_weight",
    "convolution_gradient",
    "from_image",
    "on_float32_cpu",
    "same_padding",
]


class SamePadding(NamedTuple):
    """Zeros before and after a signal, and the outputs that a convolution then has."""

    left: int
    right: int
    outputs: int


def same_padding(samples: int, kernel: int, stride: int) -> SamePadding:
    """Zero padding to ``ceil(samples / stride)`` outputs, the smaller half of it on the left."""
    outputs = -(-samples // stride)
    total = max(0, (outputs - 1) * stride + kernel - samples)
    return SamePadding(total // 2, total - total // 2, outputs)


def on_float32_cpu(signal: Tensor) -> bool:
    """Whether oneDNN computes with this tensor in float32."""
    return signal.device.type == "cpu" and signal.dtype == torch.float32 and _onednn_is_there()


# torch.compile cannot trace what this asks.
@constant_when_compiled
def _onednn_is_there() -> bool:
    return torch.backends.mkldnn.is_available()


def as_image(signal: Tensor) -> Tensor:
    """``(batch, time, channels)`` as ``(batch, channels, 1, time)`` in channels-last memory."""
    return signal.transpose(1, 2).unsqueeze(2)


def from_image(image: Tensor) -> Tensor:
    """The inverse of :func:`as_image`."""
    return image.squeeze(2).transpose(1, 2)


def as_image_weight(weight: Tensor) -> Tensor:
    """A weight ``(outputs, channels, kernel)`` for such an image."""
    return weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def convolution_gradient(
    grad: Tensor,
    signal: Tensor,
    weight: Tensor,
    stride: int,
    padding: int,
    groups: int,
    of_weight: bool,
) -> Tensor:
    """Gradient of a convolution of ``signal`` by its weight, or by the signal: of the tensor that
    is asked for only the shape is looked at."""
    gradients = torch.ops.aten.convolution_backward(
        as_image(grad),
        as_image(signal),
        as_image_weight(weight),
        None,
        [1, stride],
        [0, padding],
        [1, 1],
        False,
        [0, 0],
        groups,
        [not of_weight, of_weight, False],
    )
    return gradients[1].squeeze(2) if of_weight else from_image(gradients[0])
