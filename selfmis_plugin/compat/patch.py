"""What a patch of the toolkit is, and which toolkit is patched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from selfmis_plugin.compat.installed import FAIRSEQ_SIGNALS

__all__ = ["PATCHED_HOST", "TOOLKIT", "Patch"]

PATCHED_HOST = FAIRSEQ_SIGNALS
#: The version that the patches are for, in words.
TOOLKIT = "fairseq-signals 1.0.0a0 as of April 2025 (6b9e137)"


@dataclass(frozen=True)
class Patch:
    """One thing that the toolkit needs.

    Attributes
    ----------
    name
        What the log line says.
    reason
        What fails without it, and how it is met.
    version
        What it is for.
    needed
        Whether this toolkit needs it here; asked once the toolkit is imported.
    apply
        Does it; takes the run's whole config (None at the start).
    concerns
        Whether a run with this config would fail without it; None: done at the start.
    runs
        Those runs, in words.
    hosts
        The toolkits that it is for.
    """

    name: str
    reason: str
    version: str
    needed: Callable[[], bool]
    apply: Callable[[Any], None]
    concerns: Callable[[Any], bool] | None = None
    runs: str = "all"
    hosts: tuple[str, ...] = (PATCHED_HOST,)
