"""An encoder with what prepares its input: from raw signals to embeddings."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

__all__ = ["Embedder"]


class Embedder(nn.Module):
    """From raw signals of a store to embeddings.

    Parameters
    ----------
    prepare
        From raw microvolts ``(batch, leads, samples)`` to what the encoder reads.
    encoder
        From that to ``(batch, embedding_dim)``.
    """

    def __init__(self, prepare: nn.Module, encoder: Any) -> None:
        super().__init__()
        self.input = prepare
        self.encoder = encoder

    def forward(self, signal: Tensor) -> Tensor:
        """Embed raw microvolts ``(batch, leads, samples)``."""
        prepared = self.input(signal)
        embedding: Tensor = self.encoder(prepared.to(next(self.encoder.parameters()).dtype))
        return embedding
