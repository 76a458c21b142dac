"""How many of its codes a tokenizer uses."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["code_entropy", "codes_in_use"]


def code_entropy(codes: Tensor) -> Tensor:
    """Return the entropy of the shares of codes, int64 ``(n,)``, in nats; 0 of none.

    It is the cross-entropy of who knows nothing but the shares; e to it is the perplexity, how
    many codes used equally would be as hard to guess.
    """
    if not len(codes):
        return torch.zeros((), dtype=torch.float64)
    shares = torch.bincount(codes).double() / len(codes)
    return torch.special.entr(shares).sum()


def codes_in_use(codes: Tensor) -> int:
    """Return how many different codes there are."""
    return len(codes.unique())
