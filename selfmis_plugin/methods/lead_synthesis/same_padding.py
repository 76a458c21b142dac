"""Convolutions whose output is the input's length over, or times, the stride ("same" padding)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Same1d", "Same2d", "SameTransposed1d", "SameTransposed2d"]


def _padded(signal: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Add zeros to the last dimensions; of an odd number the larger half comes last."""
    padding: list[int] = []
    for size, length, step in zip(signal.shape[-len(kernel) :], kernel, stride, strict=True):
        total = max((math.ceil(size / step) - 1) * step + length - size, 0)
        # F.pad counts from the last dimension.
        padding = [total // 2, total - total // 2, *padding]
    return F.pad(signal, padding)


def _cropped(
    whole: Tensor, size: Sequence[int], kernel: Sequence[int], stride: Sequence[int]
) -> Tensor:
    """Cut what transposing a padded convolution leaves of its whole output."""
    for place, (length, taps, step) in enumerate(zip(size, kernel, stride, strict=True)):
        whole = whole.narrow(place - len(size), (taps - step) // 2, length * step)
    return whole


class Same1d(nn.Conv1d):
    """A convolution over time, ``(batch, channels, samples)``, of samples / stride outputs."""

    def forward(self, signal: Tensor) -> Tensor:
        """Convolve the padded signal."""
        return super().forward(_padded(signal, self.kernel_size, self.stride))


class Same2d(nn.Conv2d):
    """The same over rows and time, ``(batch, channels, rows, samples)``."""

    def forward(self, signal: Tensor) -> Tensor:
        """Convolve the padded signal."""
        return super().forward(_padded(signal, self.kernel_size, self.stride))


class SameTransposed1d(nn.ConvTranspose1d):
    """The transpose of :class:`Same1d`: samples times stride outputs. The kernel is not shorter
    than the stride."""

    def forward(self, signal: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve transposed, and cut what padding adds."""
        whole = super().forward(signal, output_size)
        return _cropped(whole, signal.shape[-1:], self.kernel_size, self.stride)


class SameTransposed2d(nn.ConvTranspose2d):
    """The transpose of :class:`Same2d`."""

    def forward(self, signal: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve transposed, and cut what padding adds."""
        whole = super().forward(signal, output_size)
        return _cropped(whole, signal.shape[-2:], self.kernel_size, self.stride)
