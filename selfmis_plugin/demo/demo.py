"""What a demo is, and whose folder it runs in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfmis_plugin.utils.files import write_json

__all__ = ["Demo", "DemoError", "claim"]


class DemoError(RuntimeError):
    """The demo cannot be run as asked."""


@dataclass(frozen=True)
class Demo:
    """A demo of ``selfmis demo``.

    Attributes
    ----------
    name
        Name on the command line.
    title
        One line of help.
    module
        Module with ``run_demo(dest, seeds, scale, workers)``, imported when it is run: that
        decides on the host. It raises DemoError or CommandError.
    """

    name: str
    title: str
    module: str


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
