"""What EKGAN's training computes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from selfmis_plugin.methods.lead_synthesis.adversary import discriminator_loss, generator_loss
from selfmis_plugin.methods.lead_synthesis.discriminators import SampleDiscriminator
from selfmis_plugin.methods.lead_synthesis.step import (
    ADVERSARIAL,
    CODE,
    DISCRIMINATOR,
    LABEL,
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

__all__ = ["NORM", "EkganTraining"]

#: Of its generators.
NORM = "batch"


class EkganTraining(GeneratorTraining):
    """A generator, a label generator and a discriminator of every sample (Joo et al., 2023).

    The label generator makes its own input again; its code is what the generator's code is drawn
    to. Errors are means over all 16 rows of an image, those of zeros too, as published: 4/3 of them
    is the mean over the leads.

    Parameters
    ----------
    shape
        Shape of the generator; the label generator is the same without skips.
    discriminator_widths
        Channels of the discriminator's five depths.
    """

    weights = {SIGNAL: 50.0, ADVERSARIAL: 1.0, CODE: 1.0, LABEL: 1.0, DISCRIMINATOR: 1.0}

    def __init__(self, shape: LeadUNetShape, discriminator_widths: Sequence[int]) -> None:
        super().__init__()
        if shape.window % 256:
            raise ValueError(f"ekgan: window={shape.window} must be a multiple of 256")
        self.generator = LeadUNet(shape)
        self.label_generator = LeadUNet(shape, skips=False)
        self.discriminator = SampleDiscriminator(2, discriminator_widths, shape.norm_momentum)

    def forward(self, real: Tensor, lead: Tensor) -> Step:
        """Return the losses of generators and discriminator; see the class."""
        given, whole = as_image(copied(given_of(real, lead))), as_image(real)
        made, code = self.generator.with_code(given)
        label, label_code = self.label_generator.with_code(given)
        pair, made_pair = (torch.cat((given, image), dim=1) for image in (whole, made))
        losses = {
            SIGNAL: each((made - whole).abs()),
            ADVERSARIAL: generator_loss(self.discriminator, made_pair),
            CODE: each((code - label_code.detach()).abs()),
            LABEL: each((label - given).abs()),
            DISCRIMINATOR: discriminator_loss(self.discriminator, pair, made_pair),
        }
        return Step(of_leads(made), losses)
