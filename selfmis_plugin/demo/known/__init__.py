"""Demos of ``selfmis demo``, a module each, which defines ``DEMO``; to add a demo, add a file."""

from __future__ import annotations

import importlib
import pkgutil

from selfmis_plugin.demo.demo import Demo


def known_demos() -> dict[str, Demo]:
    """Return the demos by name."""
    demos = [
        importlib.import_module(f"{__name__}.{module.name}").DEMO
        for module in pkgutil.iter_modules(__path__)
    ]
    return {demo.name: demo for demo in demos}
