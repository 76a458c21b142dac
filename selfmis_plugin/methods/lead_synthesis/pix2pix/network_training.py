"""What Pix2Pix's training computes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from selfmis_plugin.methods.lead_synthesis.adversary import discriminator_loss, generator_loss
from selfmis_plugin.methods.lead_synthesis.discriminators import PatchDiscriminator
from selfmis_plugin.methods.lead_synthesis.step import (
    ADVERSARIAL,
    DISCRIMINATOR,
    SIGNAL,
    GeneratorTraining,
    Step,
    each,
    given_of,
)
from selfmis_plugin.methods.lead_synthesis.unet import (
    LeadUNet,
    LeadUNetShape,
    as_image,
    copied,
    of_leads,
)

__all__ = ["NORM", "Pix2PixTraining"]

#: Of its generators.
NORM = "batch"


class Pix2PixTraining(GeneratorTraining):
    """A generator and a discriminator of patches that sees what they were made of (Isola et al.,
    2017).

    Parameters
    ----------
    shape
        Shape of the generator.
    discriminator_widths
        Channels of the discriminator's four layers.
    double_sigmoid
        See :func:`~selfmis_plugin.methods.lead_synthesis.adversary.generator_loss`.
    """

    weights = {SIGNAL: 100.0, ADVERSARIAL: 1.0, DISCRIMINATOR: 1.0}

    def __init__(
        self, shape: LeadUNetShape, discriminator_widths: Sequence[int], double_sigmoid: bool
    ) -> None:
        super().__init__()
        self.generator = LeadUNet(shape)
        self.discriminator = PatchDiscriminator(2, discriminator_widths, shape.norm_momentum)
        self.double_sigmoid = double_sigmoid

    def forward(self, real: Tensor, lead: Tensor) -> Step:
        """Return the losses of generator and discriminator; see the class."""
        given, whole = as_image(copied(given_of(real, lead))), as_image(real)
        made = self.generator.image(given)
        pair, made_pair = (torch.cat((given, image), dim=1) for image in (whole, made))
        double = self.double_sigmoid
        losses = {
            SIGNAL: each((made - whole).abs()),
            ADVERSARIAL: generator_loss(self.discriminator, made_pair, double),
            DISCRIMINATOR: discriminator_loss(self.discriminator, pair, made_pair, double),
        }
        return Step(of_leads(made), losses)
