"""PyTorch operators over the compiled functions."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import torch
from torch import Tensor

from selfmis_plugin.nn.compiled import constant_when_compiled
from selfmis_plugin.nn.net1d.native.build import library

__all__ = [
    "WIDTH",
    "add_pool_gradient",
    "add_shortcut",
    "available",
    "convolve_swish",
    "convolve_swish_backward",
    "sums_over_time",
    "swish",
    "swish_backward",
]

WIDTH = 16
"""Channels of a group for which there is machine code."""

_int = ctypes.c_int64
_NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


class _Shape(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in ("batch", "samples", "channels", "kernel", "stride", "left", "outputs")
    ]


class _Pool(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in ("batch", "samples", "channels", "stride", "left", "outputs", "row")
    ]


@constant_when_compiled  # torch.compile would trace into the compilation
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
    pointers = [_pointer(argument) for argument in arguments]
    function = getattr(found, f"{name}_{_NAMES[dtype]}")
    function.restype = None
    function(*pointers, ctypes.c_int(torch.get_num_threads()))


def _pointer(argument: Any) -> Any:
    """The address of a tensor's values, or null for one without any and for None."""
    if isinstance(argument, Tensor):
        return ctypes.c_void_p(argument.data_ptr() if argument.numel() else None)
    return ctypes.c_void_p() if argument is None else argument


