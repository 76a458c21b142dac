"""A linear head over HeartLang's encoder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import CheckpointError, load_encoder_weights
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.heartlang.keys import HeartLangShapeConfig
from selfmis_plugin.methods.heartlang.network import HeartLangEncoder
from selfmis_plugin.methods.heartlang.shape import HeartLangConfig
from selfmis_plugin.probe.model import ClassifierConfig, SelfMISClassifier
from selfmis_plugin.training.contract import LabelTask
from selfmis_plugin.training.encoder_config import load_encoder_of_leads
from selfmis_plugin.training.precision import own_precision

logger = logging.getLogger(__name__)


@dataclass
class HeartLangClassifierConfig(ClassifierConfig, HeartLangShapeConfig):
    """Keys of ``model: {_name: heartlang_classifier}``.

    The size is that of the checkpoint where one is given; the keys are for training from scratch.
    """

    dropout_in_probe: bool = field(
        default=False,
        metadata={
            "help": "leave dropout on in a frozen encoder while its head is trained, as the "
            "authors do; right is false: what is frozen then says the same of a record each time"
        },
    )


@toolkit.register_model("heartlang_classifier", dataclass=HeartLangClassifierConfig)
class HeartLangClassifier(SelfMISClassifier):
    """Encoder of sentences and linear head, over any leads."""

    dropout_in_probe = False

    @staticmethod
    def encoder_shape(cfg: Any, leads: Sequence[str]) -> HeartLangConfig:
        """Return the checkpoint's shape, or what the config describes.

        Raises
        ------
        CheckpointError
            If the checkpoint is another method's.
        """
        start = cfg.encoder_checkpoint or cfg.classifier_checkpoint
        if not start:
            return HeartLangConfig.from_mapping(cfg)
        found = load_encoder_weights(start, None, leads=leads).config
        if not isinstance(found, HeartLangConfig):
            raise CheckpointError(
                f"{start} holds another encoder than HeartLang's: give a checkpoint of heartlang, "
                "or choose model._name=selfmis_classifier"
            )
        return found

    @staticmethod
    def load_encoder(encoder: Any, path: str, shape: Any, preprocessing: Preprocessing) -> None:
        """Fill the encoder with the weights of a checkpoint; refuse one that does not fit."""
        load_encoder_of_leads(encoder, path, shape, preprocessing)

    @staticmethod
    def configure_encoder(encoder: HeartLangEncoder, cfg: Any) -> None:
        """Make the encoder compute in ``model.precision``."""
        encoder.precision = own_precision(cfg.precision)

    @classmethod
    def build_model(cls, cfg: Any, task: LabelTask) -> SelfMISClassifier:
        """Build the classifier.

        Raises
        ------
        ValueError
            If embeddings are to be kept that dropout changes each time.
        """
        if cfg.dropout_in_probe and task.cfg.cache_frozen_embeddings:
            raise ValueError(
                "model.dropout_in_probe=true gives a record another embedding each time, which "
                "cannot be kept: task.cache_frozen_embeddings=false"
            )
        model = super().build_model(cfg, task)
        model.dropout_in_probe = cfg.dropout_in_probe
        return model

    def train(self, mode: bool = True) -> HeartLangClassifier:
        """Switch the mode; a frozen encoder stays in evaluation, but for its dropout if asked."""
        super().train(mode)
        if self.dropout_in_probe and mode:
            self.network.encoder.train()
        return self
