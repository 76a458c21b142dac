"""The error of a package that is installed as a plugin; it costs nothing to know it."""

from __future__ import annotations

__all__ = ["PluginError"]


class PluginError(RuntimeError):
    """A package that is installed as a plugin cannot be used; the message names it."""
