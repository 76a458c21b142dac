"""Names of what lies in an exported model's folder, and what its description begins with."""

from __future__ import annotations

import json
from pathlib import Path

from selfmis_plugin.utils.fields import FieldError, Fields, shown

__all__ = [
    "CONFIG", "FORMAT", "ONNX_MODEL", "ONNX_SUFFIX", "VERSION", "WEIGHTS", "read_description",
]  # fmt: skip

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
ONNX_MODEL = "model.onnx"
#: End of such a file's name, wherever it lies.
ONNX_SUFFIX = ".onnx"

FORMAT = "selfmis_classifier"
VERSION = 1


def read_description(folder: Path) -> Fields:
    """Return what a folder says of its model.

    Raises
    ------
    OSError, ValueError, RecursionError
        If it cannot be read; FieldError if it describes something else.
    """
    values = Fields(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    if (values["format"], values["version"]) != (FORMAT, VERSION):
        raise FieldError(f"its format is {shown(values['format'])} {shown(values['version'])}")
    return values
