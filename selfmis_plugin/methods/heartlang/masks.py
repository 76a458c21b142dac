"""Which words of a sentence a masked language model does not see."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from selfmis_plugin.nn.patch_masks import record_noise

__all__ = ["word_masks"]


def word_masks(
    real: Tensor,
    records: Sequence[int],
    most: int,
    ratio: float,
    seed: int,
    draw: int = 0,
    on_padding: bool = False,
) -> Tensor:
    """Draw the masked words of each record, the same ones whatever batch it is in.

    Parameters
    ----------
    real
        Which words are no padding, bool ``(batch, words)``.
    records, seed, draw
        See :func:`~selfmis_plugin.nn.patch_masks.record_noise`.
    most
        Words of the longest sentence there can be.
    ratio
        Share of a sentence's words that are masked, in (0, 1]; at least one of it is.
    on_padding
        Whether padding counts as words, as the authors have it.

    Returns
    -------
    Tensor
        bool ``(batch, words)``.
    """
    noise = record_noise(records, most, seed, draw)[:, : real.shape[1]].to(real.device)
    words = torch.ones_like(real) if on_padding else real
    noise = noise.masked_fill(~words, 2.0)  # after all that may be masked
    lengths = words.sum(1, keepdim=True)
    count = torch.where(lengths > 0, (ratio * lengths).round().clamp(min=1), 0)
    rank = noise.argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    return rank < count
