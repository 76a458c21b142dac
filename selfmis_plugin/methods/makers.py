"""Checkpoints that are not trained but made of others: what makes them, by its name.

A module ``maker`` in a method's folder, or in a package elsewhere, defines ``MAKERS``, a
:data:`Maker` by name. A :class:`~selfmis_plugin.methods.method.Classifier` names one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from selfmis_plugin.utils import plugins
from selfmis_plugin.utils.plugin_error import PluginError

__all__ = ["Maker", "maker_of"]

#: From checkpoints by the keys under which a classifier names its sources, and a folder of records
#: to learn of what needs no labels, to the file that it writes, whole or not at all.
Maker = Callable[[Mapping[str, Path], Path, Path], None]


def maker_of(name: str) -> Maker:
    """Return what makes checkpoints under a name.

    Raises
    ------
    PluginError
        If there is none, or two packages have one.
    """
    found: dict[str, Maker] = {}
    for module in plugins.modules("maker"):
        for key, make in module.MAKERS.items():
            if key in found:
                raise PluginError(
                    f"{module.__name__} makes {key!r}, and another package does so already: "
                    "uninstall one of them"
                )
            found[key] = make
    if name not in found:
        raise PluginError(
            f"nothing makes {name!r}; there is {', '.join(sorted(found)) or 'nothing'}: name one "
            "in the row's maker, or install the package that has it"
        )
    return found[name]
