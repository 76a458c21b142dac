"""What a run's folder says of it: of this run, and of the epoch whose weights are kept."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from selfmis_plugin.checkpoints import read_checkpoint
from selfmis_plugin.data.store import StoreWriter
from selfmis_plugin.training import entry
from selfmis_plugin.training.run_folder import end_of_run, write_run
from selfmis_plugin.training.run_log import learning_curves
from selfmis_plugin.training.short_log import ShortFormatter
from tests.support import TINY, train

AFRESH = "[2026-12-01 02:40:00,000][fairseq.trainer][INFO] - No existing checkpoint found x.pt\n"


def epoch_of(number: int, value: float, validated: bool = True) -> str:
    """What a host logs of an epoch of two updates."""
    stamp = "[2026-12-01 02:40:01,539]"
    valid = (
        f"{stamp}[valid][INFO] - epoch {number:03d} | valid on 'valid' subset | loss 0.5 | "
        f"macro_auc {value} | num_updates {2 * number} | best_macro_auc 0.9 | "
        f"auc_LAO/LAE {value} | auc_old - MI 2 {value}\n"
    )
    return (valid if validated else "") + (
        f"{stamp}[train][INFO] - epoch {number:03d} | loss 0.25 | num_updates {2 * number}\n"
    )


def run_of(folder: Path, log: str, best: int | None, value: float = 0.8) -> Any:
    """A run's folder with such a log and the best checkpoint of an epoch; return its config."""
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "hydra_train.log").write_text(log, encoding="utf-8")
    if best is not None:
        iterator = {"epoch": best + 1, "iterations_in_epoch": 0}
        content = {
            "extra_state": {"train_iterator": iterator, "val_loss": value},
            "optimizer_history": [{"num_updates": 2 * best}],
            "task_state": {"validation": {"macro_auc": value}},
        }
        torch.save(content, folder / "checkpoints/checkpoint_best.pt")
    keys = {
        "checkpoint": {
            "save_dir": str(folder / "checkpoints"),
            "best_checkpoint_metric": "macro_auc",
            "maximize_best_checkpoint_metric": True,
        },
        "optimization": {"max_epoch": 3, "max_update": 0, "lr": [0.1]},
        "distributed_training": {"distributed_rank": 0},
        "task": {"data": str(folder / "store")},
    }
    return OmegaConf.create(keys)


