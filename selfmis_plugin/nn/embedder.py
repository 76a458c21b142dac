"""An encoder with what prepares its input: from raw signals to embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from selfmis_plugin.nn.encoder import build_encoder, build_input

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

    @classmethod
    def build(
        cls, config: Any, leads: Sequence[str], store_rate: float, sample_rate: float
    ) -> Embedder:
        """Return a new one of the shape *config* that reads *leads*; rates are in hertz."""
        prepare = build_input(config, leads, store_rate, sample_rate)
        return cls(prepare, build_encoder(config, len(leads)))

    def forward(self, signal: Tensor) -> Tensor:
        """Embed raw microvolts ``(batch, leads, samples)``."""
        prepared = self.input(signal)
        embedding: Tensor = self.encoder(prepared.to(next(self.encoder.parameters()).dtype))
        return embedding
