"""What tells one store from any other."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from selfmis_plugin.data.store.format import INFO_FILE, RECORDS_FILE, SIGNALS_FILE
from selfmis_plugin.data.store.store import Store

__all__ = ["digest", "identity_of"]

#: Records of a store that are looked at themselves, besides the size and date of their file.
_RECORDS_LOOKED_AT = 64


def identity_of(store: Store) -> dict[str, Any]:
    """Return what tells a store from any other.

    The description and the table of records are read whole. Of the signals the size, the time of
    the last change and a few records are taken: they may be a hundred gigabytes. So a store that
    was prepared again, copied or edited is another one.

    Returns
    -------
    dict
        JSON-ready.
    """
    signals = (store.path / SIGNALS_FILE).stat()
    some = np.linspace(0, len(store) - 1, min(len(store), _RECORDS_LOOKED_AT)).astype(np.int64)
    return {
        "info": digest((store.path / INFO_FILE).read_bytes()),
        "records": digest((store.path / RECORDS_FILE).read_bytes()),
        "signals": [signals.st_size, signals.st_mtime_ns, digest(store.signals[some].tobytes())],
    }


def digest(content: bytes) -> str:
    """Return the SHA-256 of *content*, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
