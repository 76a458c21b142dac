"""Runs that go on: with several processes, with another number of them, from a named file."""

from __future__ import annotations

import importlib
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist

from selfmis_plugin import compat
from selfmis_plugin.checkpoints import CheckpointError, read_checkpoint
from selfmis_plugin.training import plan
from selfmis_plugin.training.beginning import FRESH, Beginning, remember
from selfmis_plugin.training.resuming import ResumeError
from tests.host_in_process import Training, last_checkpoint, same_weights, short_pretraining
from tests.processes import run_processes
from tests.signals_faults import take_over_a_checkpoint
from tests.support import write_store

#: Any training of SelfMIS: its config is the one that the trainings here change.
CONFIG = Path(__file__).parents[1] / "golden/v0_1/selfmis.pt"
RECORDS, BATCH, EPOCHS = 44, 4, 3
UPDATES = {1: 11, 2: 6}  # an epoch's, by the number of processes


def settings(data: Path, **more: Any) -> dict[str, Any]:
    return short_pretraining(data, BATCH, EPOCHS, **more)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("data") / "store", {"train": RECORDS, "valid": 8})


def from_checkpoint(source: Path, folder: Path) -> Path:
    """A run's folder as a training that was killed after it wrote *source* leaves it."""
    (folder / "checkpoints").mkdir(parents=True)
    shutil.copy(source, folder / "checkpoints/checkpoint_last.pt")
    return folder


def one_of_two(rank: int, data: Path, place: Path, single: Path) -> list[Any]:
    """Train as one of two processes: undisturbed, then resumed from it, then from one process."""
    changes = settings(
        data,
        **{
            "distributed_training.distributed_world_size": 2,
            "distributed_training.distributed_rank": rank,
            "distributed_training.distributed_no_spawn": True,
            "distributed_training.ddp_backend": "legacy_ddp",
            "common.cpu": True,
        },
    )
    found: list[Any] = [Training(CONFIG, place / "whole", **changes).losses]
    for source, name in (
        (place / "whole/checkpoints/checkpoint_2_9.pt", "resumed"),
        (single / "checkpoints/checkpoint_2_15.pt", "joined"),
    ):
        if rank == 0:
            from_checkpoint(source, place / name)
        dist.barrier()
        found.append(Training(CONFIG, place / name, **changes).losses)
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """The folder of a training by one process."""
    folder = tmp_path_factory.mktemp("trainings") / "alone"
    Training(CONFIG, folder, **settings(data))
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, data: Path, alone: Path) -> Path:
    """The folder of trainings by two processes."""
    place = tmp_path_factory.mktemp("pair")
    run_processes(one_of_two, 2, place, data, place, alone)
    return place


def updates_of(checkpoint: dict[str, Any]) -> int:
    return int(checkpoint["optimizer_history"][-1]["num_updates"])


@pytest.mark.slow
def test_two_processes_resume_to_the_bit(pair: Path) -> None:
    whole, resumed = last_checkpoint(pair / "whole"), last_checkpoint(pair / "resumed")
    assert updates_of(whole) == updates_of(resumed) == EPOCHS * UPDATES[2]
    assert same_weights(whole, resumed)
    for key, state in whole["last_optimizer_state"]["state"].items():
        again = resumed["last_optimizer_state"]["state"][key]
        assert all(torch.equal(state[name], again[name]) for name in ("exp_avg", "exp_avg_sq"))


