"""Which demos there are, and whose folder one runs in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfmis_plugin.methods.demo_plan import Demo
from selfmis_plugin.utils import plugins
from selfmis_plugin.utils.files import write_json

__all__ = ["DEMO_COHORT", "DemoError", "claim", "known_demos"]

#: Version of the synthetic hearts where none is named. The first's infarctions are plain from 12
#: leads, and a hundred labels, three or so a type, show what a method does with them; the later
#: ones are graded as in real records, where so few show nothing.
DEMO_COHORT = 1


class DemoError(RuntimeError):
    """The demo cannot be run as asked."""


def known_demos() -> dict[str, Demo]:
    """Return the demos of all methods by name."""
    demos = [module.DEMO for module in plugins.modules("demo")]
    return {demo.name: demo for demo in demos}


def claim(dest: Path, about: Mapping[str, Any]) -> None:
    """Refuse a folder in which another demo has been started: its figures would pass for ours.

    Parameters
    ----------
    dest
        Folder of the demo.
    about
        JSON-ready: what must be equal for figures to be of the same demo.

    Raises
    ------
    DemoError
        If it holds another.
    """
    path = dest / "demo.json"
    if not path.is_file():
        write_json(path, about)
    elif json.loads(path.read_text(encoding="utf-8")) != about:
        raise DemoError(
            f"{dest} holds a demo with other settings ({path}). Choose another folder with "
            "--dest, or delete this one"
        )
