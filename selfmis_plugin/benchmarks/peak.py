"""The most that a machine computes: the speed of a large matrix product."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def matrix_product_peak(
    dtype: torch.dtype,
    device: torch.device,
    seconds: float = 1.0,
    synchronise: Callable[[], None] = lambda: None,
) -> float:
    """Return the FLOP/s of the fastest of several products of two square matrices.

    Parameters
    ----------
    dtype
        Type of the matrices.
    device
        Where they are multiplied, with the threads that PyTorch has been given.
    seconds
        How long to repeat; at least three products are timed.
    synchronise
        Waits for a device that works on its own.
    """
    # Large enough to reach the peak, small enough for several products a second on two cores.
    size = 8192 if device.type == "cuda" else 2048
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    out = left @ right
    fastest, products, begin = float("inf"), 0, time.perf_counter()
    while products < 3 or time.perf_counter() - begin < seconds:
        synchronise()
        start = time.perf_counter()
        torch.matmul(left, right, out=out)
        synchronise()
        fastest = min(fastest, time.perf_counter() - start)
        products += 1
    return 2 * size**3 / fastest
