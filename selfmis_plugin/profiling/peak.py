"""The most that a machine computes: the speed of a large matrix product."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

#: Rows of the square matrices. Which is the fastest depends on caches and cores.
CPU_SIZES, CUDA_SIZES = (1024, 2048), (4096, 8192)


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
        How long to repeat in all; each way and size is timed three times at least.
    synchronise
        Waits for a device that works on its own.
    """
    sizes = CUDA_SIZES if device.type == "cuda" else CPU_SIZES
    return max(
        2 * size**3 / _fastest(product, seconds / (2 * len(sizes)), synchronise)
        for size in sizes
        for product in _products(size, dtype, device)
    )


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
    work()
    fastest, times, begin = float("inf"), 0, time.perf_counter()
    while times < 3 or time.perf_counter() - begin < seconds:
        synchronise()
        start = time.perf_counter()
        work()
        synchronise()
        fastest = min(fastest, time.perf_counter() - start)
        times += 1
    return fastest
