"""Random lead masking inside fairseq-signals: what the model is really given."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf, open_dict
from torch import Tensor

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import read_checkpoint
from selfmis_plugin.cli import prepare
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.training.configs import config_file
from selfmis_plugin.training.entry import train_main
from selfmis_plugin.training.registration import register_all
from tests.support import train, write_store

pytestmark = pytest.mark.signals

COMMAND = [str(Path(sys.executable).with_name("selfmis")), "train"]
RECORDS = 48


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masked")
    write_store(folder / "store", {"train": RECORDS, "valid": 16})
    command = ["export", str(folder / "store"), "--format", "fairseq-signals", "--kind", "cmsc"]
    command += ["--sample-rate", "100", "--dest", str(folder / "export")]
    assert prepare.main(command) == 0
    return folder / "export"


def seen(
    name: str, export: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[bool, list[Tensor]]:
    """Train two epochs; return what the model was given, in training (True) and validation."""
    register_all()
    model: Any = importlib.import_module("fairseq_signals.models.wav2vec2").Wav2Vec2CMSCModel
    forward, found = model.forward, {True: [], False: []}

    def watched(self: Any, **inputs: Any) -> Any:
        found[self.training].append(inputs["source"].clone())
        return forward(self, **inputs)

    values: Any = OmegaConf.load(config_file(f"baselines/{name}_small"))
    values.pop("hydra")
    cfg = toolkit.whole_config(values)
    with open_dict(cfg):
        cfg.task.data = str(export)
        cfg.dataset.update({"batch_size": 16, "valid_subset": "valid"})
        cfg.dataset.disable_validation = False
        cfg.optimization.max_epoch = 2
        cfg.model.encoder_layers = 1
        cfg.checkpoint.save_dir = str(folder / "checkpoints")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(model, "forward", watched)
    train_main(cfg)
    return found


def absent(batches: list[Tensor]) -> Tensor:
    """Which leads are zero throughout, (halves, 12)."""
    return (torch.cat(batches) == 0).all(-1)


def test_leads_are_zero_in_training_and_there_in_validation(
    export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = seen("w2v_cmsc_rlm", export, tmp_path, monkeypatch)
    in_training, in_validation = absent(found[True]), absent(found[False])
    halves = 2 * RECORDS * 2  # of two epochs
    assert in_training.shape == (halves, len(STANDARD_LEADS)) and len(in_validation) == 2 * 16 * 2
    assert not in_validation.any()
    # 2,304 leads, each zero with probability one half: five deviations are 0.052.
    assert in_training.float().mean().item() == pytest.approx(0.5, abs=0.052)
    # Every lead, each half of a record by itself, and drawn anew in the second epoch.
    assert ((in_training.float().mean(0) - 0.5).abs() < 0.2).all()
    assert not torch.equal(in_training[0::2], in_training[1::2])
    assert not torch.equal(in_training[: halves // 2], in_training[halves // 2 :])


def test_without_it_no_lead_is_zero(
    export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = seen("w2v_cmsc", export, tmp_path, monkeypatch)
    assert not absent(found[True]).any() and not absent(found[False]).any()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_goes_on_is_the_one_that_was_not_stopped(
    export: Path, tmp_path: Path, workers: int
) -> None:
    def run(name: str, epochs: int) -> dict[str, Tensor]:
        arguments = ["--config-name", "baselines/w2v_cmsc_rlm_small", f"task.data={export}"]
        arguments += [f"hydra.run.dir={tmp_path / name}", f"optimization.max_epoch={epochs}"]
        arguments += ["dataset.batch_size=16", "model.encoder_layers=1"]
        train([*arguments, f"dataset.num_workers={workers}"], tmp_path, command=COMMAND)
        last = tmp_path / name / "checkpoints/checkpoint_last.pt"
        found: dict[str, Tensor] = read_checkpoint(last)["model"]
        return found

    whole, first = run("whole", 2), run("parts", 1)
    resumed = run("parts", 2)
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert not all(torch.equal(value, first[name]) for name, value in whole.items())
