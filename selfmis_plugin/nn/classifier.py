"""An encoder with a linear head over labels: linear probing and fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from selfmis_plugin.data.leads import lead_rows
from selfmis_plugin.nn.encoder import build_encoder, build_input

__all__ = ["EncoderClassifier"]


class EncoderClassifier(nn.Module):
    """An encoder and one linear layer, from raw signals to logits (paper, section 3.2).

    Parameters
    ----------
    config
        Shape of the encoder (:func:`~selfmis_plugin.nn.encoder.build_encoder`), such as a
        :class:`~selfmis_plugin.nn.net1d.Net1DConfig`; it is made for the ``input_leads``.
    labels
        Number of labels.
    leads
        Leads of the raw signals, in their order.
    input_leads
        Leads that the encoder reads, in the order that it reads them.
    store_rate
        Sample rate of the raw signals, in hertz.
    sample_rate
        Sample rate that the encoder reads, in hertz.
    freeze_encoder
        Linear probing: the encoder's parameters need no gradient, it stays in evaluation mode and
        runs without autograd; only the head is trained.
    standardize
        Bring each value of the embedding to mean 0 and deviation 1 over the training records
        before the head, by :meth:`set_embedding_statistics`. The classifier stays linear; a head
        that is trained for a few epochs no longer favours encoders of large embeddings.

    Attributes
    ----------
    encoder_rests
        Head warm-up: while it is true the encoder runs without autograd, though its parameters
        are to be trained later.

    Raises
    ------
    ValueError
        If there is no label, an input lead is not among ``leads``, or the rates do not fit.

    Examples
    --------
    >>> import torch
    >>> from selfmis_plugin.nn.net1d import Net1DConfig
    >>> config = Net1DConfig(base_filters=8, filters=(8, 16), blocks=(1, 1), group_width=8)
    >>> model = EncoderClassifier(config, labels=9, leads=["I", "II"], input_leads=["I"])
    >>> model(torch.zeros(4, 2, 5000, dtype=torch.int16)).shape
    torch.Size([4, 9])
    """

    embedding_mean: Tensor
    embedding_deviation: Tensor
    embedding_known: Tensor

    def __init__(
        self,
        config: Any,
        labels: int,
        leads: Sequence[str],
        input_leads: Sequence[str] = ("I",),
        store_rate: float = 500,
        sample_rate: float = 500,
        freeze_encoder: bool = False,
        standardize: bool = False,
    ) -> None:
        super().__init__()
        if labels < 1:
            raise ValueError("a classifier needs at least one label")
        self.rows = lead_rows(leads, input_leads)
        self.leads = tuple(leads)
        self.input_leads = tuple(input_leads)
        self.freeze_encoder = freeze_encoder
        self.encoder_rests = False
        self.input = build_input(config, self.input_leads, store_rate, sample_rate)
        self.encoder = build_encoder(config, len(self.input_leads))
        self.head = nn.Linear(self.encoder.embedding_dim, labels)
        self.standardize = standardize
        if standardize:
            self.register_buffer("embedding_mean", torch.zeros(self.encoder.embedding_dim))
            self.register_buffer("embedding_deviation", torch.ones(self.encoder.embedding_dim))
            self.register_buffer("embedding_known", torch.zeros(1, dtype=torch.bool))
        if freeze_encoder:
            self.encoder.requires_grad_(False).eval()

    def needs_embedding_statistics(self) -> bool:
        """Whether :meth:`set_embedding_statistics` must be called before training."""
        return self.standardize and not bool(self.embedding_known)

    @torch.no_grad()
    def set_embedding_statistics(self, embeddings: Tensor) -> None:
        """Take mean and deviation from embeddings of training records, ``(records, dim)``.

        Raises
        ------
        ValueError
            If they are not finite.
        """
        if not torch.isfinite(embeddings).all():
            raise ValueError("embeddings of training records hold NaN or Inf: check the encoder")
        self.embedding_mean.copy_(embeddings.mean(0))
        # A value that never changes tells nothing; dividing by its rounding would make it noise.
        deviation = embeddings.std(0, correction=0)
        self.embedding_deviation.copy_(
            torch.where(deviation > 1e-5 * embeddings.abs().amax(0).clamp_min(1e-8), deviation, 1)
        )
        # A host may have cast the buffer to half precision, in which a small one becomes zero.
        self.embedding_deviation[self.embedding_deviation == 0] = 1
        self.embedding_known.fill_(True)

    def train(self, mode: bool = True) -> EncoderClassifier:
        """Switch to training, or back; a frozen encoder stays as it judges."""
        super().train(mode)
        if self.freeze_encoder:
            self.encoder.eval()
        return self

    def embed(self, signal: Tensor) -> Tensor:
        """Embeddings ``(batch, embedding_dim)`` of raw signals ``(batch, leads, samples)``."""
        if signal.dim() != 3 or signal.shape[1] != len(self.leads):
            raise ValueError(
                f"signals of shape {tuple(signal.shape)} do not have the {len(self.leads)} leads "
                f"({', '.join(self.leads)}) that the classifier was built for"
            )
        rests = self.freeze_encoder or self.encoder_rests
        with torch.set_grad_enabled(torch.is_grad_enabled() and not rests):
            # All leads in their order need no copy.
            chosen = signal if self.input_leads == self.leads else signal[:, self.rows]
            prepared = self.input(chosen)
            embedding: Tensor = self.encoder(prepared.to(next(self.encoder.parameters()).dtype))
            return embedding

    def forward(self, signal: Tensor) -> Tensor:
        """Logits ``(batch, labels)`` of raw signals ``(batch, leads, samples)`` in microvolts."""
        return self.classify(self.embed(signal))

    def classify(self, embedding: Tensor) -> Tensor:
        """Logits ``(batch, labels)`` of what :meth:`embed` gave, ``(batch, embedding_dim)``."""
        if self.standardize:
            centred = embedding.float() - self.embedding_mean.float()
            embedding = centred / self.embedding_deviation.float()
        logits: Tensor = self.head(embedding.to(self.head.weight.dtype))
        return logits
