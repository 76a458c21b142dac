"""Signals as patches of a few samples, the words of a masked autoencoder."""

from __future__ import annotations

from torch import Tensor

__all__ = ["as_patches"]


def as_patches(prepared: Tensor, size: int) -> Tensor:
    """Cut prepared signals ``(batch, leads, samples)`` into ``(batch, leads, patches, size)``.

    Raises
    ------
    ValueError
        If the samples are no whole number of patches.
    """
    samples = prepared.shape[-1]
    if samples % size:
        raise ValueError(
            f"{samples} samples are no whole number of patches of {size}: choose a patch_size "
            f"that divides {samples}"
        )
    return prepared.unflatten(-1, (samples // size, size))
