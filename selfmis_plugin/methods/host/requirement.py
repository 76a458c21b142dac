"""How to come by the toolkit that brings the ECG methods."""

from __future__ import annotations

__all__ = ["HOW_TO_GET_SIGNALS"]

#: Both toolkits own the package fairseq_cli, so they cannot stand side by side.
HOW_TO_GET_SIGNALS = (
    "in an environment without fairseq, in a checkout of this plugin: "
    "pip install --no-build-isolation '.[signals]'"
)
