"""What happens when a toolkit's command line starts: called by Hydra, before any config is read."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from selfmis_plugin import paths, registration, toolkit, training


def configs_folder() -> Path:
    """Return the folder of the plugin's YAML files: in the wheel, or beside a checkout's package.

    Raises
    ------
    FileNotFoundError
        If neither is there, which means that the installation is not whole.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / "selfmis_pretrain.yaml").is_file():
            return folder
    raise FileNotFoundError(
        f"the plugin's configs are in neither {package / 'configs'} nor "
        f"{package.parent / 'configs'}: install selfmis-plugin again"
    )


def has_own_configs(arguments: list[str]) -> bool:
    """Whether a Hydra command line names a folder of configs itself."""
    options = ("--config-dir", "-cd", "--config-path", "-cp")
    return any(a in options or a.startswith(tuple(f"{o}=" for o in options)) for a in arguments)


def config_name(arguments: list[str]) -> str | None:
    """Return the config that a Hydra command line names; None where it names none."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-name", "-cn")
    found: str | None = parser.parse_known_args(arguments)[0].config_name
    return found


def at_hydra_start(search_path: Any) -> None:
    """Register the plugin and its configs.

    Parameters
    ----------
    search_path
        Hydra's ``ConfigSearchPath``. Plugins' entries come before a command line's
        ``--config-dir``, so ours is added only where none is given: otherwise it would hide an
        edited copy.
    """
    warning = toolkit.warning_of_two_hosts()
    if warning is not None:
        print(f"selfmis: {warning}", file=sys.stderr)
    paths.remember_launch_folder()
    registration.register_all()
    toolkit.replace_worker_entry(training.train_main)
    toolkit.store_defaults_in_folder(config_name(sys.argv[1:]) or "")
    if not has_own_configs(sys.argv[1:]):
        search_path.append("selfmis", configs_folder().as_uri())
