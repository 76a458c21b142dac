"""How fast batches are read in training, against ``.mat`` files and the memory map itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import scipy.io
import torch

from selfmis_plugin.data.store import Store
from selfmis_plugin.nn.inputs import zscore
from selfmis_plugin.profiling.timing import Speed, compare, threads
from selfmis_plugin.training.store_dataset import StoreDataset

BATCH = 128
#: Batches read in a turn: a turn over fewer would be too short for the clock.
_BATCHES = 24
_MAT_BATCHES = 4


def reading_speeds(store: Store, mat_files: Sequence[Path], rounds: int) -> dict[str, Speed]:
    """Compare on one core, in batches of 128 in shuffled order.

    Parameters
    ----------
    store
        Records.
    mat_files
        The same records as fairseq-signals stores them.
    rounds
        Turns.

    Returns
    -------
    dict
        Records a second, each for 12 leads and for lead I (names end in 12 and 1): ``read`` hands
        out int16 batches as the host gets them, ``read_normalised`` with the z-score on the CPU,
        ``mat`` loads a ``.mat`` file a record, ``map`` copies neighbouring records out of the
        memory map, which no shuffled reading can exceed.
    """
    ways: dict[str, Callable[[], int]] = {}
    for leads in (12, 1):
        dataset = StoreDataset(
            store, np.arange(len(store)), store.info.leads[:leads], shuffle_seed=0
        )
        epoch = dataset.batch_by_size(dataset.ordered_indices(), max_sentences=BATCH)
        many = [epoch[k % len(epoch)] for k in range(_BATCHES)]
        rows = np.arange(len(store))
        blocks = [rows[k % len(epoch) * BATCH :][:BATCH] for k in range(_BATCHES)]
        ways |= {
            f"read{leads}": _over(many, functools.partial(_batch, dataset)),
            f"read_normalised{leads}": _over(many, functools.partial(_normalised, dataset)),
            f"mat{leads}": _over(epoch[:_MAT_BATCHES], functools.partial(_mat, mat_files, leads)),
            f"map{leads}": _over(blocks, functools.partial(_copy, store, leads)),
        }
    with threads(1):
        return compare(ways, rounds=rounds, warm_up=2)


def _over(batches: Sequence[np.ndarray], read: Callable[[np.ndarray], object]) -> Callable[[], int]:
    def work() -> int:
        for batch in batches:
            read(batch)
        return sum(map(len, batches))

    return work


def _batch(dataset: StoreDataset, batch: np.ndarray) -> torch.Tensor:
    signal: torch.Tensor = dataset.batch(batch)["net_input"]["signal"]
    return signal


def _normalised(dataset: StoreDataset, batch: np.ndarray) -> torch.Tensor:
    return zscore(_batch(dataset, batch))


def _copy(store: Store, leads: int, block: np.ndarray) -> np.ndarray:
    return store.signals[block[0] : block[-1] + 1, :leads].copy()


def _mat(files: Sequence[Path], leads: int, batch: np.ndarray) -> torch.Tensor:
    """Read a batch as fairseq-signals does: a whole file a record, as float32, put together."""
    signals = [
        torch.from_numpy(scipy.io.loadmat(files[row])["feats"]).float()[list(range(leads))]
        for row in batch
    ]
    together = signals[0].new_zeros((len(signals), *signals[0].shape))
    for place, signal in zip(together, signals, strict=True):
        place.copy_(signal)
    return together
