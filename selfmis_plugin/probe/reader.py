"""Checkpoints of classifiers: a linear head over an encoder of any method."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.checkpoints.contract import Wanted
from selfmis_plugin.checkpoints.net1d_part import net1d_part
from selfmis_plugin.checkpoints.reading import mapping, not_whole
from selfmis_plugin.checkpoints.weights import EncoderWeights, part_of
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.nn.encoder import shape_from
from selfmis_plugin.nn.net1d import Net1DConfig
from selfmis_plugin.probe.shape_state import shape_in_state
from selfmis_plugin.utils.fields import Fields

__all__ = ["ENCODERS", "READERS"]

MODEL = "selfmis_classifier"


def _read_classifier(file: Path, payload: Mapping[str, Any]) -> LoadedClassifier:
    try:
        model = Fields(payload["cfg"], "cfg").part("model")
        task = Fields(payload["task_state"], "task_state")
        preprocessing = Preprocessing.from_dict(task["preprocessing"])
        described = shape_in_state(task)
        return LoadedClassifier(
            file,
            Net1DConfig.from_mapping(model, in_leads=len(preprocessing.leads))
            if described is None
            else shape_from(described),
            task.names("labels"),
            preprocessing,
            model.flag("standardize_embeddings", default=False),
            part_of(payload["model"], "network."),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise not_whole(file, error) from error


def _read_encoder(file: Path, payload: Mapping[str, Any], wanted: Wanted) -> EncoderWeights:
    if shape_in_state(mapping(payload.get("task_state"))) is not None or wanted.view is not None:
        return _read_classifier(file, payload).encoder(wanted)
    return net1d_part(file, payload, "network.encoder.", MODEL)


READERS = {MODEL: _read_classifier}
ENCODERS = {MODEL: _read_encoder}
