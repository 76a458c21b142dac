"""Networks that tell real leads from made ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selfmis_plugin.methods.lead_synthesis.same_padding import Same2d, SameTransposed2d
from selfmis_plugin.methods.lead_synthesis.unet import SLOPE, drawn_narrow, new_norm

__all__ = ["PatchDiscriminator", "SampleDiscriminator"]


class PatchDiscriminator(nn.Module):
    """A PatchGAN over images of leads: a logit for each of many overlapping patches.

    1,383,169 values for two channels at the published widths, and 1,382,657 for one.

    Parameters
    ----------
    channels
        Images that are judged together: the made one, and beside it what it was made of.
    widths
        Channels of its four layers.
    momentum
        As of :class:`~selfmis_plugin.methods.lead_synthesis.unet.LeadUNetShape`.
    """

    def __init__(self, channels: int, widths: Sequence[int], momentum: float) -> None:
        super().__init__()
        strides = [2, 2, 2, 1]
        self.layers = nn.ModuleList(
            Same2d(before, after, (2, 4), stride, bias=False)
            for before, after, stride in zip((channels, *widths[:-1]), widths, strides, strict=True)
        )
        self.norms = nn.ModuleList(new_norm(width, "batch", momentum) for width in widths[1:])
        self.last = nn.Conv2d(widths[-1], 1, (2, 4))
        drawn_narrow(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(batch, 1, rows, samples)``, float32, of images ``(batch, channels, 16,
        samples)``."""
        hidden = images.to(self.last.weight.dtype)
        last = len(self.layers) - 1
        for depth, layer in enumerate(self.layers):
            if depth == last:
                hidden = F.pad(hidden, (1, 1, 1, 1))
            hidden = layer(hidden)
            if depth:
                hidden = self.norms[depth - 1](hidden)
            hidden = F.leaky_relu(hidden, SLOPE)
        logits: Tensor = self.last(F.pad(hidden, (1, 1, 1, 1)))
        return logits.float()


class SampleDiscriminator(nn.Module):
    """EKGAN's discriminator: a U-Net over each row by itself, with a logit for every sample.

    2,435,904 values at the published widths.

    Parameters
    ----------
    channels
        As of :class:`PatchDiscriminator`.
    widths
        Channels of its five depths.
    momentum
        As there.
    """

    def __init__(self, channels: int, widths: Sequence[int], momentum: float) -> None:
        super().__init__()
        kernels, strides = (64, 32, 16, 8, 4), (4, 4, 4, 2, 2)
        sizes = list(zip(kernels, strides, strict=True))
        self.down = nn.ModuleList(
            Same2d(before, after, (1, kernel), (1, stride), bias=False)
            for before, after, (kernel, stride) in zip(
                (channels, *widths[:-1]), widths, sizes, strict=True
            )
        )
        self.down_norms = nn.ModuleList(new_norm(width, "batch", momentum) for width in widths[1:])
        outputs = (*widths[-2::-1], 1)
        inputs = (widths[-1], *(2 * width for width in outputs[:-1]))
        self.up = nn.ModuleList(
            SameTransposed2d(before, after, (1, kernel), (1, stride), bias=False)
            for before, after, (kernel, stride) in zip(
                inputs, outputs, reversed(sizes), strict=True
            )
        )
        self.up_norms = nn.ModuleList(new_norm(width, "batch", momentum) for width in outputs[:-1])
        drawn_narrow(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(batch, 1, 16, samples)``, float32, of images ``(batch, channels, 16,
        samples)``."""
        hidden = F.leaky_relu(self.down[0](images.to(next(self.parameters()).dtype)), SLOPE)
        beside = []
        for layer, norm in zip(self.down[1:], self.down_norms, strict=True):
            beside.append(hidden)
            hidden = F.leaky_relu(norm(layer(hidden)), SLOPE)
        for layer, norm in zip(self.up, self.up_norms, strict=False):
            hidden = torch.relu(norm(layer(hidden)))
            hidden = torch.cat((hidden, beside.pop().to(hidden.dtype)), dim=1)
        logits: Tensor = self.up[-1](hidden)
        return logits.float()
