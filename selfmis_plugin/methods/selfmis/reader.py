"""Checkpoints of SelfMIS's pre-training: its two towers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints.contract import Wanted, one_view
from selfmis_plugin.checkpoints.net1d_part import net1d_part
from selfmis_plugin.checkpoints.reading import mapping, not_whole
from selfmis_plugin.checkpoints.weights import EncoderWeights, part_of
from selfmis_plugin.data.leads import reference_leads
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.selfmis.trained import MULTI, SINGLE, LoadedTowers, tower_view
from selfmis_plugin.nn.net1d import Net1DConfig

__all__ = ["ENCODERS", "READERS"]

MODEL = "selfmis"


def _read_towers(file: Path, payload: Mapping[str, Any]) -> LoadedTowers:
    try:
        model, task = payload["cfg"]["model"], payload["task_state"]
        preprocessing = Preprocessing.from_dict(task["preprocessing"])
        return LoadedTowers(
            file,
            Net1DConfig.from_mapping(model, in_leads=len(preprocessing.leads)),
            model["lead"],
            reference_leads(preprocessing.leads, model.get("multi_leads")),
            bool(payload["cfg"]["task"].get("allow_absent_leads", False)),
            preprocessing,
            task.get("center"),
            part_of(payload["model"], "towers."),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise not_whole(file, error) from error


def _read_encoder(file: Path, payload: Mapping[str, Any], wanted: Wanted) -> EncoderWeights:
    """Read one tower alone: also where the rest of the file does not tell enough for both."""
    view = one_view(file, (SINGLE, MULTI), replace(wanted, view=tower_view(wanted)))
    model = mapping(mapping(payload["cfg"]).get("model"))
    prepared = mapping(mapping(payload.get("task_state")).get("preprocessing"))
    # The pre-training reads whole records; a tower has seen only its leads of them.
    leads: tuple[str, ...] | None = (str(model.get("lead", "I")),)
    if view == MULTI:
        named = prepared.get("leads")
        leads = reference_leads(named, model.get("multi_leads")) if named else None
    return net1d_part(file, payload, f"towers.{view}.", MODEL, leads)


READERS = {MODEL: _read_towers}
ENCODERS = {MODEL: _read_encoder}
