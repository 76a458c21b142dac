"""Methods that the benchmark compares, one subject a module.

A module here that defines ``METHODS`` adds rows to ``selfmis benchmark mi``: to add a method, add
a file. A file of your own elsewhere is such a module too (``--methods-from FILE.py``). A package of
your own adds some through the entry-point group ``selfmis.methods``, whose entries name modules.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from selfmis_plugin.methods.method import Method

GROUP = "selfmis.methods"


def known_methods(files: Sequence[Path] = ()) -> dict[str, Method]:
    """Return the methods by name, in the order of the table.

    Parameters
    ----------
    files
        Python files of the user that define ``METHODS``; they are run.

    Raises
    ------
    ValueError
        If two have one name, or a file is missing, cannot be run or defines none.
    """
    modules: list[ModuleType] = [
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
    ]
    modules += [entry.load() for entry in importlib.metadata.entry_points(group=GROUP)]
    modules += [_module_of(path) for path in files]
    methods: dict[str, Method] = {}
    for module in modules:
        for method in getattr(module, "METHODS", ()):
            if method.name in methods:
                raise ValueError(f"{module.__name__}: a method {method.name!r} is there already")
            methods[method.name] = method
    return dict(sorted(methods.items(), key=lambda item: item[1].paper is None))


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
