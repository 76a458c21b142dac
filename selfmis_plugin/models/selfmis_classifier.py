"""A linear head over an encoder: linear probing, fine-tuning, or training from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

import torch

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import Tower
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.models.encoder_config import EncoderConfig, configure, load_tower
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.net1d import Net1DConfig


@dataclass
class ClassifierConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Keys of a classifier, whatever its encoder."""

    encoder_checkpoint: Optional[str] = field(  # noqa: UP045  (read by omegaconf)
        default=None,
        metadata={"help": "weights of the encoder: of pre-training, a classifier or ECGFounder"},
    )
    freeze_encoder: bool = field(
        default=False, metadata={"help": "train only the head: linear probing"}
    )
    standardize_embeddings: bool = field(
        default=False,
        metadata={"help": "bring embeddings to mean 0, deviation 1 before the head"},
    )


@dataclass
class SelfMISClassifierConfig(ClassifierConfig, EncoderConfig):
    """Keys of ``model: {_name: selfmis_classifier}``."""


@toolkit.register_model("selfmis_classifier", dataclass=SelfMISClassifierConfig)
class SelfMISClassifier(toolkit.BaseModel):  # type: ignore[misc, name-defined]
    """Encoder and linear head (SelfMIS paper, section 3.2).

    Another architecture is classified by a subclass that says what its encoder is:
    :meth:`encoder_shape`, :meth:`load_encoder` and :meth:`configure_encoder`.

    Parameters
    ----------
    network
        The encoder, its input and its head.
    """

    def __init__(self, network: EncoderClassifier) -> None:
        super().__init__()
        self.network = network

    @staticmethod
    def encoder_shape(cfg: Any, leads: Sequence[str]) -> Any:
        """Return the shape of the encoder that *cfg* describes, for *leads*."""
        return Net1DConfig.from_mapping(cfg, len(leads))

    @staticmethod
    def load_encoder(encoder: Any, path: str, shape: Any, preprocessing: Preprocessing) -> None:
        """Fill the encoder with the weights of a checkpoint; refuse one that does not fit."""
        tower: Tower = "single" if len(preprocessing.leads) == 1 else "multi"
        load_tower(encoder, path, shape, tower, preprocessing)

    @staticmethod
    def configure_encoder(encoder: Any, cfg: Any) -> None:
        """Make the encoder compute as *cfg* says."""
        configure(encoder, cfg, frozen=cfg.freeze_encoder)

    @classmethod
    def build_model(cls, cfg: Any, task: Any) -> SelfMISClassifier:
        """Build the classifier for a task's leads and labels; load the encoder if *cfg* names one.

        Raises
        ------
        CheckpointError
            If the checkpoint does not fit the config or the data.
        """
        leads = task.preprocessing.leads
        config = cls.encoder_shape(cfg, leads)
        network = EncoderClassifier(
            config,
            labels=len(task.labels),
            leads=leads,
            input_leads=leads,
            store_rate=task.store.info.sample_rate,
            sample_rate=task.preprocessing.sample_rate,
            freeze_encoder=cfg.freeze_encoder,
            standardize=cfg.standardize_embeddings,
        )
        if cfg.encoder_checkpoint:
            cls.load_encoder(network.encoder, cfg.encoder_checkpoint, config, task.preprocessing)
        cls.configure_encoder(network.encoder, cfg)
        return cls(network)

    def forward(
        self, signal: torch.Tensor | None = None, embedding: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return logits (batch, labels).

        Parameters
        ----------
        signal
            Microvolts, shape (batch, leads, samples).
        embedding
            What the encoder gave for these records, (batch, embedding), in place of the signal.
        """
        return self.network(signal) if embedding is None else self.network.classify(embedding)

    def embed_frozen(self, signal: torch.Tensor) -> torch.Tensor:
        """Embed records, (batch, embedding)."""
        return self.network.embed(signal)

    def frozen_encoder(self) -> torch.nn.Module | None:
        """Return the encoder behind :meth:`embed_frozen`; None if it is trained."""
        return self.network.encoder if self.network.freeze_encoder else None

    def frozen_leads(self) -> tuple[str, ...]:
        """Return the leads that the frozen encoder sees."""
        return self.network.input_leads

    def input_with_embeddings(self) -> tuple[str, tuple[str, ...]]:
        """Return what :meth:`forward` calls kept embeddings, and the leads it needs beside them."""
        return "embedding", ()

    def max_positions(self) -> None:
        """Records of any length can be classified."""
        return None
