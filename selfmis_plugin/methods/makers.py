"""What methods bring beside trainings, by its name: makers of checkpoints, and predictors.

A module ``maker`` in a method's folder, or in a package elsewhere, defines ``MAKERS``, a
:data:`Maker` by name, and a module ``predictor`` ``PREDICTORS``, a :data:`Predictor` by name. A
:class:`~selfmis_plugin.methods.method.Classifier` names one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from selfmis_plugin.data.splits import Split
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.utils import plugins
from selfmis_plugin.utils.plugin_error import PluginError

__all__ = ["Maker", "Predictor", "maker_of", "predictor_of"]

#: From checkpoints by the keys under which a classifier names its sources, and a folder of records
#: to learn of what needs no labels, to the file that it writes, whole or not at all.
Maker = Callable[[Mapping[str, Path], Path, Path], None]
#: From labelled records to learn from, and records to judge, to what it says of the latter.
Predictor = Callable[[Split, Split], Predictions]


def maker_of(name: str) -> Maker:
    """Return what makes checkpoints under a name.

    Raises
    ------
    PluginError
        If there is none, or two packages have one.
    """
    maker: Maker = _one_of("maker", "MAKERS", name, "makes")
    return maker


def predictor_of(name: str) -> Predictor:
    """Return what predicts under a name; raises as :func:`maker_of`."""
    predictor: Predictor = _one_of("predictor", "PREDICTORS", name, "predicts")
    return predictor


def _one_of(kind: str, attribute: str, name: str, does: str) -> Any:
    found: dict[str, Any] = {}
    for module in plugins.modules(kind):
        for key, function in getattr(module, attribute).items():
            if key in found:
                raise PluginError(
                    f"{module.__name__} {does} {key!r}, and another package does so already: "
                    "uninstall one of them"
                )
            found[key] = function
    if name not in found:
        raise PluginError(
            f"nothing {does} {name!r}; there is {', '.join(sorted(found)) or 'nothing'}: name one "
            f"in the row's {kind}, or install the package that has it"
        )
    return found[name]
