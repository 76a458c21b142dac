"""What can go wrong while something is written, said so that a user knows what to do."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["FULL", "WriteError", "explained", "in_words"]

#: Errors of a place that takes no more bytes.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG})
_AGAIN = "Then give the same command again"
_ADVICE = {
    errno.ENOSPC: f"free some space, or give a place on another disk. {_AGAIN}",
    errno.EDQUOT: f"free some space, or give a place on another disk. {_AGAIN}",
    errno.EFBIG: "raise the limit (ulimit -f), or give a place whose file system takes larger "
    f"files. {_AGAIN}",
    errno.EROFS: "give a place on a disk that can be written to",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EIO: "see to the disk or the network. " + _AGAIN,
}
_MAY_NOT = "give a place where you may write, or see to the permissions"
#: Bytes by which a question for room is larger than what a library may have left unwritten.
_PROBE = 1 << 20
_PROBED_FILES = 256


class WriteError(OSError):
    """Something cannot be written; the message names it and says what to do.

    Its ``filename`` is what could not be written, its ``errno`` the system's reason.
    """

    def __str__(self) -> str:
        return str(self.strerror)


@contextlib.contextmanager
def explained(target: Path, temporary: Path | None = None) -> Iterator[None]:
    """Raise a :class:`WriteError` about *target* where the block fails for the disk's sake.

    Libraries report a full disk in ways of their own (``RuntimeError``, an ``OSError`` without a
    number), so where their error does not say it the disk itself is asked.

    Parameters
    ----------
    target
        What the user has named.
    temporary
        The file or folder that the block writes in its place; None where it writes *target*
        itself, or makes room for it.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, WriteError) and not _is_in(error.filename, temporary):
            raise  # it names what the user knows
        reason = _reason(error, temporary)
        if reason is None:
            raise
        number, culprit = reason
        raise WriteError(number, _text(number, target, culprit), str(target)) from error


def in_words(error: OSError, place: str) -> str | None:
    """Say in one line what a disk did not allow, and what to do; None if it is something else.

    Parameters
    ----------
    error
        What went wrong.
    place
        What it is about, where the error names no file.
    """
    if isinstance(error, WriteError):
        return str(error)
    if error.errno is None or error.errno not in FULL | _NOT_ALLOWED:
        return None
    return f"{error.filename or place}: {os.strerror(error.errno)}: {_advice(error.errno)}"


def _reason(error: Exception, temporary: Path | None) -> tuple[int, str] | None:
    """Return the system's reason and a file elsewhere that is to blame, "" for none."""
    if isinstance(error, OSError) and error.errno is not None:
        # A copy names what it reads, and then what it writes.
        name = error.filename2 or error.filename
        name = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""
        here = temporary is None or not name or _is_in(name, temporary)
        if error.errno in FULL:
            return error.errno, "" if here else name
        if error.errno in _NOT_ALLOWED or error.errno == errno.EIO:
            # Of another file it is what could not be read.
            return (error.errno, "") if here and (name or temporary is None) else None
        return None
    said = f"{error} {error.__cause__ or ''}"
    for number in FULL:
        if os.strerror(number) in said:
            return number, ""
    # A wrong value is no matter of the disk.
    found = None if temporary is None or isinstance(error, ValueError) else _ask(temporary)
    return None if found is None else (found, "")


def _is_in(name: str, folder: Path | None) -> bool:
    return folder is not None and Path(os.path.abspath(name)).is_relative_to(folder)


def _ask(temporary: Path) -> int | None:
    """Return why no more can be written to what is going to be removed; None if it can."""
    files = [temporary]
    if temporary.is_dir():
        there = (path for path in temporary.rglob("*") if path.is_file())
        largest = sorted(
            itertools.islice(there, _PROBED_FILES), key=lambda path: path.stat().st_size
        )
        files = [*largest[-1:], temporary / "room"]
    for file in files:
        try:
            with file.open("ab") as output:
                output.write(bytes(_PROBE))
                output.flush()
        except OSError as error:
            if error.errno in FULL:
                return error.errno
    return None


def _text(number: int, target: Path, culprit: str) -> str:
    where = f" ({culprit})" if culprit else ""
    return f"{target}: cannot be written: {os.strerror(number)}{where}: {_advice(number)}"


def _advice(number: int) -> str:
    return _ADVICE.get(number, _MAY_NOT)
