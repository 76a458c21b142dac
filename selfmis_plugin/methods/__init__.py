"""Methods that the benchmark compares, a folder each.

A folder holds all that a method is: its network, what the training toolkit registers (``model``,
``criterion``, ``task``), the reader of its checkpoints and its ``rows``, a module that defines
``METHODS`` and may define ``CLAIMS``, which the report puts to the test. It may have a ``demo``
(:mod:`selfmis_plugin.methods.demo_plan`). What the modules are called, and how a package elsewhere
adds a method, says :mod:`selfmis_plugin.utils.plugins`. A file of your own with ``METHODS`` adds
rows over what is there (``--methods-from FILE.py``).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from selfmis_plugin.methods.method import Claim, Method
from selfmis_plugin.utils import plugins

__all__ = ["Rows", "known_claims", "known_methods", "known_rows"]

#: The entry-point group of version 0.1, whose entries name modules with ``METHODS``.
_FORMER_GROUP = "selfmis.methods"


@dataclass(frozen=True)
class Rows:
    """The methods by name, in the order of the table, and what a report puts to the test."""

    methods: dict[str, Method]
    claims: tuple[Claim, ...]


def known_rows(files: Sequence[Path] = ()) -> Rows:
    """Return what the modules ``rows`` and files of the user define.

    Parameters
    ----------
    files
        Python files of the user that define ``METHODS``, and ``CLAIMS`` if they like; they are run.

    Raises
    ------
    ValueError
        If two methods have one name, or a file is missing, cannot be run or defines none.
    PluginError
        If a package elsewhere cannot be imported.
    """
    modules = [*plugins.modules("rows"), *_former_modules(), *map(_module_of, files)]
    methods: dict[str, Method] = {}
    for module in modules:
        for method in getattr(module, "METHODS", ()):
            if method.name in methods:
                raise ValueError(f"{module.__name__}: a method {method.name!r} is there already")
            methods[method.name] = method
    return Rows(
        dict(sorted(methods.items(), key=lambda item: item[1].paper is None)),
        tuple(claim for module in modules for claim in getattr(module, "CLAIMS", ())),
    )


def known_methods(files: Sequence[Path] = ()) -> dict[str, Method]:
    """Return the methods by name, in the order of the table; see :func:`known_rows`."""
    return known_rows(files).methods


def known_claims(files: Sequence[Path] = ()) -> tuple[Claim, ...]:
    """Return what the methods' reports put to the test; see :func:`known_rows`."""
    return known_rows(files).claims


def _former_modules() -> list[ModuleType]:
    entries = importlib.metadata.entry_points(group=_FORMER_GROUP)
    for entry in entries:
        warnings.warn(
            f"the entry point {entry.name} ({entry.value}) is of the group {_FORMER_GROUP}, which "
            f"goes with version 0.3: name its package in the group {plugins.GROUP}, and its module "
            "rows.py",
            DeprecationWarning,
            stacklevel=2,
        )
    return [entry.load() for entry in entries]


def _module_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: is no Python file: give one that defines METHODS")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # it is the user's own code
        raise ValueError(f"{path}: cannot be run ({type(error).__name__}: {error})") from error
    if not getattr(module, "METHODS", ()):
        raise ValueError(f"{path}: defines no METHODS, a tuple of methods")
    return module
