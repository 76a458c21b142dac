"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str], mode: int | None = None) -> Iterator[Path]:
    """Give a temporary path to write to; it becomes *path* if the block ends without an error.

    Its permissions become *mode*; None: those that the umask leaves to a new file.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"{target}: is a folder: give the name of a file")
    require_folder(target.parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept: libraries choose the format by it.
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=target.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp lets nobody else read it.
        temporary.chmod(0o666 & ~_umask() if mode is None else mode)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def require_folder(path: str | os.PathLike[str]) -> None:
    """Refuse a path where no folder is and none can be made: it, or what it lies in, is a file.

    Raises
    ------
    NotADirectoryError
        If it is so; the message names the file.
    """
    for place in (Path(path), *Path(path).parents):
        if place.is_dir():
            return
        if os.path.lexists(place):
            raise NotADirectoryError(
                f"{place}: is a file, where a folder is to be: give another name, or move the file"
            )


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write *content* as JSON, whole or not at all; NaN is refused, since JSON has none."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sync(path: str | os.PathLike[str]) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
