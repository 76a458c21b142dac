"""Readers of methods' checkpoints, found by what a file holds.

A module ``reader`` in a method's folder, or in a package elsewhere, defines some of

``READERS``
    functions from a training checkpoint to what was trained, by the name of its model;
``ENCODERS``
    functions from a training checkpoint to an encoder out of it, by the name of its model, for
    those that can be had where the rest of the file is not whole, or is not read at all;
``FILES``
    functions that recognise files of other projects by their content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints.contract import ForeignFile, Trained, Wanted
from selfmis_plugin.checkpoints.reading import model_name
from selfmis_plugin.checkpoints.weights import EncoderWeights
from selfmis_plugin.utils import plugins
from selfmis_plugin.utils.plugin_error import PluginError

__all__ = [
    "EncoderReader",
    "FileReader",
    "Reader",
    "encoder_reader_of",
    "foreign_file",
    "reader_of",
]

#: From a checkpoint's path and content to what was trained.
Reader = Callable[[Path, Mapping[str, Any]], Trained]
#: From a checkpoint's path and content, and what is wanted of it, to an encoder.
EncoderReader = Callable[[Path, Mapping[str, Any], Wanted], EncoderWeights]
#: From a file's path and content to what it is, None where it is something else.
FileReader = Callable[[Path, Mapping[str, Any]], ForeignFile | None]


def reader_of(payload: Mapping[str, Any]) -> Reader | None:
    """Return the reader of a checkpoint's model; None if none here knows it.

    Raises
    ------
    PluginError
        If two packages read checkpoints of one model.
    """
    found: Reader | None = _by_model("READERS", payload)
    return found


def encoder_reader_of(payload: Mapping[str, Any]) -> EncoderReader | None:
    """Return what reads an encoder alone out of a checkpoint; None if there is no such thing."""
    found: EncoderReader | None = _by_model("ENCODERS", payload)
    return found


def foreign_file(path: Path, payload: Mapping[str, Any]) -> ForeignFile | None:
    """Return what a file of another project's holds; None if nothing here recognises it.

    Raises
    ------
    CheckpointError
        If it is recognised, and damaged.
    """
    for module in plugins.modules("reader"):
        for read in getattr(module, "FILES", ()):
            found: ForeignFile | None = read(path, payload)
            if found is not None:
                return found
    return None


def _by_model(table: str, payload: Mapping[str, Any]) -> Any:
    name = model_name(payload)
    known: dict[str, Any] = {}
    for module in plugins.modules("reader") if name is not None else ():
        found = getattr(module, table, {})
        if twice := sorted(known.keys() & found.keys()):
            raise PluginError(
                f"{module.__name__} reads checkpoints of {', '.join(twice)}, and another package "
                "does so already: uninstall one of them, or give its model another name"
            )
        known |= found
    return known.get(name or "")
