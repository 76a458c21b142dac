"""Readers of methods' checkpoints, found by the model that a checkpoint names.

A module ``reader`` of a method's folder, or of a package elsewhere, defines ``READERS``: functions
by the name of the model in a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints.training import model_name
from selfmis_plugin.utils import plugins

__all__ = ["Reader", "reader_of"]

#: From a checkpoint's path and content to what was trained.
Reader = Callable[[Path, Mapping[str, Any]], Any]


def reader_of(state: Mapping[str, Any]) -> Reader | None:
    """Return the reader of a checkpoint's model; None if none here knows it."""
    name = model_name(state)
    return None if name is None else _known().get(name)


def _known() -> dict[str, Reader]:
    readers: dict[str, Reader] = {}
    for module in plugins.modules("reader"):
        readers |= getattr(module, "READERS", {})
    return readers
