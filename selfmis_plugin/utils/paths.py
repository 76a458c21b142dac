"""Paths as the user typed them, in a program that changes folder at its start."""

from __future__ import annotations

import os
from pathlib import Path

#: Both hosts let Hydra change into the run folder before they read anything. The folder in which
#: the command was typed is kept here because spawned workers inherit the environment and nothing
#: else.
LAUNCH_FOLDER = "SELFMIS_LAUNCH_FOLDER"


def remember_launch_folder() -> None:
    """Keep the current folder as the one that relative paths are read from."""
    os.environ[LAUNCH_FOLDER] = os.getcwd()


def escaped(path: str) -> str:
    """Return a path as text that can be written anywhere: what is not UTF-8 in it as ``\\xe9``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def from_launch_folder(path: str | os.PathLike[str]) -> Path:
    """Return *path*, read from the folder in which the command was typed if it is relative."""
    launch_folder = os.environ.get(LAUNCH_FOLDER) or os.getcwd()
    return Path(os.path.normpath(Path(launch_folder) / Path(path).expanduser()))
