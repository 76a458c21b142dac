"""Applying the patches, and what was done."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from typing import Any

from selfmis_plugin.compat.at_start import AT_THE_START, HASHABLE, hashable_dataclass_defaults
from selfmis_plugin.compat.broadcast import BROADCASTS
from selfmis_plugin.compat.for_runs import FOR_A_RUN
from selfmis_plugin.compat.masked_leads import MASKED_LEADS
from selfmis_plugin.compat.patch import PATCHED_HOST, Patch

__all__ = [
    "APPLIED",
    "WORKER_HOST",
    "apply",
    "apply_in_spawned_worker",
    "mend_for_run",
    "states",
]

#: What runs may need.
IN_RUNS = (*FOR_A_RUN, MASKED_LEADS, *BROADCASTS)

#: Set by ``selfmis train``, so found only in the processes that it starts.
WORKER_HOST = "SELFMIS_WORKER_HOST"
#: What was done in this process, by name.
APPLIED: list[str] = []


def apply_in_spawned_worker() -> None:
    """Apply the patches in a process that ``selfmis train`` spawned, before it imports its host."""
    if WORKER_HOST in os.environ:
        apply(os.environ[WORKER_HOST])


def apply(host: str) -> list[str]:
    """Import *host* with the patches that it needs here; calling it again does nothing more.

    Parameters
    ----------
    host
        ``fairseq_signals`` or ``fairseq``; only the first needs something at the start.

    Returns
    -------
    list of str
        The names of the patches, empty where nothing was needed.
    """
    if host != PATCHED_HOST:
        return []
    done = []
    if sys.version_info >= (3, 11) and host not in sys.modules:
        with hashable_dataclass_defaults() as changed:
            importlib.import_module(host)
        done += [HASHABLE.name] if changed else []
    else:
        importlib.import_module(host)
    return _apply((p for p in AT_THE_START if p is not HASHABLE), None, done)


def mend_for_run(host: str, cfg: Any) -> list[str]:
    """Apply the patches without which a run with the whole config *cfg* would fail.

    Returns
    -------
    list of str
        The names of the patches, empty where nothing was needed.
    """
    # One at a time: what a patch changes in the config may concern the next.
    ours = (p for p in IN_RUNS if host in p.hosts)
    return _apply((p for p in ours if p.concerns and p.concerns(cfg)), cfg, [])


def _apply(patches: Iterable[Patch], cfg: Any, done: list[str]) -> list[str]:
    for patch in patches:
        if patch.needed():
            patch.apply(cfg)
            done.append(patch.name)
    APPLIED.extend(done)
    return done


def states(host: str) -> list[dict[str, str]]:
    """Return every patch as text, its name, state, reason and version, for a *host* that is
    imported."""
    return [
        {
            "name": patch.name,
            "state": _state(patch),
            "reason": patch.reason,
            "version": patch.version,
        }
        for patch in (*AT_THE_START, *IN_RUNS)
        if host in patch.hosts
    ]


def _state(patch: Patch) -> str:
    if patch.name in APPLIED:
        return "applied"
    if patch.needed():
        return f"applied in runs: {patch.runs}"
    return "not needed"
