"""What MCMA's training computes: the squared error of all leads."""

from __future__ import annotations

from torch import Tensor

from selfmis_plugin.methods.lead_synthesis.generator import build_generator
from selfmis_plugin.methods.lead_synthesis.mcma.network import McmaShape
from selfmis_plugin.methods.lead_synthesis.step import (
    SIGNAL,
    GeneratorTraining,
    Step,
    each,
    given_of,
)

__all__ = ["McmaTraining"]


class McmaTraining(GeneratorTraining):
    """Squared error in millivolts, of the given lead too (Chen et al., 2024).

    Parameters
    ----------
    shape
        Shape of the network.
    """

    weights = {SIGNAL: 1.0}

    def __init__(self, shape: McmaShape) -> None:
        super().__init__()
        self.generator = build_generator(shape)

    def forward(self, real: Tensor, lead: Tensor) -> Step:
        """Return the loss from leads that are drawn; see the class."""
        made = self.generator(given_of(real, lead), lead).float()
        return Step(made, {SIGNAL: each((made - real).square())})
