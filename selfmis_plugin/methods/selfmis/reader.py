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
from selfmis_plugin.utils.fields import Fields

__all__ = ["ENCODERS", "READERS"]

MODEL = "selfmis"


def _read_towers(file: Path, payload: Mapping[str, Any]) -> LoadedTowers:
    try:
        cfg, task = Fields(payload["cfg"], "cfg"), Fields(payload["task_state"], "task_state")
        model = cfg.part("model")
        preprocessing = Preprocessing.from_dict(task["preprocessing"])
        return LoadedTowers(
            file,
            Net1DConfig.from_mapping(model, in_leads=len(preprocessing.leads)),
            model.text("lead"),
            reference_leads(preprocessing.leads, _multi_leads(model)),
            cfg.part("task").flag("allow_absent_leads", default=False),
            preprocessing,
            task.get("center"),
            part_of(payload["model"], "towers."),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise not_whole(file, error) from error


def _read_encoder(file: Path, payload: Mapping[str, Any], wanted: Wanted) -> EncoderWeights:
    """Read one tower alone: also where the rest of the file does not tell enough for both."""
    view = one_view(file, (SINGLE, MULTI), replace(wanted, view=tower_view(wanted)))
    try:
        leads = _leads_of(view, payload)
    except ValueError as error:
        raise not_whole(file, error) from error
    return net1d_part(file, payload, f"towers.{view}.", MODEL, leads)


def _leads_of(view: str, payload: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Leads that a tower has seen of the whole records that the pre-training reads; None where
    the file does not say them."""
    model = Fields(mapping(mapping(payload["cfg"]).get("model")), "cfg.model")
    if view != MULTI:
        return (model.text("lead") if "lead" in model else "I",)
    prepared = mapping(mapping(payload.get("task_state")).get("preprocessing"))
    known = Fields(prepared, "task_state.preprocessing")
    return reference_leads(known.names("leads"), _multi_leads(model)) if "leads" in known else None


def _multi_leads(model: Fields) -> tuple[str, ...] | None:
    return model.names("multi_leads") if model.get("multi_leads") else None


READERS = {MODEL: _read_towers}
ENCODERS = {MODEL: _read_encoder}
