"""What a command line that trains has wrong, in words: a config's name, or a key."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from selfmis_plugin.training.command_line import config_dir, config_name, has_config_path
from selfmis_plugin.training.configs import config_folders
from selfmis_plugin.training.known_configs import known_configs, unknown_config, unknown_key
from selfmis_plugin.utils.paths import from_launch_folder

__all__ = ["TRACEBACK", "explain", "known_to", "no_task", "wants_traceback"]

#: The environment's variable that asks for the traceback of a refusal.
TRACEBACK = "SELFMIS_TRACEBACK"


def wants_traceback() -> bool:
    """Whether the user wants to see where a refusal was raised."""
    return os.environ.get(TRACEBACK, "") not in ("", "0")


def known_to(arguments: Sequence[str], typed_in: Path | None = None) -> dict[str, Path]:
    """Return the configs that a command line finds by name, those of its own folder first.

    Parameters
    ----------
    arguments
        The command line without its program.
    typed_in
        Where it was typed; None: in the current folder.
    """
    given = config_dir(arguments)
    own = [(typed_in or Path.cwd()) / given] if given else []
    return known_configs([*own, *config_folders()])


def explain(error: Exception, arguments: Sequence[str]) -> str | None:
    """Say in words what Hydra has found wrong in a command line, or a worker has refused.

    Parameters
    ----------
    error
        What was raised.
    arguments
        The command line without its program.

    Returns
    -------
    str or None
        None for whatever else went wrong, for configs that are not known here, and where the user
        wants the traceback.
    """
    if wants_traceback():
        return None
    text = str(error)
    key = re.search(r"Could not override '([^']+)'", text)
    if key is not None:
        return _explain_key(key[1].lstrip("+~"), arguments)
    if type(error).__name__ == "ProcessRaisedException":
        # It comes with a worker's traceback; the message is the end of it.
        last = text.strip().splitlines()[-1]
        if last.startswith("selfmis_plugin."):
            return last.partition(": ")[2] or last
    return None


def no_task(name: str | None, arguments: Sequence[str]) -> str:
    """Say that a config names no task: mostly there is none of that name, and the hosts go on with
    their defaults.

    Parameters
    ----------
    name
        Of the config; None where it is not known.
    arguments
        The command line without its program.
    """
    # The hosts have changed into the run's folder.
    known = known_to(arguments, from_launch_folder("."))
    said = "the config names no task: "
    if name is None:
        return said + "name one with --config-name (selfmis configs lists them)"
    if name in known:
        return said + f"{known[name]} has no part 'task'"
    return said + unknown_config(name, list(known))


def _explain_key(key: str, arguments: Sequence[str]) -> str | None:
    name = config_name(arguments)
    if name is None or has_config_path(arguments):
        return None
    known = known_to(arguments)
    # Of a config that is not there the hosts take their defaults, which lack most keys.
    return unknown_key(key, known[name]) if name in known else unknown_config(name, list(known))
