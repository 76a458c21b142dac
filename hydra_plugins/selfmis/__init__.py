"""The hook by which fairseq-signals and fairseq find the SelfMIS plugin.

Hydra imports every module of ``hydra_plugins`` when a Hydra application starts, whichever it is.
So this module imports no more than Hydra, and loads the plugin only inside a toolkit's command
line.
"""

from __future__ import annotations

import logging
import sys

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class SelfMISSearchPath(SearchPathPlugin):
    """Registers the plugin's parts and adds its configs to Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Register the plugin, and add its configs to the search path."""
        # Both toolkits' command lines live in a package of this name.
        if "fairseq_cli" in sys.modules:
            # fairseq's models have every library show what is for its programmers.
            if logging.getLogger().level == logging.DEBUG:
                logging.getLogger().setLevel(logging.INFO)
            from selfmis_plugin.training.launch import at_hydra_start

            at_hydra_start(search_path)