def _float32(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.float().contiguous()


def _shape(signal: Tensor, weight: Tensor, stride: int, left: int, outputs: int) -> Any:
    shape = _Shape(*signal.shape, weight.shape[2], stride, left, outputs)
    return ctypes.byref(shape)


def _pool(signal: Tensor, stride: int, left: int, outputs: int, row: int) -> Any:
    return ctypes.byref(_Pool(*signal.shape, stride, left, outputs, row))


@torch.library.custom_op("selfmis::convolve_swish", mutates_args=())
def convolve_swish(
    signal: Tensor,
    signal_bias: Tensor | None,
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
    signal_bias
        ``(channels,)``, added to the signal first.
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
        _float32(signal_bias),
        weight.contiguous(),
        _float32(bias),
        out,
        activated,
    )
    return out, activated


@convolve_swish.register_fake
def _(
    signal: Tensor,
    signal_bias: Tensor | None,
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
    grad: Tensor,
    signal: Tensor,
    signal_bias: Tensor | None,
    weight: Tensor,
    stride: int,
    left: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of the convolution of :func:`convolve_swish`.

    Parameters
    ----------
    grad
        Gradient by the convolution, ``(batch, outputs, channels)``, contiguous.
    signal, signal_bias, weight, stride, left
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
    # Not torch.empty: whoever has set another default type or device would get it.
    grad_weight = weight.new_empty(weight.shape, dtype=torch.float32)
    grad_bias, signal_sum = (
        signal.new_empty(signal.shape[2:], dtype=torch.float32) for _ in range(2)
    )
    _call(
        "backward",
        signal.dtype,
        _shape(signal, weight, stride, left, grad.shape[1]),
        grad,
        signal,
        _float32(signal_bias),
        weight.contiguous(),
        grad_signal,
        grad_weight,
        grad_bias,
        signal_sum,
    )
    return grad_signal, grad_weight, grad_bias, signal_sum


@convolve_swish_backward.register_fake
def _(
    grad: Tensor,
    signal: Tensor,
    signal_bias: Tensor | None,
    weight: Tensor,
    stride: int,
    left: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    channels = (signal.shape[2],)
    return (
        torch.empty_like(signal),
        weight.new_empty(weight.shape, dtype=torch.float32),
        signal.new_empty(channels, dtype=torch.float32),
        signal.new_empty(channels, dtype=torch.float32),
    )


@torch.library.custom_op("selfmis::swish", mutates_args=())
def swish(signal: Tensor) -> Tensor:
    """Swish of a contiguous signal, whose size is a multiple of 16."""
    activated = torch.empty_like(signal)
    _call("swish", signal.dtype, _int(signal.numel()), signal, None, activated)
    return activated


@swish.register_fake
def _(signal: Tensor) -> Tensor:
    return torch.empty_like(signal)


@torch.library.custom_op("selfmis::swish_backward", mutates_args=("grad",))
def swish_backward(grad: Tensor, signal: Tensor) -> Tensor:
    """Return :func:`swish` of a signal, and turn the gradient by that, contiguous too, into one by
    the signal, in place."""
    activated = torch.empty_like(signal)
    _call("swish", signal.dtype, _int(signal.numel()), signal, grad, activated)
    return activated


@swish_backward.register_fake
def _(grad: Tensor, signal: Tensor) -> Tensor:
    return torch.empty_like(signal)


@torch.library.custom_op("selfmis::sums_over_time", mutates_args=())
def sums_over_time(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over time of ``one * other`` and of ``one``, ``(batch, time, channels)`` both,
    contiguous, with a multiple of 16 channels; float32."""
    shape = one.shape[0], one.shape[2]
    products, sums = (one.new_empty(shape, dtype=torch.float32) for _ in range(2))
    sizes = map(_int, one.shape)
    _call("sums_over_time", one.dtype, *sizes, one, other, products, sums)
    return products, sums


@sums_over_time.register_fake
def _(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    shape = one.shape[0], one.shape[2]
    return one.new_empty(shape, dtype=torch.float32), one.new_empty(shape, dtype=torch.float32)


@torch.library.custom_op("selfmis::add_shortcut", mutates_args=("out",))
def add_shortcut(
    out: Tensor,
    signal: Tensor,
    branch: Tensor | None,
    bias: Tensor | None,
    scale: Tensor,
    stride: int,
    left: int,
    first: int,
) -> None:
    """Write ``(branch + bias) * scale``, plus a max-pooled signal, to *out*.

    Parameters
    ----------
    out
        ``(batch, outputs, channels)``, contiguous, with a multiple of 16 channels.
    signal
        ``(batch, time, channels of the signal)``, a multiple of 16, contiguous.
    branch
        In the shape of *out*, contiguous; None: what stands in *out*.
    bias
        ``(channels,)``.
    scale
        ``(batch, 1, channels)``.
    stride
        Samples of a window of the max-pool.
    left
        Zeros before the signal.
    first
        Channel of *out* to which the signal's first is added.
    """
    _call(
        "add_shortcut",
        out.dtype,
        _pool(signal, stride, left, *out.shape[1:]),
        _int(first),
        signal,
        out if branch is None else branch,
        _float32(bias),
        _float32(scale),
        out,
    )


@add_shortcut.register_fake
def _(
    out: Tensor,
    signal: Tensor,
    branch: Tensor | None,
    bias: Tensor | None,
    scale: Tensor,
    stride: int,
    left: int,
    first: int,
) -> None:
    return None


@torch.library.custom_op("selfmis::add_pool_gradient", mutates_args=("total",))
def add_pool_gradient(
    total: Tensor, grad: Tensor, first: int, signal: Tensor, stride: int, left: int
) -> None:
    """Add the gradient of a max-pool of ``signal`` to ``total``.

    Parameters
    ----------
    total, signal
        ``(batch, time, channels)``, contiguous, with a multiple of 16 channels.
    grad
        ``(batch, outputs, as many channels or more)``, contiguous: the gradient by the max-pool
        is in its channels from *first* on.
    stride
        Samples of a window.
    left
        Zeros before the signal.
    """
    pool = _pool(signal, stride, left, *grad.shape[1:])
    _call("pool_backward", signal.dtype, pool, grad[..., first:], signal, total)


@add_pool_gradient.register_fake
def _(total: Tensor, grad: Tensor, first: int, signal: Tensor, stride: int, left: int) -> None:
    return None