def told_of(folder: Path, cfg: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("SELFMIS_CURVES", "0")
    monkeypatch.chdir(folder)
    write_run(cfg, None)
    told: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return told


def epochs(curves: Any, name: str = "macro_auc", tag: str = "valid") -> list[int]:
    return [epoch for epoch, _ in curves.get(name, {}).get(tag, [])]


def test_a_run_begun_anew_in_a_folder_is_not_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = AFRESH + epoch_of(1, 0.6) + epoch_of(2, 0.7) + epoch_of(3, 0.9)
    cfg = run_of(
        tmp_path, earlier + AFRESH + epoch_of(1, 0.5) + epoch_of(2, 0.4), best=1, value=0.5
    )
    told = told_of(tmp_path, cfg, monkeypatch)
    assert told["validation"]["epoch"] == 1 and told["validation"]["macro_auc"] == 0.5
    assert told["curves"]["macro_auc"]["valid"] == [[1, 0.5], [2, 0.4]]
    assert epochs(told["curves"], "loss", "train") == [1, 2]
    assert "macro_auc 0.5" in end_of_run(cfg, None)[0]
    assert "| macro_auc | 0.5 |" in (tmp_path / "run.md").read_text()
    # Before its first epoch has ended.
    run_of(tmp_path, earlier + AFRESH, best=None)
    assert learning_curves(tmp_path / "checkpoints/checkpoint_best.pt") == {}


def test_epochs_after_the_one_that_a_run_went_back_to_are_dropped(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoints/checkpoint_best.pt"
    first = "".join(epoch_of(number, 0.1 * number) for number in (1, 2, 3))
    run_of(tmp_path, first + epoch_of(2, 0.9), best=2)
    curves = learning_curves(checkpoint)
    assert epochs(curves) == epochs(curves, "loss", "train") == [1, 2]
    assert curves["macro_auc"]["valid"][1] == (2, 0.9)
    # An epoch that is run again without a validation has none.
    run_of(tmp_path, first + epoch_of(2, 0.9, validated=False), best=2)
    assert epochs(learning_curves(checkpoint)) == [1]


def test_of_equal_epochs_the_files_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AFRESH + "".join(epoch_of(number, 0.8) for number in (1, 2, 3))
    told = told_of(tmp_path, run_of(tmp_path, log, best=3), monkeypatch)
    assert told["validation"] == {
        "epoch": 3, "loss": 0.5, "macro_auc": 0.8, "auc_LAO/LAE": 0.8, "auc_old - MI 2": 0.8
    }  # fmt: skip
    # Where the log has lost it, the file's own figures stay.
    told = told_of(tmp_path, run_of(tmp_path, AFRESH + epoch_of(4, 0.1), best=3), monkeypatch)
    assert told["validation"] == {"epoch": 3, "macro_auc": 0.8}


def test_labels_of_any_name_have_curves_and_are_shown(tmp_path: Path) -> None:
    run_of(tmp_path, epoch_of(1, 0.75), best=1)
    curves = learning_curves(tmp_path / "checkpoints/checkpoint_best.pt")
    for name in ("auc_LAO/LAE", "auc_old - MI 2"):
        assert curves[name]["valid"] == [(1, 0.75)]
        text = f"epoch 001 | valid on 'valid' subset | loss 0.5 | {name} 0.75 | best_{name} 0.8"
        line = logging.LogRecord("valid", logging.INFO, "", 0, text, None, None)
        said = ShortFormatter(0, 0, name).format(line)
        assert said == f"epoch 1 validated: loss 0.500, {name} 0.750 (best {name} 0.800)"


def test_settings_that_are_no_numbers_of_json_are_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = run_of(tmp_path, epoch_of(1, 0.8), best=1)
    OmegaConf.update(cfg, "optimization", {"clip_norm": float("inf"), "lr": [0.1, float("nan")]})
    told = told_of(tmp_path, cfg, monkeypatch)
    assert told["config"]["optimization"]["clip_norm"] == "inf"
    assert told["config"]["optimization"]["lr"] == [0.1, "nan"]


def test_what_fails_after_a_training_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = run_of(tmp_path, epoch_of(1, 0.8), best=1)
    (tmp_path / "checkpoints/checkpoint_best.pt").write_bytes(b"no checkpoint")
    monkeypatch.setenv("SELFMIS_LOG", "full")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(entry, "_train", lambda cfg: None)
    entry.train_main(cfg)
    (said,) = [line.getMessage() for line in caplog.records if line.levelno == logging.WARNING]
    assert str(tmp_path) in said and "cannot be read as a PyTorch checkpoint" in said
    assert "its checkpoints are kept" in said


@pytest.mark.slow
def test_a_training_anew_in_the_same_folder(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    names = ("AMI", "LAO/LAE")
    with StoreWriter(
        tmp_path / "store", database="x", label_sets={"diagnostic": names}, sample_rate=100,
        seconds=10.0, leads=("I", "II"),
    ) as store:  # fmt: skip
        for k in range(48):
            about = {
                "record_id": str(k),
                "patient_id": str(k),
                "split": "valid" if k % 3 else "train",
            }
            labels = [name for name, has in zip(names, (k % 2, k // 2 % 2), strict=True) if has]
            signal = draws.integers(-500, 500, size=(2, 1000)).astype(np.int16)
            store.append(signal, {**about, "labels": labels})
    command = [sys.executable, "-m", "selfmis_plugin.cli.main", "train"]
    # Nothing is learned, so that all epochs are equally good.
    call = ["selfmis_linear_probe_small", *TINY, "task.data=store", "hydra.run.dir=run"]
    call += ["model.encoder_checkpoint=null"]
    call += ["dataset.batch_size=8", "optimization.lr=[0.0]", "optimization.clip_norm=inf"]
    train([*call, "optimization.max_epoch=3"], tmp_path, command=command, SELFMIS_LOG="")
    told = json.loads((tmp_path / "run/run.json").read_text())
    best = read_checkpoint(tmp_path / "run/checkpoints/checkpoint_best.pt")
    assert told["validation"]["epoch"] == best["extra_state"]["train_iterator"]["epoch"] - 1
    assert told["config"]["optimization"]["clip_norm"] == "inf"
    assert epochs(told["curves"], "auc_LAO/LAE") == [1, 2, 3]
    shutil.rmtree(tmp_path / "run/checkpoints")
    train([*call, "optimization.max_epoch=1"], tmp_path, command=command, SELFMIS_LOG="")
    told = json.loads((tmp_path / "run/run.json").read_text())
    assert told["validation"]["epoch"] == 1 and epochs(told["curves"]) == [1]
