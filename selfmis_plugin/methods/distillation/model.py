"""The student: a classifier that may show its embedding beside its logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from selfmis_plugin import toolkit
from selfmis_plugin.probe.model import SelfMISClassifier, SelfMISClassifierConfig


@dataclass
class DistillationModelConfig(SelfMISClassifierConfig):
    """Keys of ``model: {_name: distillation}``."""


@toolkit.register_model("distillation", dataclass=DistillationModelConfig)
class DistilledClassifier(SelfMISClassifier):
    """Encoder and linear head, which learn from a teacher."""

    def forward(  # type: ignore[override]
        self, signal: torch.Tensor, with_embedding: bool = False
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Return logits (batch, labels) and, if asked, embeddings (batch, embedding).

        Parameters
        ----------
        signal
            Microvolts, shape (batch, leads, samples).
        with_embedding
            Whether to return embeddings too.
        """
        if not with_embedding:
            logits: torch.Tensor = super().forward(signal)
            return logits
        embedding = self.network.embed(signal)
        return super().forward(embedding=embedding), embedding

    @property
    def embedding_dim(self) -> int:
        """Size of an embedding."""
        size: int = self.network.encoder.embedding_dim
        return size
