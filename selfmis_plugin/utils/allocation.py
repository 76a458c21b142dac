"""How the C library gives freed memory back to the system."""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["keep_freed_memory"]

#: Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
#: The largest threshold that glibc takes.
_LARGEST = 32 * 2**20


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, and use it again.

    A training step frees what the next one asks for. glibc gives large blocks back to the system,
    which clears each page anew: a tenth of a small network's step. The most memory that a process
    holds at a time stays what it was.

    Returns
    -------
    bool
        Whether it does: not where the C library is another, nor where the user has set one of
        glibc's own variables (``MALLOC_TRIM_THRESHOLD_`` and so on).
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    values = {_MMAP_THRESHOLD: _LARGEST, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: _LARGEST}
    done = [mallopt(ctypes.c_int(name), ctypes.c_int(value)) for name, value in values.items()]
    return all(done)
