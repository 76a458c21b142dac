"""Checkpoints of SelfMIS: its two towers, and classifiers on one encoder, supervised ones too."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints import part_of
from selfmis_plugin.checkpoints.trained import LoadedClassifier, LoadedTowers, not_whole
from selfmis_plugin.data.leads import reference_leads
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.host.shape import HostShape
from selfmis_plugin.nn.net1d import Net1DConfig

__all__ = ["READERS"]


def _read_towers(file: Path, state: Mapping[str, Any]) -> LoadedTowers:
    try:
        model, task = state["cfg"]["model"], state["task_state"]
        preprocessing = Preprocessing.from_dict(task["preprocessing"])
        return LoadedTowers(
            file,
            Net1DConfig.from_mapping(model, in_leads=len(preprocessing.leads)),
            model["lead"],
            reference_leads(preprocessing.leads, model.get("multi_leads")),
            bool(state["cfg"]["task"].get("allow_absent_leads", False)),
            preprocessing,
            task.get("center"),
            part_of(state["model"], "towers."),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise not_whole(file, error) from error


def _read_classifier(file: Path, state: Mapping[str, Any]) -> LoadedClassifier:
    try:
        model, task = state["cfg"]["model"], state["task_state"]
        preprocessing = Preprocessing.from_dict(task["preprocessing"])
        return LoadedClassifier(
            file,
            _encoder_shape(model, task, len(preprocessing.leads)),
            tuple(task["labels"]),
            preprocessing,
            bool(model.get("standardize_embeddings", False)),
            part_of(state["model"], "network."),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise not_whole(file, error) from error


def _encoder_shape(model: Mapping[str, Any], task: Mapping[str, Any], leads: int) -> Any:
    if "host_encoder" not in task:
        return Net1DConfig.from_mapping(model, in_leads=leads)
    # What builds such an encoder needs the toolkit, which takes seconds to import and may not be
    # installed; no other checkpoint needs it.
    importlib.import_module("selfmis_plugin.methods.host.encoder")
    return HostShape(**task["host_encoder"])


READERS = {"selfmis": _read_towers, "selfmis_classifier": _read_classifier}
