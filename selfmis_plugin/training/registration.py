"""Make the plugin's parts known to the toolkit that is running."""

from __future__ import annotations

from selfmis_plugin.utils import plugins

__all__ = ["register_all"]


def register_all() -> None:
    """Import every module that registers a task, model, criterion or learning-rate schedule, here
    and in packages elsewhere.

    Raises
    ------
    PluginError
        If a package elsewhere cannot be imported.
    """
    plugins.modules(*plugins.HOST_PARTS)
