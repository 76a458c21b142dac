"""Time and memory that one reading may take."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["bounded"]


@contextmanager
def bounded(seconds: float = 1.0, mebibytes: float = 300.0) -> Iterator[None]:
    """Fail where what is done in the block takes more CPU time, or more memory."""
    memory, start = _peak(), time.process_time()
    yield
    assert time.process_time() - start < seconds
    assert _peak() - memory < mebibytes


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
