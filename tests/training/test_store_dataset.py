"""Records as the host's iterators get them."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.store import Store
from selfmis_plugin.data.store.format import CutShortError
from selfmis_plugin.methods.selfmis.task import SelfMISPretrainingConfig, SelfMISPretrainingTask
from selfmis_plugin.training.store_dataset import StoreDataset
from tests.support import environment, write_store


@pytest.fixture
def dataset(store: Path) -> StoreDataset:
    rows = np.arange(100)[::-1].copy()
    return StoreDataset(Store.open(store), rows, ["V1", "I"], ["AMI", "IMI"], shuffle_seed=3)


def test_a_batch_is_what_the_store_holds(dataset: StoreDataset) -> None:
    batch = dataset.batch([5, 0, 99])
    rows = [94, 99, 0]
    assert batch["id"].tolist() == rows
    signal = batch["net_input"]["signal"]
    assert signal.dtype == torch.int16 and signal.shape == (3, 2, 5000)
    assert np.array_equal(signal.numpy(), dataset.store.signals[rows][:, [6, 0]])
    records = dataset.store.records["labels"]
    expected = [[float(name in records[row]) for name in ("AMI", "IMI")] for row in rows]
    assert batch["target"].tolist() == expected
    assert dataset.collater is not None and dataset.collator([]) == {}


def test_every_epoch_has_each_record_once_in_its_own_order(dataset: StoreDataset) -> None:
    orders = []
    for epoch in (1, 2, 1):
        dataset.set_epoch(epoch)
        order = dataset.ordered_indices()
        assert sorted(order) == list(range(100))
        orders.append(order.tolist())
    assert orders[0] == orders[2] != orders[1]
    assert not dataset.can_reuse_epoch_itr_across_epochs


def test_batches_have_the_size_asked_for(dataset: StoreDataset) -> None:
    for name in ("max_sentences", "max_signals"):
        batches = dataset.batch_by_size(dataset.ordered_indices(), **{name: 32})
        assert [len(batch) for batch in batches] == [32, 32, 32, 4]
    with pytest.raises(ValueError, match=r"dataset\.batch_size"):
        dataset.batch_by_size(dataset.ordered_indices(), max_tokens=1000)


def test_validation_keeps_its_order(store: Path) -> None:
    dataset = StoreDataset(Store.open(store), np.arange(10), ["I"])
    assert dataset.ordered_indices().tolist() == list(range(10))
    assert dataset.can_reuse_epoch_itr_across_epochs and "target" not in dataset.batch([0])


# Reading ------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    rows=st.lists(st.integers(0, 149), max_size=40),
    leads=st.none() | st.lists(st.sampled_from(STANDARD_LEADS), max_size=14),
)
def test_any_rows_and_leads_are_plain_indexing(
    store: Path, rows: list[int], leads: list[str] | None
) -> None:
    opened = _opened(store)
    columns = [STANDARD_LEADS.index(lead) for lead in leads or ()]
    whole = np.fromfile(store / "signals.i16", dtype="<i2").reshape(150, 12, 5000)
    expected = whole[rows] if leads is None else whole[rows][:, columns]
    got = opened.read(rows, leads)
    assert got.shape == expected.shape and got.dtype == np.int16
    assert np.array_equal(got, expected)
    got[...] = 0  # the reader's own, not the store's


_stores: dict[Path, Store] = {}


def _opened(path: Path) -> Store:
    # One store for all examples, so that reads with and without announced pages both come.
    return _stores.setdefault(path, Store.open(path))


READ_COLD = """
import os, sys
from selfmis_plugin.data.store import Store
from selfmis_plugin.data.store.format import CutShortError

def read_bytes():
    with open("/proc/self/io") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))

store = Store.open(sys.argv[1])
file = os.open(store.path / "signals.i16", os.O_RDONLY)
os.fsync(file)
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
before = read_bytes()
for start in range(1, len(store), 32):
    store.read(range(start, min(start + 32, len(store)), 2), ["I"])
print(read_bytes() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="reads are counted by Linux only")
def test_reading_lead_one_fetches_only_its_bytes_from_disk(store: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ_COLD, str(store)],
        env=environment(), capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    fetched = int(done.stdout)
    if fetched == 0:
        pytest.skip("this file system keeps its files in memory")
    # 75 leads of 10,000 bytes, each in up to four pages; the file has 18 MB.
    assert fetched <= 75 * 5 * os.sysconf("SC_PAGESIZE")


# Workers and ranks --------------------------------------------------------------------------------


def test_a_worker_process_can_read(dataset: StoreDataset) -> None:
    expected = dataset.batch([1, 2])["net_input"]["signal"]
    text = pickle.dumps(dataset)
    assert len(text) < 10_000  # no signals in it
    assert torch.equal(pickle.loads(text).batch([1, 2])["net_input"]["signal"], expected)


