"""Records as the host's iterators get them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from selfmis_plugin.data.store import Store
from selfmis_plugin.tasks.store_dataset import StoreDataset


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


def test_a_worker_process_can_read(dataset: StoreDataset) -> None:
    copy = pickle.loads(pickle.dumps(dataset))
    expected = dataset.batch([1, 2])["net_input"]["signal"]
    assert torch.equal(copy.batch([1, 2])["net_input"]["signal"], expected)


def test_validation_keeps_its_order(store: Path) -> None:
    dataset = StoreDataset(Store.open(store), np.arange(10), ["I"])
    assert dataset.ordered_indices().tolist() == list(range(10))
    assert dataset.can_reuse_epoch_itr_across_epochs and "target" not in dataset.batch([0])
