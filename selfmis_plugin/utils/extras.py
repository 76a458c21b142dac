"""How to come by what an extra brings."""

from __future__ import annotations

__all__ = ["how_to_install"]


def how_to_install(extra: str) -> str:
    """Return what to do where a package of an extra is missing, for the end of a message."""
    return f"in a checkout of this plugin: pip install '.[{extra}]'"
