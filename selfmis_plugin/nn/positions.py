"""Positions of tokens as sines and cosines (Vaswani et al., "Attention Is All You Need", 2017)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["sine_positions"]


def sine_positions(count: int, width: int, device: torch.device | None = None) -> Tensor:
    """Return sines, then cosines, of each position, float32 ``(count, width)``.

    The rates fall from 1 to 1 / 10,000; a last odd column is zero.
    """
    half = width // 2
    rates = torch.exp(torch.arange(half, device=device) * (-math.log(10_000) / max(1, half - 1)))
    angles = torch.arange(count, device=device)[:, None] * rates
    places = torch.zeros(count, width, device=device)
    places[:, :half], places[:, half : 2 * half] = angles.sin(), angles.cos()
    return places
