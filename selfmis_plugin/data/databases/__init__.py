"""Databases that can be prepared, one module each.

A module here that defines ``DATABASE`` is a command of ``selfmis prepare``: to add a database, add
a file.
"""

from __future__ import annotations

import importlib
import pkgutil

from selfmis_plugin.data.listing import Database


def known_databases() -> dict[str, Database]:
    """Return the databases by name."""
    modules = (
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
    )
    return {module.DATABASE.name: module.DATABASE for module in modules}