@pytest.mark.slow
def test_two_processes_go_on_with_one(
    pair: Path, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = from_checkpoint(pair / "whole/checkpoints/checkpoint_2_9.pt", tmp_path / "one")
    with caplog.at_level(logging.INFO, "selfmis_plugin"):
        training = Training(CONFIG, folder, **settings(data))
    assert (
        "a run of 2 processes goes on with 1: in epoch 2, after 6 of its batches, and after 9 "
        "updates. An update takes 1 batches, and took 2; optimization.update_freq=[2] keeps 2"
    ) in caplog.text
    # The rest of the epoch, then a whole one.
    assert updates_of(training.last) == 9 + 5 + UPDATES[1]
    rows = [row for batch, _ in training.losses for row in batch]
    assert len(rows) == 5 * BATCH + RECORDS
    assert len(set(rows[: 5 * BATCH])) == 5 * BATCH
    assert sorted(rows[5 * BATCH :]) == list(range(RECORDS))


@pytest.mark.slow
def test_as_many_batches_may_make_an_update_as_before(
    pair: Path, data: Path, tmp_path: Path
) -> None:
    folder = from_checkpoint(pair / "whole/checkpoints/checkpoint_2_9.pt", tmp_path / "one")
    kept = settings(data, **{"optimization.update_freq": [2], "lr_scheduler.update_freq": [2]})
    training = Training(CONFIG, folder, **kept)
    assert updates_of(training.last) == EPOCHS * UPDATES[2]
    # It is killed there and goes on as it was; other settings are still another run's.
    assert Training(CONFIG, folder, **kept).losses == []
    with pytest.raises(ResumeError, match=r"update_freq was \[2\], is \[1\]"):
        Training(CONFIG, folder, **settings(data))


@pytest.mark.slow
def test_one_process_goes_on_with_two(pair: Path) -> None:
    # Four batches into the second epoch: two of each process.
    assert updates_of(last_checkpoint(pair / "joined")) == 15 + (6 - 2) + 6


@pytest.mark.slow
def test_the_learning_rate_still_ends_at_the_end(pair: Path) -> None:
    for name in ("whole", "resumed", "joined"):
        groups = last_checkpoint(pair / name)["last_optimizer_state"]["param_groups"]
        assert all(group["lr"] == pytest.approx(0, abs=1e-12) for group in groups), name


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        (FRESH, 5 * 10),
        (Beginning(epoch=3, updates=20), 50),
        (Beginning(epoch=3, batches=4, updates=24), 50),
        (Beginning(epoch=2, batches=3, updates=100), 100 + 7 + 3 * 10),
        (Beginning(epoch=9, updates=90), 90),
    ],
)
def test_the_plan_is_counted_from_where_the_run_began(begun: Beginning, expected: int) -> None:
    plan.set_batches_per_epoch(10)
    remember(begun)
    try:
        assert plan.total_updates(5, [1]) == expected
    finally:
        remember(FRESH)
        plan.set_batches_per_epoch(None)


