"""HeartLang's two losses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["masked_code_loss", "reconstruction_losses"]


def reconstruction_losses(
    made: Tensor, words: Tensor, vectors: Tensor, codes: Tensor, counted: Tensor
) -> tuple[Tensor, Tensor]:
    """Squared error of words that are made again, and of vectors that are to stay with their codes.

    Jin et al., ICLR 2025, equation 4, where the codes have no gradient.

    Parameters
    ----------
    made, words
        ``(batch, words, samples)``.
    vectors, codes
        ``(batch, words, code size)``.
    counted
        Which words count, bool ``(batch, words)``.

    Returns
    -------
    tuple of Tensor
        Of each record the mean over its words that count, float32 ``(batch,)``; 0 without any.
    """
    with torch.autocast(made.device.type, enabled=False):
        lengths = counted.sum(1).clamp(min=1)
        error = (made.float() - words.float()).square().mean(-1)
        commitment = (vectors.float() - codes.float().detach()).square().mean(-1)
        return (error * counted).sum(1) / lengths, (commitment * counted).sum(1) / lengths


def masked_code_loss(logits: Tensor, codes: Tensor, masked: Tensor) -> Tensor:
    """Cross-entropy of each masked word's code, float32 ``(batch, words)``, 0 elsewhere.

    Parameters
    ----------
    logits
        Of the masked words, in their order, ``(masked words, codes)``.
    codes
        int64 ``(batch, words)``.
    masked
        bool ``(batch, words)``.
    """
    with torch.autocast(logits.device.type, enabled=False):
        found = F.cross_entropy(logits.float(), codes[masked], reduction="none")
        return torch.zeros(codes.shape, device=found.device).masked_scatter(masked, found)