@pytest.mark.parametrize(("method", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_hand_out_the_same_batches(
    dataset: StoreDataset, method: str, workers: int
) -> None:
    batches = dataset.batch_by_size(dataset.ordered_indices(), max_sentences=30)
    dataset.batch([0])  # the parent has read before its workers start
    loader = DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=dataset.collater,
        num_workers=workers,
        multiprocessing_context=method,
    )
    for got, indices in zip(loader, batches, strict=True):
        expected = dataset.batch(indices)
        assert torch.equal(got["id"], expected["id"])
        assert torch.equal(got["net_input"]["signal"], expected["net_input"]["signal"])
        assert torch.equal(got["target"], expected["target"])


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="maps are shown by Linux only")
def test_signals_are_mapped_shared_and_read_only(dataset: StoreDataset) -> None:
    dataset.batch([0])
    path = str(dataset.store.path / "signals.i16")
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    modes = {line.split()[1] for line in lines if line.endswith(path)}
    assert modes == {"r--s"}


# The host's own iterator --------------------------------------------------------------------------


@pytest.fixture
def task(store: Path) -> Iterator[SelfMISPretrainingTask]:
    cfg = SelfMISPretrainingConfig(data=str(store), seed=5, train_subset="train")
    task = SelfMISPretrainingTask(cfg)
    task.load_dataset("train")
    yield task


def epoch_iterator(task: SelfMISPretrainingTask, **options: Any) -> Any:
    return task.get_batch_iterator(task.dataset("train"), max_sentences=8, seed=5, **options)


def ids(iterator: Any) -> list[list[int]]:
    return [batch["id"].tolist() if batch else [] for batch in iterator]


def whole_epoch(iterator: Any) -> list[list[int]]:
    found = ids(iterator.next_epoch_itr())
    # It refers to itself. Python's collector would close the workers' queues before they are told
    # to end, and PyTorch then waits five seconds for each.
    vars(iterator).clear()
    return found


def test_the_hosts_iterator_gives_the_same_with_workers(task: SelfMISPretrainingTask) -> None:
    orders = []
    for workers, buffered in ((0, 0), (0, 4), (2, 4)):
        iterator = epoch_iterator(task, num_workers=workers, data_buffer_size=buffered)
        batches = list(iterator.next_epoch_itr())
        vars(iterator).clear()  # as in whole_epoch
        orders.append([batch["id"].tolist() for batch in batches])
        for batch in batches:
            whole = task.store.signals[batch["id"].numpy()]
            assert np.array_equal(batch["net_input"]["signal"].numpy(), whole)
    assert orders[0] == orders[1] == orders[2]
    assert sorted(sum(orders[0], [])) == list(range(100))


def test_ranks_share_an_epoch_without_overlap(task: SelfMISPretrainingTask) -> None:
    epochs = []
    for epoch in (1, 2):
        shards = [
            whole_epoch(
                epoch_iterator(task, num_shards=2, shard_id=rank, num_workers=2 * rank, epoch=epoch)
            )
            for rank in range(2)
        ]
        assert [len(shard) for shard in shards] == [7, 7]  # 13 batches, one rank's last is empty
        assert sorted(sum(shards[0] + shards[1], [])) == list(range(100))
        epochs.append(shards)
    # Records are drawn anew, not only the batches: few pairs of epoch 1 are together in epoch 2.
    assert {frozenset(b) for b in epochs[0][0]} != {frozenset(b) for b in epochs[1][0]}
    first = next(batch for batch in epochs[0][0] if len(batch) == 8)
    assert max(len(set(first) & set(batch)) for batch in sum(epochs[1], [])) < 8


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_goes_on_where_it_was_left(task: SelfMISPretrainingTask, workers: int) -> None:
    def iterator(epoch: int) -> Any:
        return epoch_iterator(task, num_shards=2, shard_id=1, num_workers=workers, epoch=epoch)

    whole = whole_epoch(iterator(2))
    left = iterator(2)
    running = left.next_epoch_itr()
    begun = [next(running)["id"].tolist() for _ in range(3)]
    state = pickle.loads(pickle.dumps(left.state_dict()))
    assert state["iterations_in_epoch"] == 3
    resumed = iterator(state["epoch"])
    resumed.load_state_dict(state)
    vars(left).clear()  # as in whole_epoch
    assert begun + whole_epoch(resumed) == whole


def test_signals_that_are_cut_short_are_refused(tmp_path: Path) -> None:
    """The system ends a process that reads on, by SIGBUS."""
    store = Store.open(write_store(tmp_path / "s", {"train": 3}))
    dataset = StoreDataset(store, np.arange(3), ["I"])
    dataset.batch([0])
    dataset.check_length()
    os.truncate(store.path / "signals.i16", 130_000)
    for read in (lambda: dataset.batch([2]), dataset.check_length):
        with pytest.raises(CutShortError, match=r"signals.i16: has 130,000 of 360,000 bytes"):
            read()
    (store.path / "signals.i16").unlink()
    with pytest.raises(CutShortError, match="has 0 of"):
        dataset.check_length()
