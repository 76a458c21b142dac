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

__all__ = [
    "is_temporary", "leftovers", "lock", "name_beside", "remove", "sweep", "temporary_beside",
]  # fmt: skip

#: What the name of something that is being made says.
PARTIAL = "partial"
#: Bytes of a file's name that leave room for what is added to it.
_LONGEST = 200


@contextlib.contextmanager
def temporary_beside(target: Path, *, folder: bool = False, kind: str = PARTIAL) -> Iterator[Path]:
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
        # Another run's sweep may come between, until it is locked.
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY)
            lock(handle, wait=True)
            if _is_at(handle, path):
                return path, handle
            os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file or folder is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def name_beside(target: Path, kind: str, suffix: str = "") -> Path:
    """Return a hidden name beside *target* that nobody has; the suffix tells libraries a format."""
    return target.with_name(f"{_prefix(target, kind)}{uuid.uuid4().hex[:8]}{suffix}")


def is_temporary(path: Path) -> bool:
    """Whether a file is one that :func:`temporary_beside` has made."""
    name = path.name.removesuffix(path.suffix)
    return re.fullmatch(rf"\..+\.{PARTIAL}-[0-9a-f]{{8}}", name, re.DOTALL) is not None


def sweep(target: Path, kind: str = PARTIAL) -> None:
    """Remove what runs that were killed have left beside *target*."""
    for path in leftovers(target, kind):
        remove(path)


def leftovers(target: Path, kind: str) -> Iterator[Path]:
    """Yield what runs that were killed have left beside *target*, each held until the next."""
    pattern = re.compile(re.escape(_prefix(target, kind)) + r"[0-9a-f]{8}")
    try:
        names = sorted(os.listdir(target.parent))
    except OSError:
        return  # no folder, or one whose files are not ours to see
    for name in names:
        if pattern.fullmatch(name.removesuffix(target.suffix)):
            path = target.with_name(name)
            with contextlib.suppress(OSError), _opened(path) as handle:
                if lock(handle) and _is_at(handle, path):
                    yield path


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def lock(handle: int, wait: bool = False) -> bool:
    """Lock an open file or folder; false if somebody has, or a file system knows no locks.

    Parameters
    ----------
    handle
        The file or folder.
    wait
        Whether to wait until nobody has.
    """
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process, or thread, is in such a block of that folder, where its file
    system knows locks."""
    with _opened(folder) as handle:
        lock(handle, wait=True)
        yield


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
