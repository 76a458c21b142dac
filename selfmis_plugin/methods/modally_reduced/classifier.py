"""A linear head over the encoder of any lead that modally reduced pre-training has made."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.modally_reduced.lead_encoder import LeadEncoder
from selfmis_plugin.methods.modally_reduced.model import ModallyReducedShapeConfig
from selfmis_plugin.methods.modally_reduced.reader import lead_encoder_weights
from selfmis_plugin.methods.modally_reduced.shape import ENCODER_KEYS, ModallyReducedConfig
from selfmis_plugin.probe.model import ClassifierConfig, SelfMISClassifier
from selfmis_plugin.training.precision import own_precision

logger = logging.getLogger(__name__)


@dataclass
class ModallyReducedClassifierConfig(ClassifierConfig, ModallyReducedShapeConfig):
    """Keys of ``model: {_name: modally_reduced_classifier}``."""


@toolkit.register_model("modally_reduced_classifier", dataclass=ModallyReducedClassifierConfig)
class ModallyReducedClassifier(SelfMISClassifier):
    """Encoder of a lead and linear head; of several leads, their embeddings side by side."""

    @staticmethod
    def encoder_shape(cfg: Any, leads: Sequence[str]) -> ModallyReducedConfig:
        """Return the shape of the leads' encoders."""
        return ModallyReducedConfig.from_mapping(cfg, leads)

    @staticmethod
    def load_encoder(encoder: Any, path: str, shape: Any, preprocessing: Preprocessing) -> None:
        """Fill the encoder with the weights of its leads; refuse a checkpoint that does not fit."""
        weights = lead_encoder_weights(path, preprocessing.leads)
        config = weights.config
        asked = " ".join(
            f"model.{key}={getattr(config, key)}"
            for key in ENCODER_KEYS
            if getattr(config, key) != getattr(shape, key)
        )
        if asked:
            raise CheckpointError(f"{path} holds encoders of another size. Ask for it: {asked}")
        made = Preprocessing.from_dict(weights.preprocessing or {})
        difference = preprocessing.difference(made)
        if difference:
            raise CheckpointError(
                f"{path} was trained on data prepared in another way: {'; '.join(difference)}. "
                "Prepare the records as it needs, or train an encoder on these"
            )
        encoder.load_state_dict(weights.state_dict)
        logger.info("%s: encoder of lead %s loaded", path, ", ".join(preprocessing.leads))

    @staticmethod
    def configure_encoder(encoder: LeadEncoder, cfg: Any) -> None:
        """Make the encoder compute in ``model.precision``."""
        encoder.precision = own_precision(cfg.precision)
