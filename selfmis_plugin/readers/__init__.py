"""Readers of methods' checkpoints, one method a module.

A module here that defines ``READERS``, functions by the name of the model in a checkpoint, makes
:func:`selfmis_plugin.loading.load_trained` read checkpoints of that model, and with it ``selfmis
evaluate``, ``embed``, ``predict`` and ``benchmark mi``. To add a method, add a file.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints import model_name

#: From a checkpoint's path and content to what was trained.
Reader = Callable[[Path, Mapping[str, Any]], Any]


def reader_of(state: Mapping[str, Any]) -> Reader | None:
    """Return the reader of a checkpoint's model; None if none here knows it."""
    name = model_name(state)
    return None if name is None else _known().get(name)


def _known() -> dict[str, Reader]:
    readers: dict[str, Reader] = {}
    for module in pkgutil.iter_modules(__path__):
        readers |= getattr(importlib.import_module(f"{__name__}.{module.name}"), "READERS", {})
    return readers
