"""Curves of a training in TensorBoard and Weights & Biases."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from omegaconf import OmegaConf

from selfmis_plugin import toolkit
from tests.support import TINY, train, write_store


@pytest.mark.parametrize(
    ("key", "package", "extra"),
    [("tensorboard_logdir", "tensorboard", "tensorboard"), ("wandb_project", "wandb", "wandb")],
)
def test_curves_that_nothing_can_write_are_refused(
    key: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = OmegaConf.create({"common": {key: "curves"}})
    found: list[str] = []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name in found or None)
    with pytest.raises(ValueError, match=rf"common.{key}=curves needs .* {package}; .*\[{extra}\]"):
        toolkit.refuse_missing_trackers(cfg)
    found.append(package)
    toolkit.refuse_missing_trackers(cfg)
    toolkit.refuse_missing_trackers(OmegaConf.create({"common": {"seed": 1}}))


def test_a_training_is_one_run_with_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = ModuleType("wandb")
    begun: list[str] = []
    finished: list[object] = []
    wandb.run = None  # type: ignore[attr-defined]

    def init(name: str) -> object:
        begun.append(os.environ.get("WANDB_NAME", name))
        wandb.run = SimpleNamespace(name=name)  # type: ignore[attr-defined]
        return wandb.run

    def finish() -> None:
        finished.append(wandb.run)
        wandb.run = None  # type: ignore[attr-defined]

    wandb.init, wandb.finish = init, finish  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.delenv("WANDB_NAME", raising=False)
    cfg = OmegaConf.create(
        {"common": {"wandb_project": "ecg"}, "distributed_training": {"distributed_rank": 0}}
    )
    with toolkit.one_tracked_run(cfg, "probe"):
        runs = [wandb.init(name="checkpoints") for _ in range(3)]
    assert begun == ["probe"] and runs[0] is runs[1] is runs[2] and finished == runs[:1]
    assert wandb.init is init and "WANDB_NAME" not in os.environ
    monkeypatch.setenv("WANDB_NAME", "mine")
    with toolkit.one_tracked_run(cfg, "probe"):
        wandb.init(name="checkpoints")
    assert begun == ["probe", "mine"] and os.environ["WANDB_NAME"] == "mine"
    for other in ({"common.wandb_project": None}, {"distributed_training.distributed_rank": 1}):
        silent = cfg.copy()
        for key, value in other.items():
            OmegaConf.update(silent, key, value)
        with toolkit.one_tracked_run(silent, "probe"):
            assert wandb.init is init


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    write_store(folder / "store", {"train": 40, "valid": 20, "test": 5})
    return folder


CALL = ["selfmis_supervised_small", "task.data=store", *TINY, "optimization.max_epoch=2"]
CALL += ["common.log_interval=1", "dataset.batch_size=20"]
COMMAND = [sys.executable, "-m", "selfmis_plugin.cli.main", "train"]


@pytest.mark.slow
def test_tensorboard_has_the_curves_where_the_path_was_typed(place: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train([*CALL, "common.tensorboard_logdir=curves", "hydra.run.dir=a"], place, command=COMMAND)
    assert sorted(path.name for path in (place / "curves").iterdir()) == [
        "train",
        "train_inner",
        "valid",
    ]
    found = {}
    for part in ("train", "train_inner", "valid"):
        events = EventAccumulator(str(place / "curves" / part)).Reload()
        found[part] = {
            tag: {event.step: event.value for event in events.Scalars(tag)}
            for tag in events.Tags()["scalars"]
        }
    # By updates: two an epoch.
    assert found["train"]["loss"].keys() == {2, 4} and found["train_inner"]["loss"].keys() == {
        1,
        2,
        3,
        4,
    }
    assert {"loss", "macro_auc", "mi_auc", "auc_AMI"} <= found["valid"].keys()
    assert found["valid"]["macro_auc"].keys() == {2, 4}
    assert all(0 <= value <= 1 for value in found["valid"]["macro_auc"].values())


@pytest.mark.slow
@pytest.mark.skipif(find_spec("wandb") is None, reason="the extra wandb is not installed")
def test_wandb_has_the_curves_in_one_run(place: Path) -> None:
    said = train(
        [*CALL, "common.wandb_project=ecg", "hydra.run.dir=b"],
        place,
        command=COMMAND,
        WANDB_MODE="offline",
        SELFMIS_LOG="",
    )
    assert "while a run is active" not in said
    (run,) = (path for path in (place / "b/wandb").iterdir() if path.name.startswith("offline-run"))
    (file,) = run.glob("run-*.wandb")
    kept = file.read_bytes()
    for word in (b"valid/macro_auc", b"train/loss", b"train_inner/loss", b"optimization"):
        assert word in kept
    assert b"checkpoints" not in kept.partition(b"train_inner/loss")[0].partition(b"_wandb")[0]
