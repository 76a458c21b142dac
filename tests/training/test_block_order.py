"""Trainings that read blocks of neighbours: what they read, and where they go on."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfmis_plugin.data.shuffling import Blocks
from selfmis_plugin.data.store import Store
from selfmis_plugin.data.store.signal_file import SignalFile
from selfmis_plugin.training.resuming import ResumeError
from selfmis_plugin.training.store_dataset import StoreDataset
from selfmis_plugin.utils.slow_reading import slow_reading
from tests.host_in_process import Training, short_pretraining
from tests.processes import run_processes
from tests.support import write_store

CONFIG = Path(__file__).parents[1] / "golden/v0_1/selfmis.pt"
RECORDS, BATCH, EPOCHS = 44, 4, 3
BLOCKS = Blocks(5, 20)


def changes(data: Path, **more: Any) -> dict[str, Any]:
    blocks = {"task.shuffle_block": BLOCKS.block, "task.shuffle_window": BLOCKS.window}
    return short_pretraining(data, BATCH, EPOCHS, **{**blocks, **more})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("data") / "store", {"train": RECORDS, "valid": 8})


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, data: Path) -> tuple[Path, list[Any]]:
    """The folder of a training by one process, and its batches."""
    folder = tmp_path_factory.mktemp("blocks") / "alone"
    return folder, Training(CONFIG, folder, **changes(data)).losses


def expected(seed: int) -> list[int]:
    orders = [BLOCKS.order(RECORDS, seed, epoch) for epoch in range(1, EPOCHS + 1)]
    return np.concatenate(orders).tolist()


def seed_of(losses: list[Any]) -> int:
    """The seed that a training's order is of."""
    rows = [row for batch, _ in losses for row in batch]
    (seed,) = [one for one in range(20) if expected(one) == rows]
    return seed


def test_batches_come_in_the_order_of_the_blocks(alone: tuple[Path, list[Any]]) -> None:
    _, losses = alone
    assert len(losses) == EPOCHS * RECORDS // BATCH
    seed_of(losses)


def test_a_run_goes_on_in_the_same_order(
    alone: tuple[Path, list[Any]], data: Path, tmp_path: Path
) -> None:
    folder, losses = alone
    (tmp_path / "checkpoints").mkdir()
    kept = folder / "checkpoints/checkpoint_2_15.pt"  # four batches into the second epoch
    shutil.copy(kept, tmp_path / "checkpoints/checkpoint_last.pt")
    rest = Training(CONFIG, tmp_path, **changes(data)).losses
    assert rest == losses[15:]


def test_another_order_is_another_run(
    alone: tuple[Path, list[Any]], data: Path, tmp_path: Path
) -> None:
    (tmp_path / "checkpoints").mkdir()
    kept = alone[0] / "checkpoints/checkpoint_2_15.pt"
    shutil.copy(kept, tmp_path / "checkpoints/checkpoint_last.pt")
    other = changes(data, **{"task.shuffle_block": None, "task.shuffle_window": None})
    with pytest.raises(ResumeError, match=r"task\.shuffle_block was 5, is None"):
        Training(CONFIG, tmp_path, **other)


def one_of_two(rank: int, data: Path, place: Path) -> list[list[int]]:
    distributed = {
        "distributed_training.distributed_world_size": 2,
        "distributed_training.distributed_rank": rank,
        "distributed_training.distributed_no_spawn": True,
        "distributed_training.ddp_backend": "legacy_ddp",
        "common.cpu": True,
    }
    losses = Training(CONFIG, place / "pair", **changes(data, **distributed)).losses
    return [list(batch) for batch, _ in losses]


@pytest.mark.slow
def test_two_processes_share_the_order(
    alone: tuple[Path, list[Any]], data: Path, tmp_path: Path
) -> None:
    first, second = run_processes(one_of_two, 2, tmp_path, data, tmp_path)
    batches = [list(batch) for batch, _ in alone[1]]
    an_epoch = RECORDS // BATCH
    for epoch in range(EPOCHS):
        whole = batches[epoch * an_epoch : (epoch + 1) * an_epoch]
        # Eleven batches are no even number: the second process repeats one, without a gradient.
        assert first[epoch * 6 : epoch * 6 + 6] == whole[::2]
        assert second[epoch * 6 : epoch * 6 + 5] == whole[1::2]


def test_a_block_is_asked_for_once_and_whole(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []
    announce = SignalFile.announce

    def watched(file: SignalFile, records: np.ndarray, leads: np.ndarray | None = None) -> None:
        asked.append(records.tolist())
        announce(file, records, leads)

    monkeypatch.setattr(SignalFile, "announce", watched)
    rows = np.arange(RECORDS)
    dataset = StoreDataset(Store.open(data), rows, ["I"], shuffle_seed=1)
    dataset.use_blocks(BLOCKS)
    for epoch in (1, 2):
        asked.clear()
        dataset.set_epoch(epoch)
        for batch in dataset.batch_by_size(dataset.ordered_indices(), max_sentences=BATCH):
            dataset.batch(batch)
        assert sorted(row for rows in asked for row in rows) == rows.tolist()
        assert all(found == sorted(found) for found in asked)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 51), max_size=30))
def test_what_is_announced_is_read_as_before(data: Path, rows: list[int]) -> None:
    store = Store.open(data)
    store.announce(rows, ["V1", "I"])
    store.announce(rows)
    assert np.array_equal(store.read(rows), store.signals[rows])


MOUNTS = r"""disk / ext4 rw 0 0
server:/a /mnt/a\040b nfs4 rw 0 0
disk /mnt/a\040b/local xfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "network"),
    [("/mnt/a b/store", True), ("/mnt/a b", True), ("/mnt/a b/local/x", False), ("/mnt/a", False)],
)
def test_network_file_systems_are_told(path: str, network: bool, tmp_path: Path) -> None:
    (tmp_path / "mounts").write_text(MOUNTS, encoding="utf-8")
    said = slow_reading(Path(path), 1, tmp_path / "mounts")
    assert said == ("it lies on a network file system (nfs4)" if network else None)
    assert slow_reading(Path(path), 1, tmp_path / "none") is None
    more = psutil.virtual_memory().total + 1
    assert "and the memory here is" in str(slow_reading(Path(path), more, tmp_path / "mounts"))


def test_a_training_says_once_what_would_help(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = "selfmis_plugin.methods.selfmis.task.slow_reading"
    monkeypatch.setattr(task, lambda path, nbytes: f"an epoch reads {nbytes} bytes")
    exact = changes(data, **{"task.shuffle_block": None, "task.shuffle_window": None})
    with caplog.at_level(logging.INFO, "selfmis_plugin"):
        Training(CONFIG, tmp_path / "exact", **exact)
        assert caplog.text.count("task.shuffle_block=256 reads neighbours together") == 1
        leads = 12 if "embeddings of" not in caplog.text else 1
        assert f"an epoch reads {RECORDS * leads * 5000 * 2} bytes" in caplog.text
        caplog.clear()
        Training(CONFIG, tmp_path / "blocks", **changes(data, **{"optimization.max_epoch": 1}))
        assert "task.shuffle_block" not in caplog.text
