"""Databases that can be prepared, one module each.

A module here that defines ``DATABASE`` is a command of ``selfmis prepare``: to add a database, add
a file.
"""

from __future__ import annotations

from selfmis_plugin.preparation.listing import Database
from selfmis_plugin.utils import plugins


def known_databases() -> dict[str, Database]:
    """Return the databases by name."""
    modules = plugins.modules_of(__name__)
    return {module.DATABASE.name: module.DATABASE for module in modules}
