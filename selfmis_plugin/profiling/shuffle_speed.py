"""An epoch read from a disk that holds more than the memory: in any order, and block by block."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selfmis_plugin.data.shuffling import Blocks
from selfmis_plugin.data.store import SIGNALS_FILE, Store, StoreWriter
from selfmis_plugin.profiling.page_cache import forget
from selfmis_plugin.profiling.process_tree import bytes_read
from selfmis_plugin.training.store_dataset import StoreDataset

__all__ = [
    "BATCH",
    "OrderSpeed",
    "compare_orders",
    "in_turns",
    "read_epoch",
    "write_noise_store",
    "write_single_lead_store",
]

BATCH = 128
BLOCK = 256
WINDOW = 16 * BLOCK
SAMPLES = 5000
#: Records that are drawn, of which every record is one: a disk does not look into them.
_SIGNALS = 64


@dataclass(frozen=True)
class OrderSpeed:
    """Epochs in one order, each begun with nothing in the kernel's cache.

    Attributes
    ----------
    ecg_per_s
        Records a second, of every epoch.
    read_per_used
        Bytes that came from the disk for each byte that a batch held, of every epoch; empty where
        the system does not tell.
    """

    ecg_per_s: tuple[float, ...]
    read_per_used: tuple[float, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the figures for a JSON file, medians first."""
        read = self.read_per_used
        return {
            "ecg_per_s": statistics.median(self.ecg_per_s),
            "read_per_used": statistics.median(read) if read else None,
            "ecg_per_s_rounds": list(self.ecg_per_s),
            "read_per_used_rounds": list(read),
        }


def write_single_lead_store(folder: Path, records: int) -> Path:
    """Write a store of lead I at 500 Hz, 10 s, as ``selfmis prepare view`` makes one; noise."""
    return write_noise_store(folder, records, ("I",))


def write_noise_store(folder: Path, records: int, leads: Sequence[str]) -> Path:
    """Write a store of noise at 500 Hz, 10 s; return its folder."""
    random = np.random.default_rng(0)
    signals = random.integers(-2000, 2000, (_SIGNALS, len(leads), SAMPLES)).astype(np.int16)
    with StoreWriter(folder, database="noise", leads=leads) as writer:
        for number in range(records):
            row = {"record_id": f"{number:07d}", "patient_id": f"{number:07d}", "split": "train"}
            writer.append(signals[number % _SIGNALS], {**row, "lead_mask": 2 ** len(leads) - 1})
    return folder


def compare_orders(store: Path, rounds: int) -> dict[str, OrderSpeed]:
    """Read epochs in turns, in batches of 128, each from the disk.

    Parameters
    ----------
    store
        Its folder.
    rounds
        Epochs of each order.

    Returns
    -------
    dict
        ``exact``: every record drawn from all; ``block``: blocks of 256 neighbours, 16 of which
        are shuffled together.
    """
    return in_turns(
        {
            "exact": lambda epoch: read_epoch(store, None, epoch),
            "block": lambda epoch: read_epoch(store, Blocks(BLOCK, WINDOW), epoch),
        },
        rounds,
    )


def in_turns(
    ways: Mapping[str, Callable[[int], tuple[float, float | None]]], rounds: int
) -> dict[str, OrderSpeed]:
    """Read epochs in turns, each way once a round; it is given the number of the epoch and returns
    what :func:`read_epoch` does."""
    found: dict[str, list[tuple[float, float | None]]] = {name: [] for name in ways}
    for epoch in range(1, rounds + 1):
        for name, read in ways.items():
            found[name].append(read(epoch))
    return {
        name: OrderSpeed(
            tuple(speed for speed, _ in pairs),
            tuple(read for _, read in pairs if read is not None),
        )
        for name, pairs in found.items()
    }


def read_epoch(store: Path, blocks: Blocks | None, epoch: int) -> tuple[float, float | None]:
    """Read lead I of all records once, in batches of 128, from the disk alone; return the records
    a second, and the bytes from the disk for a byte of a batch where the system tells."""
    gc.collect()  # a map that is still there keeps its pages
    forget([store / SIGNALS_FILE])
    opened = Store.open(store)
    dataset = StoreDataset(opened, np.arange(len(opened)), ("I",), shuffle_seed=1)
    if blocks is not None:
        dataset.use_blocks(blocks)
    dataset.set_epoch(epoch)
    batches = dataset.batch_by_size(dataset.ordered_indices(), max_sentences=BATCH)
    _, before = bytes_read()
    start = time.perf_counter()
    used = 0
    for batch in batches:
        used += dataset.batch(batch)["net_input"]["signal"].nbytes
    seconds = time.perf_counter() - start
    _, after = bytes_read()
    read = None if before is None or after is None else (after - before) / used
    return len(dataset) / seconds, read
