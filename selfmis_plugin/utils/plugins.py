"""One discovery of what this package and packages elsewhere add, by the names of their modules.

A package elsewhere names itself in the entry-point group ``selfmis.plugins``::

    [project.entry-points."selfmis.plugins"]
    my_method = "my_package"

In it, and in folders below it, modules of these names are found, as in the folders of
:mod:`selfmis_plugin.methods`:

``network``
    plain PyTorch: registers shapes of encoders (:mod:`selfmis_plugin.nn.encoder`);
``model``, ``criterion``, ``task``, ``classifier``, ``schedule``
    register what the training toolkit is to know, when they are imported inside it;
``reader``
    ``READERS``, ``FILES``: from files to what was trained (:mod:`selfmis_plugin.checkpoints`);
``rows``
    ``METHODS``, ``CLAIMS``: rows of the benchmark (:mod:`selfmis_plugin.methods.method`);
``maker``
    ``MAKERS``: functions that make a checkpoint of others (:mod:`selfmis_plugin.methods.makers`);
``predictor``
    ``PREDICTORS``: what judges records without a checkpoint (there too);
``demo``
    ``DEMO``: a demo of ``selfmis demo`` (:mod:`selfmis_plugin.methods.demo_plan`).

A folder ``configs`` in the package holds YAML files that ``--config-name`` finds. Names are looked
up without importing anything; a module is imported when somebody needs what it adds.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import pkgutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from selfmis_plugin.utils.plugin_error import PluginError

__all__ = ["GROUP", "HOST_PARTS", "PluginError", "modules", "modules_of", "other_packages"]

GROUP = "selfmis.plugins"
#: Packages of this one that add something.
OWN = ("selfmis_plugin.training", "selfmis_plugin.probe", "selfmis_plugin.methods")
#: Modules that register parts in the training toolkit.
HOST_PARTS = ("task", "model", "criterion", "classifier", "schedule")


def modules(*names: str) -> list[ModuleType]:
    """Import and return the modules of these names: this package's own, then other packages'.

    Raises
    ------
    PluginError
        If a package elsewhere cannot be imported.
    """
    found = [_imported(name) for package in OWN for name in _names_in(package, names)]
    for package, about in other_packages().items():
        try:
            found += [_imported(name) for name in _names_in(package, names)]
        except PluginError:
            raise
        except Exception as error:  # somebody else's code
            raise PluginError(
                f"{about} cannot be imported ({type(error).__name__}: {error}): mend it, or "
                "uninstall it"
            ) from error
    return found


def modules_of(package: str) -> list[ModuleType]:
    """Import and return every module that lies in *package* itself, in the order of their names."""
    paths = importlib.import_module(package).__path__
    return [
        importlib.import_module(f"{package}.{module.name}")
        for module in pkgutil.iter_modules(paths)
        if not module.ispkg
    ]


@functools.cache
def other_packages() -> dict[str, str]:
    """Return the packages elsewhere that add something, with words for messages.

    Two entry points of one package are one.
    """
    return {
        entry.value: f"the plugin {entry.name} (package {entry.value}, "
        f"{entry.dist.name if entry.dist else 'unknown'})"
        for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda e: e.name)
    }


def versions() -> dict[str, str]:
    """Return the versions of the distributions that those packages came with."""
    entries = importlib.metadata.entry_points(group=GROUP)
    return {entry.dist.name: entry.dist.version for entry in entries if entry.dist}


def config_folders() -> list[Path]:
    """Return the folders of configs that packages elsewhere bring."""
    folders = (Path(place) / "configs" for name in other_packages() for place in _places(name))
    return [folder for folder in folders if folder.is_dir()]


def _imported(name: str) -> ModuleType:
    return importlib.import_module(name)


def _places(package: str) -> Sequence[str]:
    """Return the folders of a package, without importing it."""
    try:
        spec = importlib.util.find_spec(package)
    except Exception as error:  # a parent package is imported for it
        raise PluginError(
            f"{other_packages().get(package, package)} cannot be imported "
            f"({type(error).__name__}: {error}): mend it, or uninstall it"
        ) from error
    if spec is None or spec.submodule_search_locations is None:
        raise PluginError(
            f"{other_packages().get(package, package)} names no package that is installed: an "
            f"entry point of {GROUP} names a package, whose modules are looked up by their names"
        )
    return list(spec.submodule_search_locations)


def _names_in(package: str, names: Sequence[str]) -> Iterator[str]:
    yield from _below(_places(package), package, frozenset(names))


def _below(places: Sequence[str], package: str, names: frozenset[str]) -> Iterator[str]:
    for module in sorted(pkgutil.iter_modules(places), key=lambda m: (m.ispkg, m.name)):
        if module.ispkg:
            below = [str(Path(place) / module.name) for place in places]
            yield from _below(below, f"{package}.{module.name}", names)
        elif module.name in names:
            yield f"{package}.{module.name}"
