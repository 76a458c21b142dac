"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO

from selfmis_plugin.utils.disk import explained
from selfmis_plugin.utils.temporary import PARTIAL, is_temporary, temporary_beside

#: The standard output, while what is printed goes elsewhere.
_json_stream: ContextVar[TextIO | None] = ContextVar("json_stream", default=None)


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str], mode: int | None = None) -> Iterator[Path]:
    """Give a temporary path to write to; it becomes *path* if the block ends without an error.

    Its permissions become *mode*; None: those that the umask leaves to a new file.

    Raises
    ------
    WriteError
        If the disk is full, or nothing may be written there.
    """
    # Absolute: the working folder may change meanwhile.
    target = Path(path).absolute()
    require_file(target)
    # A device or a pipe, which no rename may replace; or what somebody else will rename.
    if (target.exists() and not target.is_file()) or is_temporary(target):
        with explained(target):
            yield target
        return
    make_folder(target.parent, target)
    with contextlib.ExitStack() as stack:
        with explained(target):
            temporary = stack.enter_context(temporary_beside(target))
        with explained(target, temporary):
            yield temporary
            if mode is not None:
                temporary.chmod(mode)
            sync(temporary)
            temporary.replace(target)


@contextlib.contextmanager
def whole_files(*paths: str | os.PathLike[str]) -> Iterator[tuple[Path, ...]]:
    """Give temporary paths to write to; they become *paths* when all are written, in their order.

    Raises
    ------
    WriteError
        If the disk is full, or nothing may be written there; then all are as they were.
    """
    with contextlib.ExitStack() as stack:
        # They end in reverse, so they are entered in reverse.
        temporary = [stack.enter_context(whole_file(path)) for path in reversed(paths)]
        yield tuple(reversed(temporary))


@contextlib.contextmanager
def whole_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder to fill; it becomes *path* if the block ends without an error.

    An empty folder at *path* is replaced.

    Raises
    ------
    WriteError
        If the disk is full, or nothing may be written there.
    OSError
        If something else has come to be at *path*.
    """
    target = Path(path).absolute()
    with folder_beside(target) as folder:
        yield folder
        folder.rename(target)
    sync(target.parent)


@contextlib.contextmanager
def folder_beside(target: Path, kind: str = PARTIAL) -> Iterator[Path]:
    """Give a hidden folder beside *target* to work in, for as long as the block lasts.

    Parameters
    ----------
    target
        What is made of it, absolute.
    kind
        What it is, part of its name.

    Raises
    ------
    WriteError
        If the disk is full, or nothing may be written there; the message names *target*.
    """
    make_folder(target.parent, target)
    with contextlib.ExitStack() as stack:
        with explained(target):
            folder = stack.enter_context(temporary_beside(target, folder=True, kind=kind))
        with explained(target, folder):
            yield folder


def make_folder(folder: Path, target: Path | None = None) -> None:
    """Make a folder, and those that it lies in, for *target* (itself by default).

    Raises
    ------
    NotADirectoryError
        If a file is in the way; the message names it.
    WriteError
        If it cannot be made.
    """
    require_folder(folder)
    with explained(target or folder):
        folder.mkdir(parents=True, exist_ok=True)


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


def require_file(path: str | os.PathLike[str]) -> None:
    """Refuse a path where no file is and none can be made, as what takes long to compute does
    before it begins.

    Raises
    ------
    IsADirectoryError
        If it is a folder.
    NotADirectoryError
        If what it lies in is a file; the message names that.
    WriteError
        If nothing may be written there.
    """
    target = Path(path).absolute()
    with explained(target):
        is_folder = target.is_dir()
    if is_folder:
        raise IsADirectoryError(f"{target}: is a folder: give the name of a file")
    require_folder(target.parent)


@contextlib.contextmanager
def printing_beside(json_target: str | os.PathLike[str] | None) -> Iterator[None]:
    """Send what is printed to the standard error where the JSON goes to the standard output; what
    is computed in the block is not, where its JSON could not be written.

    Raises
    ------
    IsADirectoryError, NotADirectoryError, WriteError
        As :func:`require_file`.
    """
    if json_target is not None and not _is_standard_output(json_target):
        require_file(json_target)
    if not _is_standard_output(json_target):
        yield
        return
    token = _json_stream.set(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _json_stream.reset(token)


def _is_standard_output(path: str | os.PathLike[str] | None) -> bool:
    return path is not None and os.fspath(path) == "-"


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write *content* as JSON, whole or not at all; NaN is refused, since JSON has none.

    ``-`` is the standard output.
    """
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    if _is_standard_output(path):
        stream = _json_stream.get() or sys.stdout
        stream.write(text)
        stream.flush()
        return
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sync(path: str | os.PathLike[str]) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
