"""What a step of any generator's training computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

__all__ = ["GeneratorTraining", "Step"]

#: Names of losses: the signal's error, what the discriminator says of what was made, the code's
#: distance, what of a round trip is lost, what is changed that was right, and those of the networks
#: beside the generator.
SIGNAL, ADVERSARIAL, CODE, CYCLE, IDENTITY = "signal", "adversarial", "code", "cycle", "identity"
LABEL, DISCRIMINATOR = "label", "discriminator"


@dataclass(frozen=True)
class Step:
    """What was made of windows, and how far it is from what it should be.

    Attributes
    ----------
    made
        Millivolts, float32 (windows, 12, samples).
    losses
        By name, float32 (windows,) each. They are never negative.
    """

    made: Tensor
    losses: Mapping[str, Tensor]


class GeneratorTraining(nn.Module):
    """A generator with all that its training needs beside it.

    Attributes
    ----------
    generator
        The network of a shape
        (:func:`~selfmis_plugin.methods.lead_synthesis.generator.build_generator`).
    shape
        That shape.
    weights
        What each loss weighs in the sum, by its name.
    """

    generator: Any
    weights: Mapping[str, float]

    @property
    def shape(self) -> Any:
        """Shape of the generator."""
        return self.generator.shape

    def forward(self, real: Tensor, lead: Tensor) -> Step:
        """Make windows and judge them.

        Parameters
        ----------
        real
            Millivolts of the standard leads, (windows, 12, samples).
        lead
            Which of them is given, int64 (windows,).
        """
        raise NotImplementedError


def given_of(real: Tensor, lead: Tensor) -> Tensor:
    """Return the given lead, (windows, samples), of all leads, (windows, 12, samples)."""
    where = lead[:, None, None].expand(-1, 1, real.shape[-1])
    return real.gather(1, where)[:, 0]


def each(values: Tensor) -> Tensor:
    """Return the mean of each row, (batch, ...) to (batch,)."""
    return values.flatten(1).mean(1)
