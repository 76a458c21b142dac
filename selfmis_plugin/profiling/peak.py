"""The most that a machine computes: the speed of a large matrix product."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

#: Rows of the square matrices. Which is the fastest depends on caches and cores.
CPU_SIZES, CUDA_SIZES = (1024, 2048), (4096, 8192)
#: Seconds of a product that is not repeated, nor tried at a larger size.
_TOO_LONG = 2.0


def matrix_product_peak(
    dtype: torch.dtype,
    device: torch.device,
    seconds: float = 1.0,
    synchronise: Callable[[], None] = lambda: None,
) -> float:
    """Return the FLOP/s of the fastest product of two square matrices.

    Each is computed as a product and as a 1x1 convolution, which is the same function by another
    library on many CPUs: there the one may be twice as fast as the other.

    Parameters
    ----------
    dtype
        Type of the matrices.
    device
        Where they are multiplied, with the threads that PyTorch has been given.
    seconds
        How long to repeat in all; each way and size is timed three times at least, once where
        that takes seconds.
    synchronise
        Waits for a device that works on its own.
    """
    sizes = CUDA_SIZES if device.type == "cuda" else CPU_SIZES
    peak = 0.0
    for size in sizes:
        # A CPU without instructions for the type is a thousand times slower, and no faster at a
        # larger size.
        if peak and 2 * size**3 / peak > _TOO_LONG:
            break
        for product in _products(size, dtype, device):
            taken = _fastest(product, seconds / (2 * len(sizes)), synchronise)
            peak = max(peak, 2 * size**3 / taken)
    return peak


def _products(
    size: int, dtype: torch.dtype, device: torch.device
) -> list[Callable[[], torch.Tensor]]:
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    pixels = right[None, :, None].contiguous(memory_format=torch.channels_last)
    weight = left[:, :, None, None]
    return [lambda: left @ right, lambda: F.conv2d(pixels, weight)]


def _fastest(
    work: Callable[[], torch.Tensor], seconds: float, synchronise: Callable[[], None]
) -> float:
    begin = time.perf_counter()
    work()
    synchronise()
    fastest = time.perf_counter() - begin
    if fastest > _TOO_LONG:
        return fastest
    times, begin = 0, time.perf_counter()
    while times < 3 or time.perf_counter() - begin < seconds:
        synchronise()
        start = time.perf_counter()
        work()
        synchronise()
        fastest = min(fastest, time.perf_counter() - start)
        times += 1
    return fastest
