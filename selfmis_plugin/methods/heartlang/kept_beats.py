"""Beats of all records of a store, found once and kept beside it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from selfmis_plugin._version import __version__
from selfmis_plugin.data.store import Store
from selfmis_plugin.data.store.format import BEATS_FOLDER
from selfmis_plugin.methods.heartlang.beat_times import FINDER, most_beats
from selfmis_plugin.methods.heartlang.word_input import WordInput
from selfmis_plugin.training.embedding_cache import EmbeddingCache, cache_key, store_identity
from selfmis_plugin.training.kept_records import Words, keep

__all__ = ["count_without", "kept_beats"]

logger = logging.getLogger(__name__)

_RECORDS_AT_ONCE = 64
_FREE = "Free some space there, or in the run's folder"
_WORDS = Words("beats", when_full=_FREE, when_refused=_FREE, when_failed=_FREE)


class _Channels(Dataset[torch.Tensor]):
    """Beats of one batch of records after the other."""

    def __init__(self, store: Store, batches: list[np.ndarray], prepare: WordInput) -> None:
        self.store = store
        self.batches = batches
        self.prepare = prepare
        self.lead = prepare.leads[prepare.beat_row]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> torch.Tensor:
        signal = self.store.read(self.batches[number], [self.lead])
        return self.prepare.find(torch.from_numpy(signal)[:, 0])


def kept_beats(store: Store, prepare: WordInput, workers: int = 0) -> EmbeddingCache:
    """Return the beats of every record of a store, after finding those that are missing.

    Every process of a run must call this; all find their share.

    Parameters
    ----------
    store
        The store.
    prepare
        What finds them; it says on which lead and at which rate.
    workers
        Processes that read and find, for each process; 0 does it in this one.

    Returns
    -------
    EmbeddingCache
        int16 rows of samples at 100 Hz, as :meth:`WordInput.find` gives them.

    Raises
    ------
    EmbeddingCacheError
        On every process, if they cannot be kept.
    """
    lead = prepare.leads[prepare.beat_row]
    name = f"{lead}-{prepare.beat_rate:g}Hz-{FINDER}"

    def cache_in(place: Path) -> EmbeddingCache:
        rows = np.arange(len(store))
        key = cache_key(beats=name, records=store_identity(store, rows), made_by=__version__)
        most = most_beats(store.info.seconds)
        return EmbeddingCache(place / name, key, len(store), most, "int16", _RECORDS_AT_ONCE)

    def compute(cache: EmbeddingCache, indices: np.ndarray) -> Iterator[np.ndarray]:
        size = cache.batch_size
        batches = [indices[start : start + size] for start in range(0, len(indices), size)]
        # A generator of its own: a loader draws from the common one.
        loader = DataLoader(
            _Channels(store, batches, prepare),
            batch_size=None,
            num_workers=workers,
            generator=torch.Generator(),
        )
        for found in loader:
            yield found.numpy()

    places = [store.path / BEATS_FOLDER, Path.cwd() / BEATS_FOLDER]
    cache, computed = keep(places, cache_in, compute, _WORDS)
    logger.info(
        "beats of %d records on lead %s: %s (%s)",
        len(store),
        lead,
        "found" if computed else "read from what was kept",
        cache.path,
    )
    return cache


def count_without(beats: EmbeddingCache, rows: np.ndarray, folder: str) -> int:
    """Return, and say in the log, in how many records no beat is found."""
    without = int((beats.read(rows)[:, 0] < 0).sum()) if len(rows) else 0
    if without:
        logger.warning(
            "%s: no beat is found in %d of %d records: they have no words, so that all of them "
            "have one and the same embedding",
            *(folder, without, len(rows)),
        )
    return without
