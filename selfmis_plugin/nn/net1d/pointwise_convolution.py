"""1x1 convolutions over ``(batch, time, channels)``, and their gradients, each in the form that
runs fastest."""

from __future__ import annotations

import functools
import platform

import torch
import torch.nn.functional as F
from torch import Tensor

from selfmis_plugin.nn.compiled import constant_when_compiled
from selfmis_plugin.nn.net1d.channels_last import (
    as_image,
    as_image_weight,
    convolution_gradient,
    from_image,
    on_float32_cpu,
)

__all__ = ["pointwise", "pointwise_input_gradient", "pointwise_weight_gradient"]

_MANY_CHANNELS, _MANY_CHANNELS_OF_WEIGHT = 256, 160
"""From here on MKL's matrix product is faster than oneDNN's convolution, on Intel's CPUs: for the
convolution and its gradient by the signal, and for that by the weight."""


def pointwise(signal: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """1x1 convolution.

    Parameters
    ----------
    signal
        ``(batch, time, channels)``, contiguous.
    weight
        ``(outputs, channels, 1)``.
    bias
        ``(outputs,)``.

    Returns
    -------
    Tensor
        ``(batch, time, outputs)``.
    """
    if _by_onednn(signal, min(weight.shape[:2]) >= _MANY_CHANNELS):
        return from_image(F.conv2d(as_image(signal), as_image_weight(weight), bias))
    return F.linear(signal, weight.squeeze(-1), bias)


def pointwise_input_gradient(grad: Tensor, weight: Tensor) -> Tensor:
    """Gradient of :func:`pointwise` by its signal, from that by its output."""
    if _by_onednn(grad, min(weight.shape[:2]) >= _MANY_CHANNELS):
        signal = grad.new_empty(*grad.shape[:2], weight.shape[1])
        return convolution_gradient(grad, signal, weight, 1, 0, 1, of_weight=False)
    return grad @ weight.squeeze(-1)


def pointwise_weight_gradient(grad: Tensor, signal: Tensor) -> Tensor:
    """Gradient of :func:`pointwise` by its weight, ``(outputs, channels, 1)``."""
    outputs, channels = grad.shape[-1], signal.shape[-1]
    if _by_onednn(signal, max(outputs, channels) >= _MANY_CHANNELS_OF_WEIGHT):
        weight = signal.new_empty(outputs, channels, 1)
        return convolution_gradient(grad, signal, weight, 1, 0, 1, of_weight=True)
    return (grad.reshape(-1, outputs).t() @ signal.reshape(-1, channels)).unsqueeze(-1)


def _by_onednn(signal: Tensor, many: bool) -> bool:
    """Whether oneDNN's convolution serves a 1x1 convolution better than a matrix product: it does
    in float32, but for many channels on the CPUs that the linear algebra library was written
    for."""
    return on_float32_cpu(signal) and not (many and _mkl_is_at_home())


# torch.compile cannot trace what this asks.
@constant_when_compiled
@functools.cache
def _mkl_is_at_home() -> bool:
    """Whether matrix products are MKL's and the processor is Intel's."""
    if not torch.backends.mkl.is_available():
        return False
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return any("GenuineIntel" in line for line in file)
    except OSError:  # not Linux
        return "Intel" in platform.processor()
