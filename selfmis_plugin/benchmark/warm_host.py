"""Imported by the process that trainings are forked from: what each of them would import first.

Nothing here may start a thread or touch a GPU, neither of which survives a fork.
"""

from __future__ import annotations

from selfmis_plugin import toolkit
from selfmis_plugin.training.registration import register_all

toolkit.import_command_line()
register_all()
