"""A later epoch, which reads lead I alone: from a store, and from a view of it."""

from __future__ import annotations

import functools
from pathlib import Path

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.store import SIGNALS_FILE, Store
from selfmis_plugin.preparation.view import write_view
from selfmis_plugin.profiling.shuffle_speed import (
    OrderSpeed,
    in_turns,
    read_epoch,
    write_noise_store,
)

__all__ = ["RATE", "bytes_of_lead", "compare_view", "size_of", "write_store_and_view"]

#: Hz of the view, as the small encoders read.
RATE = 100


def write_store_and_view(folder: Path, records: int) -> tuple[Path, Path]:
    """Write a store of twelve leads at 500 Hz, noise, and its view of lead I at :data:`RATE`."""
    store = write_noise_store(folder / "store", records, STANDARD_LEADS)
    view = folder / "view"
    write_view(store, view, ("I",), RATE)
    return store, view


def compare_view(store: Path, view: Path, rounds: int) -> dict[str, OrderSpeed]:
    """Read epochs of lead I from both in turns, any order, each from the disk alone.

    Returns
    -------
    dict
        ``store`` and ``view``. Their bytes from the disk are for a byte of a batch, of which a
        record has :func:`bytes_of_lead`.
    """
    ways = {"store": store, "view": view}
    return in_turns(
        {name: functools.partial(read_epoch, path, None) for name, path in ways.items()}, rounds
    )


def bytes_of_lead(folder: Path) -> int:
    """Return the bytes of one lead of a record."""
    store = Store.open(folder)
    return store.info.samples * store.bytes_of_sample


def size_of(folder: Path) -> int:
    """Return the bytes of a store's signals."""
    return (folder / SIGNALS_FILE).stat().st_size
