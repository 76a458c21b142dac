"""Demos of ``selfmis demo``, a module each, which defines ``DEMO``; to add a demo, add a file."""

from __future__ import annotations

from selfmis_plugin.demo.demo import Demo
from selfmis_plugin.utils import plugins


def known_demos() -> dict[str, Demo]:
    """Return the demos by name."""
    demos = [module.DEMO for module in plugins.modules_of(__name__)]
    return {demo.name: demo for demo in demos}
