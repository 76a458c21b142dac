"""Hidden files and folders in which something is made before it gets its name.

They lie beside what they are going to be, so that a rename does it. Whoever writes one holds a lock
on it, which ends with the process however that ends: what nobody holds is left of a run that was
killed, and the next one that makes the same removes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["leftovers", "lock", "name_beside", "remove", "sweep", "temporary_beside"]

#: What the name of something that is being made says.
PARTIAL = "partial"
#: Bytes of a file's name that leave room for what is added to it.
_LONGEST = 200


@contextlib.contextmanager
def temporary_beside(
    target: Path, *, folder: bool = False, kind: str = PARTIAL
) -> Iterator[Path]:
    """Make an empty hidden file, or folder, beside *target*; it is removed at the end.

    What runs that were killed have left of the same is removed first. A rename within the block
    takes it out of its reach.

    Parameters
    ----------
    target
        What it is going to be; its folder is there.
    folder
        Whether a folder is made.
    kind
        What it is, part of its name.
    """
    sweep(target, kind)
    path, handle = _claim(target, folder, kind)
    try:
        yield path
    finally:
        os.close(handle)
        remove(path)


def _claim(target: Path, folder: bool, kind: str) -> tuple[Path, int]:
    while True:
        path = name_beside(target, kind, suffix="" if folder else target.suffix)
        if folder:
            path.mkdir()
        else:
            path.touch(exist_ok=False)
        handle = os.open(path, os.O_RDONLY)
        lock(handle)
        if path.exists():
            return path, handle
        os.close(handle)  # another run's sweep has come between


def name_beside(target: Path, kind: str, suffix: str = "") -> Path:
    """Return a hidden name beside *target* that nobody has; the suffix tells libraries a format."""
    return target.with_name(f"{_prefix(target, kind)}{uuid.uuid4().hex[:8]}{suffix}")


def sweep(target: Path, kind: str = PARTIAL) -> None:
    """Remove what runs that were killed have left beside *target*."""
    for path in leftovers(target, kind):
        remove(path)


def leftovers(target: Path, kind: str) -> list[Path]:
    """Return what runs that were killed have left beside *target*, by name."""
    pattern = re.compile(re.escape(_prefix(target, kind)) + r"[0-9a-f]{8}")
    suffix = target.suffix
    try:
        names = os.listdir(target.parent)
    except OSError:
        return []  # no folder, or one whose files are not ours to see
    found = (name for name in names if pattern.fullmatch(name.removesuffix(suffix)))
    return sorted(target.with_name(name) for name in found if _is_left(target.with_name(name)))


def _is_left(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return lock(handle)
    finally:
        os.close(handle)


def lock(handle: int) -> bool:
    """Lock an open file or folder if nobody has; false also where a file system knows no locks."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def remove(path: Path) -> None:
    """Remove a file, or a folder with everything in it, if it is there and can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _prefix(target: Path, kind: str) -> str:
    name = target.name
    if len(os.fsencode(name)) > _LONGEST:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return f".{name}.{kind}-"
