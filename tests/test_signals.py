"""The same trainings inside fairseq-signals: make test-signals SIGNALS=PATH."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import pytest
import torch

from selfmis_plugin.checkpoints import read_checkpoint
from selfmis_plugin.cli.main import main
from tests.support import TINY, logged, train, train_in_spawned_worker

pytestmark = pytest.mark.signals

COMMAND = [str(Path(sys.executable).with_name("selfmis")), "train"]


def run(arguments: list[str], folder: Path, **options: bool) -> str:
    return train([*arguments, *TINY], folder, command=COMMAND, **options)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, store: Path) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("signals")
    data = f"task.data={os.path.relpath(store, folder)}"
    best = "checkpoints/checkpoint_best.pt"
    tower = ["--config-name", "selfmis_supervised_small", data, "optimization.max_epoch=2"]
    pretrain = [
        *("--config-name", "selfmis_pretrain_small", data, "optimization.max_epoch=3"),
        f"model.multi_lead_checkpoint=outputs/selfmis_supervised_small/{best}",
    ]
    checkpoint = f"model.encoder_checkpoint=outputs/selfmis_pretrain_small/{best}"
    probe = ["--config-name", "selfmis_linear_probe_small", data, checkpoint]
    probe += ["optimization.max_epoch=2"]
    finetune = ["--config-name", "selfmis_finetune_small", data, checkpoint]
    finetune += ["optimization.max_epoch=2"]
    return {
        "folder": folder,
        "pretrain": pretrain,
        "outputs": [run(arguments, folder) for arguments in (tower, pretrain, probe, finetune)],
    }


def test_every_training_validates_and_anneals(runs: dict) -> None:
    tower, pretrain, probe, finetune = runs["outputs"]
    for output, epochs, figure in (
        (tower, 2, "macro_auc"),
        (pretrain, 3, "r10"),
        (probe, 2, "mi_auc"),
        (finetune, 2, "macro_auc"),
    ):
        values = logged(output, figure, "valid")
        assert len(values) == epochs and all(math.isfinite(value) for value in values)
        assert logged(output, "lr")[-1] == pytest.approx(0.0, abs=1e-9)
    expected = [0.01 * (1 + math.cos(math.pi * epoch / 3)) / 2 for epoch in (1, 2, 3)]
    assert logged(pretrain, "lr") == pytest.approx(expected, abs=1e-6)


def test_what_was_adapted_is_said_on_one_line(runs: dict) -> None:
    lines = [line for line in runs["outputs"][0].splitlines() if "adapted to this Python" in line]
    assert len(lines) == 1
    if sys.version_info >= (3, 11):
        assert "dataclass defaults made hashable" in lines[0]
    if not torch.cuda.is_available():
        assert "gradient clipping without CUDA" in lines[0]


def test_the_same_command_resumes_and_finds_nothing_to_do(runs: dict) -> None:
    output = run(runs["pretrain"], runs["folder"])
    assert "Loaded checkpoint" in output and not logged(output, "loss")


def test_one_more_epoch_goes_on_with_its_schedule(runs: dict) -> None:
    arguments = [a.replace("max_epoch=3", "max_epoch=4") for a in runs["pretrain"]]
    output = run(arguments, runs["folder"])
    assert len(logged(output, "loss")) == 1
    assert logged(output, "lr")[-1] == pytest.approx(0.0, abs=1e-9)


def test_frozen_tower_is_unchanged(runs: dict) -> None:
    outputs = runs["folder"] / "outputs"
    tower = read_checkpoint(outputs / "selfmis_supervised_small/checkpoints/checkpoint_best.pt")
    trained = read_checkpoint(outputs / "selfmis_pretrain_small/checkpoints/checkpoint_best.pt")
    loaded = {k: v for k, v in tower["model"].items() if k.startswith("network.encoder.")}
    assert len(loaded) > 10
    for name, value in loaded.items():
        assert torch.equal(value, trained["model"]["towers.multi." + name[16:]]), name


def test_evaluate_reads_its_checkpoints(runs: dict, store: Path, capsys) -> None:
    probe = runs["folder"] / "outputs/selfmis_linear_probe_small/checkpoints/checkpoint_best.pt"
    arguments = ["evaluate", "--checkpoint", str(probe), "--data", str(store), "--split", "valid"]
    assert main(arguments) == 0
    best = max(logged(runs["outputs"][2], "macro_auc", "valid"))
    assert f"macro AUC over the defined labels: {best:.3f}" in capsys.readouterr().out


def test_a_spawned_worker_trains(runs: dict) -> None:
    last = "outputs/selfmis_supervised_small/checkpoints/checkpoint_last.pt"
    train_in_spawned_worker("fairseq_signals", runs["folder"] / last, runs["folder"])
