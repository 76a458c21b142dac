"""What libraries log while something else is shown."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_messages"]


@contextmanager
def without_messages(level: int = logging.INFO) -> Iterator[None]:
    """Leave out what anybody logs at *level* and below, and log as before afterwards."""
    before = logging.root.manager.disable
    logging.disable(level)
    try:
        yield
    finally:
        logging.disable(before)
