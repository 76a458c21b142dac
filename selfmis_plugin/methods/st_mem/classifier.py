"""A linear head over ST-MEM's encoder: of the leads that are there alone, or of twelve leads most
of which are zero."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.weights import fill
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.st_mem.model import StMemShapeConfig, shape_keys
from selfmis_plugin.methods.st_mem.reader import PUBLISHED, encoder_for
from selfmis_plugin.methods.st_mem.shape import ENCODER_KEYS, StMemShape
from selfmis_plugin.probe.model import ClassifierConfig, SelfMISClassifier
from selfmis_plugin.training.encoder_config import refuse_other_preprocessing
from selfmis_plugin.training.precision import own_precision

logger = logging.getLogger(__name__)


@dataclass
class StMemClassifierConfig(ClassifierConfig, StMemShapeConfig):
    """Keys of ``model: {_name: st_mem_classifier}``."""

    zero_masked: bool = field(
        default=False,
        metadata={
            "help": "give the encoder all twelve leads, those that task.leads does not name as "
            "zeros; false: task.leads alone"
        },
    )


@toolkit.register_model("st_mem_classifier", dataclass=StMemClassifierConfig)
class StMemClassifier(SelfMISClassifier):
    """ST-MEM's encoder and a linear head."""

    @staticmethod
    def encoder_shape(cfg: Any, leads: Sequence[str]) -> StMemShape:
        """Return the shape of the encoder for *leads*."""
        if cfg.zero_masked:
            return StMemShape.from_mapping(cfg, STANDARD_LEADS, leads)
        return StMemShape.from_mapping(cfg, leads)

    @staticmethod
    def load_encoder(encoder: Any, path: str, shape: Any, preprocessing: Preprocessing) -> None:
        """Fill the encoder with the weights of its leads; refuse a checkpoint that does not fit."""
        weights = encoder_for(path, shape.leads, shape.given)
        asked = shape_keys(shape, weights.config, ENCODER_KEYS)
        if asked:
            raise CheckpointError(f"{path} holds an encoder of another size. Ask for it: {asked}")
        refuse_other_preprocessing(
            path, Preprocessing.from_dict(weights.preprocessing), preprocessing
        )
        fill(encoder, weights.state_dict, Path(path))
        if weights.kind == PUBLISHED:
            logger.warning("%s: these weights are for non-commercial use (CC BY-NC 4.0)", path)
        logger.info("%s: encoder of lead %s loaded", path, ", ".join(preprocessing.leads))

    @staticmethod
    def configure_encoder(encoder: Any, cfg: Any) -> None:
        """Make the encoder compute in ``model.precision``."""
        encoder.precision = own_precision(cfg.precision)
