"""Files that are read as if nobody had read them before."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["can_forget", "forget"]


def can_forget() -> bool:
    """Whether this system drops what it holds of a file when it is asked to."""
    return hasattr(os, "posix_fadvise")


def forget(files: Iterable[Path]) -> None:
    """Ask the kernel to drop what its cache holds of files, where it takes such advice.

    What a process has mapped stays. A disk of a virtual machine may be in its host's memory all the
    same.
    """
    if not can_forget():
        return
    os.sync()  # what is not written yet is not dropped
    for file in files:
        handle = os.open(file, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)
