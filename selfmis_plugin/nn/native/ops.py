"""PyTorch operators over the functions of ``grouped.cpp``."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import torch
from torch import Tensor

from selfmis_plugin.nn.native.build import library

__all__ = ["available", "convolve_swish", "convolve_swish_backward", "swish_backward"]

WIDTH = 16
"""Channels of a group for which there is machine code."""

_NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


class _Shape(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in ("batch", "samples", "channels", "kernel", "stride", "left", "outputs")
    ]


def available(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether there is machine code for tensors of this type here."""
    return device.type == "cpu" and dtype in _types()


@functools.cache
def _types() -> frozenset[torch.dtype]:
    found = library()
    if found is None:
        return frozenset()
    types = {torch.float32}
    if found.allow_tiles():
        types.add(torch.bfloat16)
    return frozenset(types)


def _call(name: str, dtype: torch.dtype, *arguments: Any) -> None:
    found = library()
    assert found is not None
    pointers = [
        ctypes.c_void_p(argument.data_ptr() if argument.numel() else None)
        if isinstance(argument, Tensor)
        else argument
        for argument in arguments
    ]
    function = getattr(found, f"{name}_{_NAMES[dtype]}")
    function.restype = None
    function(*pointers, ctypes.c_int(torch.get_num_threads()))


def _shape(signal: Tensor, weight: Tensor, stride: int, left: int, outputs: int) -> Any:
    shape = _Shape(*signal.shape, weight.shape[2], stride, left, outputs)
    return ctypes.byref(shape)


@torch.library.custom_op("selfmis::convolve_swish", mutates_args=())
def convolve_swish(
    signal: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: int,
    left: int,
    outputs: int,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    """Grouped convolution of a swish, and the swish of that.

    Parameters
    ----------
    signal
        ``(batch, time, channels)``, float32 or bfloat16, contiguous.
    weight
        ``(channels, 16, kernel)``, in the type of the signal.
    bias
        ``(channels,)``.
    stride
        Of the outputs.
    left
        Zeros before the signal.
    outputs
        Number of outputs; the signal ends in as many zeros as they need.
    keep
        Return the convolution itself too.

    Returns
    -------
    Tensor
        The convolution, ``(batch, outputs, channels)``; without *keep*, empty.
    Tensor
        Its swish, of that shape.
    """
    shape = signal.shape[0], outputs, signal.shape[2]
    activated = signal.new_empty(shape)
    out = signal.new_empty(shape if keep else (0,))
    _call(
        "forward",
        signal.dtype,
        _shape(signal, weight, stride, left, outputs),
        signal,
        weight.contiguous(),
        bias.float(),
        out,
        activated,
    )
    return out, activated


@convolve_swish.register_fake
def _(
    signal: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: int,
    left: int,
    outputs: int,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    shape = signal.shape[0], outputs, signal.shape[2]
    return signal.new_empty(shape if keep else (0,)), signal.new_empty(shape)


@torch.library.custom_op("selfmis::convolve_swish_backward", mutates_args=())
def convolve_swish_backward(
    grad: Tensor, signal: Tensor, weight: Tensor, stride: int, left: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of the convolution of :func:`convolve_swish`.

    Parameters
    ----------
    grad
        Gradient by the convolution, ``(batch, outputs, channels)``, contiguous.
    signal, weight, stride, left
        As given to :func:`convolve_swish`.

    Returns
    -------
    Tensor
        Gradient by the signal.
    Tensor
        By the weight, float32.
    Tensor
        By the bias, float32.
    Tensor
        The first summed over batch and time, float32.
    """
    grad_signal = torch.empty_like(signal)
    grad_weight = torch.empty(weight.shape)
    grad_bias, signal_sum = (torch.empty(signal.shape[2]) for _ in range(2))
    _call(
        "backward",
        signal.dtype,
        _shape(signal, weight, stride, left, grad.shape[1]),
        grad,
        signal,
        weight.contiguous(),
        grad_signal,
        grad_weight,
        grad_bias,
        signal_sum,
    )
    return grad_signal, grad_weight, grad_bias, signal_sum


@convolve_swish_backward.register_fake
def _(
    grad: Tensor, signal: Tensor, weight: Tensor, stride: int, left: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    single = {"dtype": torch.float32}
    channels = (signal.shape[2],)
    return (
        torch.empty_like(signal),
        weight.new_empty(weight.shape, **single),
        signal.new_empty(channels, **single),
        signal.new_empty(channels, **single),
    )


@torch.library.custom_op("selfmis::swish_backward", mutates_args=("grad",))
def swish_backward(grad: Tensor, signal: Tensor) -> Tensor:
    """Return the swish of a signal, and turn the gradient by that into one by the signal, in place.

    Both are contiguous, and their size is a multiple of 16.
    """
    activated = torch.empty_like(signal)
    count = ctypes.c_int64(signal.numel())
    _call("swish_backward", signal.dtype, count, signal, grad, activated)
    return activated


@swish_backward.register_fake
def _(grad: Tensor, signal: Tensor) -> Tensor:
    return torch.empty_like(signal)
