"""What CycleGAN's training computes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from selfmis_plugin.methods.lead_synthesis.adversary import discriminator_loss, generator_loss
from selfmis_plugin.methods.lead_synthesis.discriminators import PatchDiscriminator
from selfmis_plugin.methods.lead_synthesis.step import (
    ADVERSARIAL,
    CYCLE,
    DISCRIMINATOR,
    IDENTITY,
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

__all__ = ["NORM", "CycleGanTraining"]

#: Of its generators.
NORM = "instance"


class CycleGanTraining(GeneratorTraining):
    """A generator, one for the way back, and a discriminator of each side (Zhu et al., 2017).

    The way back makes one row of the given lead, the mean of those that its network makes: twelve
    rows that may differ could hide the other leads, and bring them home again. No loss compares
    what is made with the record's own leads.

    Parameters
    ----------
    shape
        Shape of both generators.
    discriminator_widths
        Channels of the discriminators' four layers.
    double_sigmoid
        See :func:`~selfmis_plugin.methods.lead_synthesis.adversary.generator_loss`.
    """

    weights = {CYCLE: 10.0, IDENTITY: 2.5, ADVERSARIAL: 1.0, DISCRIMINATOR: 1.0}

    def __init__(
        self, shape: LeadUNetShape, discriminator_widths: Sequence[int], double_sigmoid: bool
    ) -> None:
        super().__init__()
        self.generator = LeadUNet(shape)
        self.way_back = LeadUNet(shape)
        momentum = shape.norm_momentum
        self.of_leads = PatchDiscriminator(1, discriminator_widths, momentum)
        self.of_given = PatchDiscriminator(1, discriminator_widths, momentum)
        self.double_sigmoid = double_sigmoid

    def back(self, image: Tensor) -> Tensor:
        """Make the given lead of an image of leads, and copy it into every row."""
        return as_image(copied(of_leads(self.way_back.image(image)).mean(1)))

    def forward(self, real: Tensor, lead: Tensor) -> Step:
        """Return the losses of both directions; see the class."""
        given, whole = as_image(copied(given_of(real, lead))), as_image(real)
        made, made_given = self.generator.image(given), self.back(whole)
        there, back = self.generator.image(made_given), self.back(made)
        same, same_given = self.generator.image(whole), self.back(given)
        double = self.double_sigmoid
        losses = {
            # In both generators' losses, and once in the sum: each has its own gradient of it.
            CYCLE: each((back - given).abs()) + each((there - whole).abs()),
            IDENTITY: each((same - whole).abs()) + each((same_given - given).abs()),
            ADVERSARIAL: generator_loss(self.of_leads, made, double)
            + generator_loss(self.of_given, made_given, double),
            DISCRIMINATOR: 0.5 * discriminator_loss(self.of_leads, whole, made, double)
            + 0.5 * discriminator_loss(self.of_given, given, made_given, double),
        }
        return Step(of_leads(made), losses)
