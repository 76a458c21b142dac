"""SelfMIS for fairseq-signals and fairseq."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfmis_plugin.encoders import Encoder, load_encoder, save_encoder
    from selfmis_plugin.inference.model import load_model

__version__ = "0.1.0"
__all__ = ["Encoder", "load_encoder", "load_model", "save_encoder"]

_MODULES = {"load_model": "selfmis_plugin.inference.model"}


def __getattr__(name: str) -> Any:
    # Hydra imports this package whenever a toolkit starts: what needs torch waits until it is used.
    if name in __all__:
        return getattr(importlib.import_module(_MODULES.get(name, "selfmis_plugin.encoders")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
