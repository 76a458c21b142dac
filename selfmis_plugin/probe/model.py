"""A linear head over an encoder: linear probing, fine-tuning, or training from scratch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Optional

import torch
import torch.distributed

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import Tower, load_encoder_weights
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.net1d import Net1DConfig
from selfmis_plugin.probe.start import start_from_classifier
from selfmis_plugin.training.contract import LabelTask
from selfmis_plugin.training.encoder_config import (
    EncoderConfig,
    configure,
    load_encoder_of_leads,
    load_tower,
)

logger = logging.getLogger(__name__)


@dataclass
class ClassifierConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Keys of a classifier, whatever its encoder."""

    encoder_checkpoint: Optional[str] = field(  # noqa: UP045  (read by omegaconf)
        default=None,
        metadata={
            "help": "weights of the encoder: of pre-training, also the host's own, of a classifier "
            "or ECGFounder"
        },
    )
    classifier_checkpoint: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={"help": "start encoder and head from a classifier, such as a linear probe"},
    )
    freeze_encoder: bool = field(
        default=False, metadata={"help": "train only the head: linear probing"}
    )
    freeze_encoder_updates: int = field(
        default=0, metadata={"help": "warm-up: updates that train only the head, at the start"}
    )
    encoder_lr_scale: float = field(
        default=1.0, metadata={"help": "the encoder's learning rate as a factor of the head's"}
    )
    bias_from_prevalence: bool = field(
        default=True,
        metadata={
            "help": "a new head begins at how common each statement is among the training records; "
            "false: at random, as in version 0.1"
        },
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
    freeze_encoder_updates
        Number of updates, from the run's first, that train only the head.
    encoder_lr_scale
        The encoder's learning rate as a factor of the head's.
    head_is_fresh
        Whether the head's biases are to be set from how common the labels are.
    """

    def __init__(
        self,
        network: EncoderClassifier,
        freeze_encoder_updates: int = 0,
        encoder_lr_scale: float = 1.0,
        head_is_fresh: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.freeze_encoder_updates = freeze_encoder_updates
        self.encoder_lr_scale = encoder_lr_scale
        self.head_is_fresh = head_is_fresh

    @staticmethod
    def encoder_shape(cfg: Any, leads: Sequence[str]) -> Any:
        """Return the shape of the encoder that *cfg* describes, for *leads*.

        A checkpoint of another encoder than a Net1D describes it itself.
        """
        start = cfg.encoder_checkpoint or cfg.classifier_checkpoint
        found = load_encoder_weights(start, None, leads=leads).config if start else None
        if found is None or isinstance(found, Net1DConfig):
            return Net1DConfig.from_mapping(cfg, len(leads))
        logger.warning(
            "%s: its encoder is no Net1D: it has the shape that the file says, and what the config "
            "says of a Net1D (%s) is not used",
            start,
            ", ".join(f"model.{key.name}" for key in fields(Net1DConfig) if key.name in cfg),
        )
        return found

    @staticmethod
    def load_encoder(encoder: Any, path: str, shape: Any, preprocessing: Preprocessing) -> None:
        """Fill the encoder with the weights of a checkpoint; refuse one that does not fit."""
        if isinstance(shape, Net1DConfig):
            tower: Tower = "single" if len(preprocessing.leads) == 1 else "multi"
            load_tower(encoder, path, shape, tower, preprocessing)
        else:
            load_encoder_of_leads(encoder, path, shape, preprocessing)

    @staticmethod
    def configure_encoder(encoder: Any, cfg: Any) -> None:
        """Make the encoder compute as *cfg* says."""
        configure(encoder, cfg, frozen=cfg.freeze_encoder)

    @classmethod
    def check_start(cls, cfg: Any) -> None:
        """Warn of a frozen encoder of random weights."""
        if cfg.freeze_encoder and not (cfg.encoder_checkpoint or cfg.classifier_checkpoint):
            logger.warning(
                "the frozen encoder has random weights: no model.encoder_checkpoint is given"
            )

    @classmethod
    def build_model(cls, cfg: Any, task: LabelTask) -> SelfMISClassifier:
        """Build the classifier for a task's leads and labels; load the encoder if *cfg* names one.

        Raises
        ------
        CheckpointError
            If the checkpoint does not fit the config or the data.
        ValueError
            If keys of the config exclude each other.
        """
        _check(cfg)
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
        if cfg.classifier_checkpoint:
            start_from_classifier(
                network, cfg.classifier_checkpoint, config, task.labels, task.preprocessing
            )
        cls.configure_encoder(network.encoder, cfg)
        fresh = cfg.bias_from_prevalence and not cfg.classifier_checkpoint
        return cls(network, cfg.freeze_encoder_updates, cfg.encoder_lr_scale, fresh)

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
        network = self.network
        logits: torch.Tensor = network(signal) if embedding is None else network.classify(embedding)
        if network.encoder_rests and self.training and torch.distributed.is_initialized():
            # DistributedDataParallel waits for a gradient of every parameter: zero is one.
            ends = [parameter.reshape(-1)[:1].sum() for parameter in self.encoder_parameters()]
            logits = logits + 0 * torch.stack(ends).sum().to(logits.dtype)
        return logits

    def head_weight(self) -> torch.Tensor:
        """Return the head's weights, (labels, embedding), which a ridge is about."""
        return self.network.head.weight

    def encoder_parameters(self) -> list[torch.nn.Parameter]:
        """Return the parameters that have the encoder's learning rate."""
        return list(self.network.encoder.parameters())

    def encoder_scale(self, updates: int) -> float:
        """Return the factor of the encoder's learning rate after *updates*: 0 in the warm-up."""
        if self.network.freeze_encoder:
            return 1.0  # its parameters are not the optimizer's
        return 0.0 if updates < self.freeze_encoder_updates else self.encoder_lr_scale

    def begin_update(self, updates: int) -> None:
        """Let the encoder rest in the head's warm-up, and only there."""
        self.network.encoder_rests = self.encoder_scale(updates) == 0

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


def _check(cfg: SelfMISClassifierConfig) -> None:
    if cfg.freeze_encoder_updates < 0 or not cfg.encoder_lr_scale > 0:
        raise ValueError(
            f"model.freeze_encoder_updates={cfg.freeze_encoder_updates} must be at least 0, and "
            f"model.encoder_lr_scale={cfg.encoder_lr_scale} above 0; model.freeze_encoder=true "
            "leaves the encoder as it is"
        )
    if cfg.freeze_encoder and (cfg.freeze_encoder_updates or cfg.encoder_lr_scale != 1):
        raise ValueError(
            "model.freeze_encoder=true freezes the encoder for the whole run: leave out "
            "model.freeze_encoder_updates and model.encoder_lr_scale, or set it to false"
        )
    if cfg.encoder_checkpoint and cfg.classifier_checkpoint:
        raise ValueError(
            "model.classifier_checkpoint brings an encoder with its head: leave out "
            "model.encoder_checkpoint"
        )
