"""What happens when a toolkit's command line starts: called by Hydra, before any config is read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from selfmis_plugin import toolkit
from selfmis_plugin.training.command_line import config_dir, config_name, has_own_configs
from selfmis_plugin.training.configs import configs_folder
from selfmis_plugin.training.entry import train_main
from selfmis_plugin.training.explaining import explain
from selfmis_plugin.training.registration import register_all
from selfmis_plugin.training.short_log import wants_all, without_warnings
from selfmis_plugin.utils import paths, plugins


def at_hydra_start(search_path: Any) -> None:
    """Register the plugin and its configs, and let Hydra say a wrong name or key in our words.

    Parameters
    ----------
    search_path
        Hydra's ``ConfigSearchPath``. Plugins' entries come before a command line's
        ``--config-dir``, so ours is added only where none is given: otherwise it would hide an
        edited copy. Those of packages elsewhere are added after it.

    Raises
    ------
    SystemExit
        If a package elsewhere cannot be used; the message names it.
    """
    if not wants_all():
        without_warnings()
    warning = toolkit.warning_of_two_hosts()
    if warning is not None:
        print(f"selfmis: {warning}", file=sys.stderr)
    paths.remember_launch_folder()
    try:
        register_all()
        others = plugins.config_folders()
    except plugins.PluginError as error:
        # Hydra would show where in its own code it happened.
        raise SystemExit(f"selfmis: {error}") from error
    toolkit.replace_worker_entry(train_main)
    toolkit.explain_errors(explain)
    toolkit.store_defaults_in_folder(config_name(sys.argv[1:]) or "")
    if not has_own_configs(sys.argv[1:]):
        search_path.append("selfmis", configs_folder().as_uri())
    elif (given := config_dir(sys.argv[1:])) is not None:
        # It would come last; its edited copies have to win over other packages' files.
        search_path.append("selfmis-config-dir", Path(given).resolve().as_uri())
    for folder in others:
        search_path.append("selfmis-plugins", folder.as_uri())
