"""Which toolkit the host is; importing this imports it, mended as this machine needs it."""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Iterator
from typing import Any

from selfmis_plugin import compat
from selfmis_plugin.compat import installed
from selfmis_plugin.utils.messages import without_messages

__all__ = [
    "ADAPTATIONS",
    "HOST",
    "host_name",
    "host_version",
    "mend_for_run",
    "warning_of_two_hosts",
]


@contextlib.contextmanager
def _logging_kept() -> Iterator[None]:
    """Leave the root logger as it is: importing fairseq's models sets it to show every message."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        with without_messages():
            yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


HOST = installed.running()
#: What :mod:`selfmis_plugin.compat` did to the host at the start, one entry a patch.
ADAPTATIONS: list[str] = compat.apply(HOST)
with _logging_kept():
    importlib.import_module(f"{HOST}.tasks")


def host_name() -> str:
    """Return the host's name, for messages."""
    return HOST


def host_version() -> str:
    """Return the name and version of the distribution that brought the host."""
    return installed.version(HOST)


def mend_for_run(cfg: Any) -> list[str]:
    """Mend what the host's own code would fail by in a run with the whole config *cfg*.

    Returns
    -------
    list of str
        All that was done to the host in this process, one entry a patch.
    """
    compat.mend_for_run(HOST, cfg)
    return list(compat.APPLIED)


def warning_of_two_hosts() -> str | None:
    """Return what to say where both toolkits are installed; None where one is."""
    if len(installed.installed()) < 2:
        return None
    return (
        f"fairseq and fairseq-signals are both installed; this command is {HOST}'s, whatever was "
        "meant. Keep one of them."
    )
