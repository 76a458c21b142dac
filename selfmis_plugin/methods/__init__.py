"""Methods that the benchmark compares, one subject a module.

A module here that defines ``METHODS`` adds rows to ``selfmis benchmark mi``: to add a method, add
a file. A package of your own adds some through the entry-point group ``selfmis.methods``, whose
entries name such a module.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
from types import ModuleType

from selfmis_plugin.methods.method import Method

GROUP = "selfmis.methods"


def known_methods() -> dict[str, Method]:
    """Return the methods by name, in the order of the table.

    Raises
    ------
    ValueError
        If two have one name.
    """
    modules: list[ModuleType] = [
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
    ]
    modules += [entry.load() for entry in importlib.metadata.entry_points(group=GROUP)]
    methods: dict[str, Method] = {}
    for module in modules:
        for method in getattr(module, "METHODS", ()):
            if method.name in methods:
                raise ValueError(f"{module.__name__}: a method {method.name!r} is there already")
            methods[method.name] = method
    return dict(sorted(methods.items(), key=lambda item: item[1].paper is None))
