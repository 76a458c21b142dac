"""Generators of leads inside fairseq-signals: make test-signals SIGNALS=PATH."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import torch

from selfmis_plugin import load_trained
from selfmis_plugin.checkpoints import read_checkpoint
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.evaluation.evaluate import evaluate
from selfmis_plugin.methods.lead_synthesis.joined import join
from tests.support import TINY, logged, train, write_store

pytestmark = pytest.mark.signals

COMMAND = [str(Path(sys.executable).with_name("selfmis")), "train"]
GANS = {"ekgan": 5, "pix2pix": 4, "cyclegan": 4}


def test_mcma_trains_and_is_joined(tmp_path: Path, store: Path) -> None:
    shared = [f"task.data={store}", "optimization.max_epoch=2"]
    mcma = ["--config-name", "mcma_small", *shared, "model.filters=[4,4,8]"]
    mcma += ["dataset.batch_size=8", "optimization.lr=[0.01]"]
    output = train([*mcma, "hydra.run.dir=mcma"], tmp_path, command=COMMAND)
    errors = logged(output, "made_rmse", "valid")
    assert len(errors) == 2 and errors[1] < errors[0]
    judge = ["--config-name", "selfmis_supervised_small", *shared, *TINY, "hydra.run.dir=judge"]
    train([*judge, f"task.leads=[{','.join(STANDARD_LEADS)}]"], tmp_path, command=COMMAND)
    best = "checkpoints/checkpoint_best.pt"
    join(tmp_path / "mcma" / best, tmp_path / "judge" / best, tmp_path / "joined.pt")
    assert 0 <= evaluate(tmp_path / "joined.pt", store, "test", draws=0)["macro_auc"] <= 1
    latent = [f"model.latent_checkpoint={tmp_path / 'judge' / best}", "criterion.latent_weight=1"]
    output = train([*mcma, *latent, "hydra.run.dir=latent"], tmp_path, command=COMMAND)
    assert len(logged(output, "objective", "valid")) == 2


@pytest.mark.parametrize("name", sorted(GANS))
def test_adversaries_resume(name: str, tmp_path: Path) -> None:
    data = write_store(tmp_path / "store", {"train": 32, "valid": 16})
    arguments = ["--config-name", f"{name}_small", f"task.data={data}", "dataset.batch_size=16"]
    arguments += ["model.widths=[4,4,8,8,8]", "optimization.max_epoch=2"]
    arguments += [f"model.discriminator_widths={[4] * GANS[name]}".replace(" ", "")]
    arguments += ["checkpoint.save_interval_updates=1"]
    train([*arguments, "hydra.run.dir=run"], tmp_path, command=COMMAND)
    whole = tmp_path / "run/checkpoints"
    middle = tmp_path / "again/checkpoints"
    middle.mkdir(parents=True)
    shutil.copy(whole / "checkpoint_1_1.pt", middle / "checkpoint_last.pt")
    train([*arguments, "hydra.run.dir=again"], tmp_path, command=COMMAND)
    resumed, undisturbed = (
        read_checkpoint(folder / "checkpoint_last.pt")["model"] for folder in (middle, whole)
    )
    assert all(torch.equal(value, undisturbed[key]) for key, value in resumed.items())
    made = load_trained(whole / "checkpoint_best.pt").generator(500)(torch.zeros(1, 1, 5000))
    assert made.shape == (1, 12, 5000)
