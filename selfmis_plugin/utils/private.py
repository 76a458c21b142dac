"""The folder of what is compiled at first use: nobody but its user can put anything there.

Machine code that is kept on disk is run by whoever loads it, so it is loaded only from where others
cannot write.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

__all__ = ["cache_folder", "is_private", "private_folder"]

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def cache_folder() -> Path:
    """Return this package's folder in the user's cache (``$XDG_CACHE_HOME``, else ``~/.cache``).

    Raises
    ------
    OSError, RuntimeError
        If there can be none, or a link on the way there is another user's.
    """
    named = os.environ.get("XDG_CACHE_HOME")
    return private_folder((Path(named) if named else Path.home() / ".cache") / "selfmis")


def private_folder(path: Path) -> Path:
    """Return a folder that only this user can enter, made where there is none.

    What stands there and is another user's (but for root), is writable by others, or is a link or
    a file, is put away, once, with all that is in it.

    Raises
    ------
    OSError
        If it cannot be made, or a link above it is another user's.
    """
    path = path.absolute()
    _refuse_links_of_others(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # First made, then looked at: another process may make it at the same time.
    if not _made(path) and not is_private(path, stat.S_ISDIR):
        _put_away(path)
        if not _made(path) and not is_private(path, stat.S_ISDIR):
            raise PermissionError(f"{path}: is another user's, and cannot be replaced")
    # Whatever the umask has taken from it, or an older version has left.
    if os.name == "posix" and path.lstat().st_uid == os.geteuid():
        path.chmod(0o700)
    return path


def is_private(path: Path, kind: Callable[[int], bool] = stat.S_ISREG) -> bool:
    """Whether a file, or what *kind* of :mod:`stat` asks for, is there, is no link, is this user's
    or root's, and is writable by nobody else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    if not kind(found.st_mode):
        return False
    return os.name != "posix" or (_is_ours(found) and not found.st_mode & _WRITABLE_BY_OTHERS)


def _made(path: Path) -> bool:
    """Make a folder; return whether nothing was there."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return False
    return True


def _is_ours(found: os.stat_result) -> bool:
    return found.st_uid in (os.geteuid(), 0)


def _put_away(path: Path) -> None:
    """Remove a file, a link or a folder, also one that only its name can be taken from."""
    if not os.path.lexists(path):
        return
    # What is there may be in use, or not ours to empty: its name is free at once.
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    path.rename(aside / "old")
    shutil.rmtree(aside, ignore_errors=True)


def _refuse_links_of_others(path: Path) -> None:
    """Raise PermissionError where a link on the way to *path* is another user's."""
    if os.name != "posix":
        return
    for place in (*reversed(path.parents), path):
        try:
            found = place.lstat()
        except FileNotFoundError:
            return
        if stat.S_ISLNK(found.st_mode) and not _is_ours(found):
            raise PermissionError(f"{place}: is a link of another user's: nothing is kept below it")
