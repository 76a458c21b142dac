"""The generator that EKGAN, Pix2Pix and CycleGAN share: a U-Net over an image of leads and samples.

An image has 16 rows: the twelve standard leads in their order, and two rows of zeros above and
below. Kernels of two rows pair neighbours: (I, II), (III, aVR), ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.lead_synthesis.generator import build_generator
from selfmis_plugin.methods.lead_synthesis.same_padding import Same2d, SameTransposed2d
from selfmis_plugin.nn.encoder import register_shape
from selfmis_plugin.utils.fields import number, whole

__all__ = [
    "NORMS",
    "SLOPE",
    "LeadUNet",
    "LeadUNetShape",
    "as_image",
    "copied",
    "drawn_narrow",
    "new_norm",
    "of_leads",
]

NORMS = ("batch", "instance")
#: Of the leaky rectifiers, as Keras has it where nobody says otherwise.
SLOPE = 0.3
_LEADS, _MARGIN = len(STANDARD_LEADS), 2
_KERNEL = (2, 4)
_LARGEST = 2**20


@register_shape("lead_unet")
@dataclass(frozen=True)
class LeadUNetShape:
    """Shape of the U-Net.

    Attributes
    ----------
    widths
        Channels of each depth; each halves the samples, and all but the last the rows, of which
        there are 16.
    window
        Samples that it reads at once.
    norm
        ``batch`` (EKGAN, Pix2Pix) or ``instance`` (CycleGAN); neither at the output, so that
        amplitudes survive.
    norm_momentum
        Weight of a new batch in the statistics that batch norms keep.

    Raises
    ------
    ValueError
        If a value makes no network; the message names it.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    window: int = 1024
    norm: str = "batch"
    norm_momentum: float = 0.01

    def __post_init__(self) -> None:
        widths = tuple(
            whole(f"lead_unet: widths[{k}]", width, least=1, most=_LARGEST)
            for k, width in enumerate(self.widths)
        )
        if len(widths) != 5:
            raise ValueError(f"lead_unet: widths must be five, not {list(widths)}")
        object.__setattr__(self, "widths", widths)
        window = whole("lead_unet: window", self.window, least=1, most=_LARGEST)
        object.__setattr__(self, "window", window)
        if self.window % 32:
            raise ValueError(f"lead_unet: window={self.window} must be a multiple of 32")
        if self.norm not in NORMS:
            raise ValueError(f"lead_unet: norm={self.norm}: choose one of {', '.join(NORMS)}")
        number("lead_unet: norm_momentum", self.norm_momentum, above=0, most=1)

    @classmethod
    def from_mapping(cls, values: Mapping[Any, Any], norm: str) -> LeadUNetShape:
        """Return the shape that a model's config describes, with the method's norm.

        Raises
        ------
        KeyError
            If a field is missing.
        """
        return cls(tuple(values["widths"]), values["window"], norm, values["norm_momentum"])


def as_image(leads: Tensor) -> Tensor:
    """Return leads, ``(batch, 12, samples)``, as images, ``(batch, 1, 16, samples)``."""
    return F.pad(leads, (0, 0, _MARGIN, _MARGIN)).unsqueeze(1)


def of_leads(image: Tensor) -> Tensor:
    """Return the leads of images."""
    return image[:, 0, _MARGIN : _MARGIN + _LEADS]


class _InstanceNorm2d(nn.InstanceNorm2d):
    def forward(self, image: Tensor) -> Tensor:
        # Under autocast the weights stay float32, and so must what they scale.
        return super().forward(image.to(self.weight.dtype))


class _BatchNorm2d(nn.BatchNorm2d):
    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image.to(self.weight.dtype))


def new_norm(channels: int, norm: str, momentum: float) -> nn.Module:
    """Return a norm over channels of images."""
    if norm == "instance":
        return _InstanceNorm2d(channels, eps=1e-5, affine=True)
    return _BatchNorm2d(channels, eps=1e-3, momentum=momentum)


def drawn_narrow(module: nn.Module) -> None:
    """Draw the weights of convolutions anew, with deviation 0.02; biases begin at zero."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0, 0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class LeadUNet(nn.Module):
    """A U-Net from twelve rows of leads to twelve (Joo et al., 2023).

    12,524,672 values at the published widths; 11,147,904 without skips, which is EKGAN's label
    generator.

    Parameters
    ----------
    shape
        Its shape.
    skips
        Whether the way up sees the way down.
    """

    def __init__(self, shape: LeadUNetShape, skips: bool = True) -> None:
        super().__init__()
        self.shape, self.skips = shape, skips
        widths = shape.widths
        strides = [(2, 2)] * (len(widths) - 1) + [(1, 2)]
        self.down = nn.ModuleList(
            Same2d(before, after, _KERNEL, stride, bias=False)
            for before, after, stride in zip((1, *widths[:-1]), widths, strides, strict=True)
        )
        norm, momentum = shape.norm, shape.norm_momentum
        self.down_norms = nn.ModuleList(new_norm(width, norm, momentum) for width in widths[1:])
        outputs = (*widths[-2::-1], 1)
        inputs = [widths[-1], *((2 if skips else 1) * width for width in outputs[:-1])]
        self.up = nn.ModuleList(
            SameTransposed2d(before, after, _KERNEL, stride, bias=False)
            for before, after, stride in zip(inputs, outputs, reversed(strides), strict=True)
        )
        self.up_norms = nn.ModuleList(new_norm(width, norm, momentum) for width in outputs[:-1])
        drawn_narrow(self)

    def with_code(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the image that is made of an image, float32, and the narrowest layer's values."""
        hidden = F.leaky_relu(self.down[0](image.to(next(self.parameters()).dtype)), SLOPE)
        beside = []
        for layer, norm in zip(self.down[1:], self.down_norms, strict=True):
            beside.append(hidden)
            hidden = F.leaky_relu(norm(layer(hidden)), SLOPE)
        code = hidden
        for layer, norm in zip(self.up, self.up_norms, strict=False):
            hidden = torch.relu(norm(layer(hidden)))
            if self.skips:
                other = beside.pop()
                hidden = torch.cat((hidden, other.to(hidden.dtype)), dim=1)
        return self.up[-1](hidden).float(), code.float()

    def image(self, image: Tensor) -> Tensor:
        """Return the image that is made of an image, float32."""
        return self.with_code(image)[0]

    def forward(self, given: Tensor, lead: Tensor) -> Tensor:
        """Make all leads of one, whichever it is, which all rows are given; as ``build_generator``
        says."""
        return of_leads(self.image(as_image(copied(given))))


def copied(given: Tensor) -> Tensor:
    """Return one lead, ``(batch, samples)``, in all rows of twelve leads."""
    return given[:, None].expand(-1, _LEADS, -1)


@build_generator.register
def _(shape: LeadUNetShape) -> nn.Module:
    return LeadUNet(shape)
