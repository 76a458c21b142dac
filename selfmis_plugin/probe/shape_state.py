"""The shape of a classifier's encoder in its checkpoints, where the config's keys do not say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfmis_plugin.nn.encoder import describe_shape
from selfmis_plugin.nn.net1d import Net1DConfig
from selfmis_plugin.utils.fields import Fields

__all__ = ["shape_in_state", "state_of_shape"]

_KEY = "encoder"


def state_of_shape(shape: Any) -> dict[str, Any]:
    """Return what a checkpoint must say of an encoder's shape; nothing for a Net1D, whose size is
    the config's."""
    return {} if isinstance(shape, Net1DConfig) else {_KEY: describe_shape(shape)}


def shape_in_state(task_state: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the description of a shape in a checkpoint's task state; None for a Net1D."""
    # Version 0.1 knew one other kind, that of the host's own methods.
    former = task_state.get("host_encoder")
    found: Mapping[str, Any] | None = task_state.get(_KEY)
    return {"kind": "host", **Fields(former, "host_encoder")} if found is None and former else found
