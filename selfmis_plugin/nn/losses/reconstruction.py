"""How far a masked autoencoder's patches are from the signal's."""

from __future__ import annotations

from torch import Tensor

__all__ = ["reconstruction_loss"]


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
        bool ``(batch, patches)``, True where the encoder did not see the patch.
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
    total = (error * weight[:, None]).sum(-1)
    return total / weight.sum(-1).clamp_min(1e-12)[:, None]
