"""Make the plugin's parts known to the toolkit that is running."""

from __future__ import annotations

import importlib
import pkgutil

from selfmis_plugin import criterions, lr_schedulers, models, tasks

#: Every module of these packages registers what it holds when it is imported: a method is added
#: by adding its files.
REGISTERING_PACKAGES = (tasks, models, criterions, lr_schedulers)


def register_all() -> None:
    """Import every module that registers a task, model, criterion or learning-rate schedule."""
    for package in REGISTERING_PACKAGES:
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
