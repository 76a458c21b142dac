"""A linear head over an encoder: linear probing, fine-tuning, or training from scratch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

import torch

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import Tower
from selfmis_plugin.host_classifier import (
    build_host_classifier,
    describe_host_encoder,
    load_host_encoder,
)
from selfmis_plugin.models.encoder_config import EncoderConfig, configure, load_tower
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.net1d import Net1DConfig


@dataclass
class SelfMISClassifierConfig(EncoderConfig):
    """Keys of ``model: {_name: selfmis_classifier}``."""

    encoder_checkpoint: Optional[str] = field(  # noqa: UP045  (read by omegaconf)
        default=None,
        metadata={
            "help": "weights of the encoder: of pre-training, also the host's own, of a classifier "
            "or ECGFounder"
        },
    )
    freeze_encoder: bool = field(
        default=False, metadata={"help": "train only the head: linear probing"}
    )
    standardize_embeddings: bool = field(
        default=False,
        metadata={"help": "bring embeddings to mean 0, deviation 1 before the head"},
    )


@toolkit.register_model("selfmis_classifier", dataclass=SelfMISClassifierConfig)
class SelfMISClassifier(toolkit.BaseModel):  # type: ignore[misc, name-defined]
    """Encoder and linear head (SelfMIS paper, section 3.2).

    Parameters
    ----------
    network
        The encoder, its input and its head.
    host_encoder
        What describes an encoder of the host's own, in plain values.
    """

    def __init__(
        self, network: EncoderClassifier, host_encoder: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.host_encoder = host_encoder

    @classmethod
    def build_model(cls, cfg: SelfMISClassifierConfig, task: Any) -> SelfMISClassifier:
        """Build the classifier for a task's leads and labels; load the encoder if *cfg* names one.

        The keys of the encoder's size do not matter to one of the host's own, which its checkpoint
        describes.

        Raises
        ------
        CheckpointError
            If the checkpoint does not fit the config or the data.
        """
        leads = task.preprocessing.leads
        checkpoint = cfg.encoder_checkpoint
        rate = task.preprocessing.sample_rate
        host_encoder = describe_host_encoder(checkpoint, rate) if checkpoint else None
        if checkpoint and host_encoder is not None:
            network = build_host_classifier(
                host_encoder,
                len(task.labels),
                leads,
                task.store.info.sample_rate,
                rate,
                cfg.freeze_encoder,
                cfg.standardize_embeddings,
            )
            load_host_encoder(network.encoder, checkpoint)
            configure(network.encoder, cfg, frozen=cfg.freeze_encoder)
            return cls(network, host_encoder)
        config = Net1DConfig.from_mapping(cfg, len(leads))
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
            tower: Tower = "single" if len(leads) == 1 else "multi"
            load_tower(network.encoder, cfg.encoder_checkpoint, config, tower, task.preprocessing)
        configure(network.encoder, cfg, frozen=cfg.freeze_encoder)
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