def test_one_process_goes_on_where_two_have_read(
    alone: Path, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a checkpoint of one process that says it was of two, which had read 4 batches each."""
    saved = last_checkpoint(alone)
    state = read_checkpoint(alone / "checkpoints/checkpoint_2_15.pt")
    state["cfg"]["distributed_training"]["distributed_world_size"] = 2
    folder = tmp_path / "one"
    (folder / "checkpoints").mkdir(parents=True)
    torch.save(state, folder / "checkpoints/checkpoint_last.pt")
    with caplog.at_level(logging.INFO, "selfmis_plugin"):
        training = Training(CONFIG, folder, **settings(data))
    assert "in epoch 2, after 8 of its batches, and after 15 updates. An update" in caplog.text
    rows = [row for batch, _ in training.losses for row in batch]
    assert len(set(rows[: 3 * BATCH])) == 3 * BATCH
    assert sorted(rows[3 * BATCH :]) == list(range(RECORDS))
    assert updates_of(training.last) == 15 + 3 + UPDATES[1] < updates_of(saved)
    groups = training.last["last_optimizer_state"]["param_groups"]
    assert all(group["lr"] == pytest.approx(0, abs=1e-12) for group in groups)


def test_what_the_first_process_sends_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    several = SimpleNamespace(
        criterion=SimpleNamespace(_name="siglip"),
        distributed_training=SimpleNamespace(distributed_world_size=2),
    )
    # What is mended here must not stay so for the tests after it.
    utils = importlib.import_module("fairseq.distributed.utils")
    monkeypatch.setattr(utils, "torch", utils.torch)
    before = list(compat.APPLIED)
    try:
        compat.mend_for_run("fairseq", several)
        take_over_a_checkpoint("fairseq")
    finally:
        compat.APPLIED[:] = before


# -- files that are named ------------------------------------------------------------------------


def test_a_run_begins_from_a_relative_file_and_then_goes_on_by_itself(
    alone: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELFMIS_LAUNCH_FOLDER", str(alone.parent))
    changes = settings(
        data,
        **{
            "checkpoint.restore_file": "alone/checkpoints/checkpoint_2_15.pt",
            "optimization.max_epoch": 2,
        },
    )
    first = Training(CONFIG, tmp_path / "second", **changes)
    assert updates_of(first.last) == 22
    # The same command goes on from what it has itself, and there is nothing left to do.
    assert Training(CONFIG, tmp_path / "second", **changes).losses == []
    more = changes | {"optimization.max_epoch": 3}
    assert updates_of(Training(CONFIG, tmp_path / "second", **more).last) == 33
    again = Training(CONFIG, tmp_path / "second", **more)
    assert again.losses == []
    other = changes | {"checkpoint.restore_file": "alone/checkpoints/checkpoint_1_6.pt"}
    with pytest.raises(ResumeError, match=r"did not begin from .*checkpoint_1_6\.pt.*run\.dir=DIR"):
        Training(CONFIG, tmp_path / "second", **other)


def test_a_run_can_be_taken_back_to_a_checkpoint_of_its_own(
    alone: Path, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "alone"
    shutil.copytree(alone, folder)
    named = folder / "checkpoints/checkpoint_1_6.pt"
    again = Training(CONFIG, folder, **settings(data, **{"checkpoint.restore_file": str(named)}))
    assert updates_of(again.last) == 33 and len(again.losses) == 27
    assert same_weights(again.last, last_checkpoint(alone))


@pytest.mark.parametrize("key", ["restore_file", "finetune_from_model", "continue_once"])
@pytest.mark.parametrize("value", ["alone/checkpoints/checkpoint_lats.pt", "alone", ""])
def test_a_file_that_is_not_there_is_refused(
    key: str, value: str, alone: Path, data: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SELFMIS_LAUNCH_FOLDER", str(alone.parent))
    with pytest.raises(CheckpointError, match=f"checkpoint.{key}={value}: {alone.parent}"):
        Training(CONFIG, tmp_path, **settings(data, **{f"checkpoint.{key}": value}))


def test_two_names_for_one_thing_are_refused(alone: Path, data: Path, tmp_path: Path) -> None:
    last = str(alone / "checkpoints/checkpoint_last.pt")
    for keys in (("restore_file", "finetune_from_model"), ("continue_once", "finetune_from_model")):
        named = {f"checkpoint.{key}": last for key in keys}
        with pytest.raises(ValueError, match="both name a checkpoint to begin from"):
            Training(CONFIG, tmp_path, **settings(data, **named))
    for key in ("restore_file", "finetune_from_model"):
        named = {f"checkpoint.{key}": last, "model.multi_lead_checkpoint": last}
        with pytest.raises(ValueError, match="would be loaded and then replaced"):
            Training(CONFIG, tmp_path, **settings(data, **named))


def test_a_random_tower_is_refused_unless_asked_for_or_filled(
    alone: Path, data: Path, tmp_path: Path
) -> None:
    changes = settings(data, **{"model.allow_untrained_tower": False})
    with pytest.raises(ValueError, match=r"checkpoint=FILE .*allow_untrained_tower=true"):
        Training(CONFIG, tmp_path / "fresh", **changes)
    last = alone / "checkpoints/checkpoint_2_15.pt"
    assert Training(CONFIG, from_checkpoint(last, tmp_path / "resumed"), **changes).losses
    for key in ("restore_file", "finetune_from_model"):
        named = changes | {f"checkpoint.{key}": str(last), "optimization.max_epoch": 2}
        assert Training(CONFIG, tmp_path / key, **named).losses
