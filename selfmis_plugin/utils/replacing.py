"""A folder in the place of another, of which the user's own files stay."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from selfmis_plugin.utils.files import sync
from selfmis_plugin.utils.temporary import leftovers, lock, name_beside, remove

__all__ = ["put_back", "replace_folder"]

#: What the name of a folder says that has been taken away to make room.
_ASIDE = "replaced"
#: What the name of a file begins with while it is copied from the folder that is replaced.
_COPYING = ".copying-"


def replace_folder(
    folder: Path, dest: Path, is_own: Callable[[str], bool], aside: Path | None = None
) -> tuple[str, ...]:
    """Give a folder that is whole its place, where another one is or nothing.

    Parameters
    ----------
    folder
        The new one, on the same file system as *dest*.
    dest
        Its place. Files in the one that is there are copied into the new one, but for those that
        are its own or that the new one brings itself.
    is_own
        Whether a name is that of a file of such a folder; all others are the user's.
    aside
        Where the old one goes, and stays; without it the old one is removed.

    Returns
    -------
    tuple of str
        Names of the files that were kept.
    """
    if not dest.exists():
        folder.rename(dest)
        sync(dest.parent)
        return ()
    for left in folder.glob(f"{_COPYING}*"):  # of a run that was killed here
        remove(left)
    brought = {path.name for path in folder.iterdir()}
    kept = [p for p in sorted(dest.iterdir()) if not is_own(p.name) and p.name not in brought]
    for path in kept:
        # Under another name until it is whole: what has its own name is taken for the new one's.
        copy = folder / f"{_COPYING}{path.name}"
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, copy, symlinks=True)
        else:
            shutil.copy2(path, copy, follow_symlinks=False)
        copy.rename(folder / path.name)
    _exchange(folder, dest, aside)
    return tuple(path.name for path in kept)


def _exchange(folder: Path, dest: Path, aside: Path | None) -> None:
    old = aside or name_beside(dest, _ASIDE)
    # Held, so that nobody takes it for what a killed run has left.
    handle = os.open(dest, os.O_RDONLY)
    try:
        lock(handle)
        dest.rename(old)
        try:
            folder.rename(dest)
        except BaseException:
            old.rename(dest)
            raise
        sync(dest.parent)
        if aside is None:
            remove(old)
    finally:
        os.close(handle)


def put_back(dest: Path) -> None:
    """Put back what a run had taken away when it was killed; remove what it had replaced."""
    for left in leftovers(dest, _ASIDE):
        if os.path.lexists(dest):
            remove(left)
        else:
            left.rename(dest)
