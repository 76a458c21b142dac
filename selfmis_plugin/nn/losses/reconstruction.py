"""How far a masked autoencoder's patches are from the signal's."""

from __future__ import annotations

from torch import Tensor

__all__ = ["normalised_patches", "reconstruction_loss"]


def reconstruction_loss(
    reconstruction: Tensor, target: Tensor, masked: Tensor, visible_weight: float = 0.0
) -> Tensor:
    """Mean squared error over masked patches, and with a weight over visible ones (He et al., 2022,
    take masked ones alone).

    Parameters
    ----------
    reconstruction, target
        ``(batch, leads, patches, samples of a patch)``.
    masked
        bool ``(batch, patches)`` or, where each lead has its own, ``(batch, leads, patches)``:
        True where the encoder did not see the patch.
    visible_weight
        Weight of a visible patch beside a masked one's 1. Decoders that are later to be fed with
        whole latents have to learn what to do with a patch that was seen.

    Returns
    -------
    Tensor
        float32 ``(batch, leads)``: weighted mean over patches; 0 where no patch counts.
    """
    error = (reconstruction.float() - target.float()).square().mean(-1)
    weight = masked.float() + visible_weight * (~masked).float()
    if weight.dim() == 2:
        weight = weight[:, None]
    return (error * weight).sum(-1) / weight.sum(-1).clamp_min(1e-12)


def normalised_patches(patches: Tensor) -> Tensor:
    """Bring each patch to mean 0 and deviation 1, as the target of a masked autoencoder (He et al.,
    2022, section 4.2; the variance here is the unbiased one).

    Parameters
    ----------
    patches
        ``(..., samples of a patch)``, at least two samples.

    Returns
    -------
    Tensor
        float32, of the same shape; a constant patch becomes zeros.
    """
    patches = patches.float()
    variance = patches.var(-1, keepdim=True)
    return (patches - patches.mean(-1, keepdim=True)) / (variance + 1e-6).sqrt()
