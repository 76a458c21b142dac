"""Imported by the process that trainings are forked from: what each of them would import first.

Nothing here may start a thread or touch a GPU, neither of which survives a fork.
"""

from __future__ import annotations

import warnings

from selfmis_plugin import toolkit
from selfmis_plugin.training.registration import register_all

with warnings.catch_warnings():
    # The hosts leave to Hydra what they were written for, and it says so to whoever imports them.
    warnings.filterwarnings("ignore", message=r"(?s).*version_base parameter is not specified")
    toolkit.import_command_line()
register_all()
