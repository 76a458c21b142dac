"""What the task of labels needs of the model that it trains."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from selfmis_plugin.nn.classifier import EncoderClassifier

__all__ = ["ClassifierModel"]


class ClassifierModel(Protocol):
    """A classifier whose encoder may rest, or learn at a rate of its own."""

    network: EncoderClassifier
    #: Whether the head's biases are to be set from how common the labels are.
    head_is_fresh: bool

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that have the encoder's learning rate."""

    def encoder_scale(self, updates: int) -> float:
        """Return the factor of the encoder's learning rate after *updates*."""

    def begin_update(self, updates: int) -> None:
        """Learn that an update begins, after so many others."""
