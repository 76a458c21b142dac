"""What every encoder is, and encoders from their shapes.

A classifier needs no more of its encoder than :class:`Encoder` says, so an architecture is added
by registering how its shape becomes a network::

    @build_encoder.register
    def _(config: MyConfig, in_leads: int) -> MyEncoder: ...
"""

from __future__ import annotations

import functools
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

__all__ = ["Encoder", "build_encoder"]


@runtime_checkable
class Encoder(Protocol):
    """A module from prepared signals ``(batch, leads, samples)`` to embeddings ``(batch, dim)``.

    Attributes
    ----------
    config
        Its shape, a frozen dataclass.
    precision
        Type that it computes in, as under autocast; None leaves it to the host.
    """

    config: Any
    precision: torch.dtype | None

    @property
    def embedding_dim(self) -> int:
        """Values of one embedding."""

    def __call__(self, prepared: Tensor) -> Tensor:
        """Embed prepared signals."""


@functools.singledispatch
def build_encoder(config: Any, in_leads: int) -> Any:
    """Return a new encoder of the shape *config* that reads *in_leads* leads.

    Raises
    ------
    TypeError
        If no encoder is registered for such a shape.
    """
    raise TypeError(f"{type(config).__name__} is the shape of no known encoder")
