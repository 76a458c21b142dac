"""A linear head over ECG-FM's published encoder, a record embedded in pieces of five seconds."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import fill
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.ecg_fm.reader import CLASSIFIER, ecg_fm_weights
from selfmis_plugin.methods.ecg_fm.shape import ECGFMShape
from selfmis_plugin.probe.model import SelfMISClassifier, SelfMISClassifierConfig
from selfmis_plugin.training.encoder_config import refuse_other_preprocessing

logger = logging.getLogger(__name__)


@dataclass
class ECGFMClassifierConfig(SelfMISClassifierConfig):
    """Keys of ``model: {_name: ecg_fm_classifier}``, in a config of ``selfmis_classifier``."""


class ECGFMClassifier(SelfMISClassifier):
    """ECG-FM's encoder and a linear head."""

    @staticmethod
    def encoder_shape(cfg: Any, leads: Sequence[str]) -> ECGFMShape:
        """Return the shape of the encoder in the checkpoint that *cfg* names.

        Raises
        ------
        ValueError
            If it names none: the size of the encoder is the file's.
        CheckpointError
            If it is none of this family.
        """
        start = cfg.encoder_checkpoint or cfg.classifier_checkpoint
        if not start:
            raise ValueError(
                f"{CLASSIFIER} is ECG-FM's published encoder under a head, and no file is given: "
                "model.encoder_checkpoint=FILE"
            )
        shape: ECGFMShape = ecg_fm_weights(Path(start), leads).config
        return shape

    @staticmethod
    def load_encoder(encoder: Any, path: str, shape: Any, preprocessing: Preprocessing) -> None:
        """Fill the encoder with the weights of a checkpoint; refuse data that do not fit it."""
        weights = ecg_fm_weights(Path(path), preprocessing.leads)
        made = Preprocessing.from_dict({**preprocessing.to_dict(), **(weights.preprocessing or {})})
        refuse_other_preprocessing(path, made, preprocessing)
        fill(encoder, weights.state_dict, Path(path))
        logger.info("%s: weights of ECG-FM's encoder loaded", path)


# The encoder is fairseq-signals': in another host there is nothing to build.
if toolkit.brings_ecg_methods():
    toolkit.register_model(CLASSIFIER, dataclass=ECGFMClassifierConfig)(ECGFMClassifier)
