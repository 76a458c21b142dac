"""SelfMIS for fairseq-signals and fairseq.

The public face: ``load_encoder`` and ``save_encoder``, ``load_trained``, ``load_model`` and
``train``, and the class ``Encoder`` of what the first returns for a Net1D.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from selfmis_plugin._moved import Finder
from selfmis_plugin._version import __version__

if TYPE_CHECKING:
    from selfmis_plugin.checkpoints.encoders import Encoder, load_encoder, save_encoder
    from selfmis_plugin.checkpoints.loading import load_trained
    from selfmis_plugin.data.person import Person
    from selfmis_plugin.predict.model import load_model
    from selfmis_plugin.training.from_python import train

__all__ = [
    "Encoder",
    "Person",
    "__version__",
    "load_encoder",
    "load_model",
    "load_trained",
    "save_encoder",
    "train",
]

#: Where each public name lies. Hydra imports this package whenever a toolkit starts, so what needs
#: PyTorch waits until it is used; this is the only such table of the package.
_LAZY = {
    "Encoder": "selfmis_plugin.checkpoints.encoders",
    "Person": "selfmis_plugin.data.person",
    "load_encoder": "selfmis_plugin.checkpoints.encoders",
    "load_model": "selfmis_plugin.predict.model",
    "load_trained": "selfmis_plugin.checkpoints.loading",
    "save_encoder": "selfmis_plugin.checkpoints.encoders",
    "train": "selfmis_plugin.training.from_python",
}

# Import paths of version 0.1.
sys.meta_path.append(Finder())


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
