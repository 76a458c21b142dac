"""A method in a package elsewhere, installed by pip: trained, judged, embedded, exported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import read_checkpoint
from tests.support import environment, train, train_in_spawned_worker, write_store

SOURCE = Path(__file__).resolve().parents[2] / "examples" / "own_package"
#: What a reader is asked to write for a method of their own.
LONGEST = 150


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the package is installed in."""
    folder = tmp_path_factory.mktemp("own")
    # pip builds beside the sources.
    shutil.copytree(SOURCE, folder / "source", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(folder / "site"), str(folder / "source")]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return folder / "site"


@pytest.fixture
def on_the_path(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes that a test starts see the package."""
    monkeypatch.setenv("PYTHONPATH", search_path(installed))


def search_path(installed: Path) -> str:
    """Return the package's folder before what is on the path already."""
    return os.pathsep.join([str(installed), *filter(None, [os.environ.get("PYTHONPATH")])])


def run(installed: Path, *arguments: object, cwd: Path, program: str | None = None) -> str:
    """Run ``selfmis`` with the package, or a program; return what it printed."""
    start = ["-c", program] if program else ["-m", "selfmis_plugin.cli.main"]
    done = subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        cwd=cwd,
        env=environment(PYTHONPATH=search_path(installed)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def test_it_is_short() -> None:
    lines = [line for f in SOURCE.rglob("*.py") if "build" not in f.parts for line in f.open()]
    assert len(lines) <= LONGEST


#: Loads and uses the files of the run, in one process: each import of PyTorch takes seconds.
USE = """
import sys
import numpy as np
import torch
from selfmis_plugin import load_encoder, load_model, load_trained
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.nn.encoder import build_input

pretrained, probe, store = sys.argv[1:]
encoder = load_encoder(pretrained)
assert type(encoder).__module__ == "own_method.network", type(encoder)
assert (encoder.embedding_dim, encoder.leads) == (32, ("I",))
assert main(["embed", "--checkpoint", pretrained, "--data", store, "--out", "e.npy"]) == 0
part = open_split(store, "test")
raw = torch.from_numpy(part.store.read(part.rows, ["I"]))
rate = encoder.preprocessing.sample_rate
with torch.no_grad():
    expected = encoder(build_input(encoder.config, encoder.leads, 500, rate)(raw)).numpy()
np.testing.assert_allclose(np.load("e.npy"), expected, atol=1e-5)
# The probe's encoder is the pre-training's, frozen.
kept = load_encoder(probe)
assert all(torch.equal(a, b) for a, b in zip(kept.parameters(), encoder.parameters()))

assert main(["evaluate", "--checkpoint", probe, "--data", store, "--json", "f.json"]) == 0
assert main(["evaluate", "--checkpoint", pretrained, "--data", store]) == 1
export = ["export", "--checkpoint", probe, "--data", store, "--dest", "model", "--format", "onnx"]
assert main(export) == 0
model = load_model("model")
network = load_trained(probe).network(500).eval()
with torch.no_grad():
    logits = network(raw).numpy()
from selfmis_plugin.nn.onnx_runtime import OnnxClassifier
np.testing.assert_allclose(OnnxClassifier("model/model.onnx").logits(raw.numpy(), filtered=True),
                           logits, atol=1e-4)
np.testing.assert_allclose(model.logits(list(raw.numpy())), logits, atol=1e-5)
print("used")
"""


def test_it_is_a_row_and_everything_that_rows_are(installed: Path, tmp_path: Path) -> None:
    store = write_store(tmp_path / "store")
    arguments = ["--data", store, "--unlabelled", store, "--archive", store]
    arguments += ["--methods", "own_masked,random_encoder", "--modes", "probe"]
    arguments += ["--fractions", "1.0", "--size", "small", "--workers", "2", "--dest", "out"]
    for key in ("optimization.max_epoch=2", "lr_scheduler.warmup_updates=0"):
        arguments += ["--set", key]
    printed = run(installed, "benchmark", "mi", *arguments, cwd=tmp_path)
    assert "| masked stretches |" in printed
    cells = pd.read_csv(tmp_path / "out/cells.csv")
    assert set(cells["method"]) == {"own_masked", "random_encoder"}
    assert np.isfinite(cells["mi_auc"]).all()
    # It has no pairs: what its training measured stands in their place.
    stage = json.loads((tmp_path / "out/seed1/stages/own_masked/stage.json").read_text())
    assert "retrieval" not in stage and 0 < stage["figures"]["error"] < 3
    # Pre-trained by the host's own command; the probe found its encoder's shape in the file.
    seed = tmp_path / "out/seed1"
    pretrained = seed / "stages/own_masked/checkpoints/checkpoint_best.pt"
    probe = seed / "own_masked/probe/1/run/checkpoints/checkpoint_best.pt"
    used = run(installed, pretrained, probe, store, cwd=tmp_path, program=USE)
    assert used.endswith("used\n")
    (auc,) = cells.loc[cells["method"] == "own_masked", "mi_auc"]
    assert json.loads((tmp_path / "f.json").read_text())["mi_auc"] == pytest.approx(auc, abs=1e-6)


def test_its_cost_is_counted_beside_the_others(installed: Path, tmp_path: Path) -> None:
    arguments = ["--only", "own_pretrain_small", "--only", "selfmis_pretrain_small"]
    arguments += ["--device", "cpu", "--json", "r.json"]
    printed = run(installed, "benchmark", "resources", *arguments, cwd=tmp_path)
    figures = json.loads((tmp_path / "r.json").read_text())["models"]["own_pretrain_small"]
    # 15 + 1 weights, twice 7 * 32 + 1, for each of 32 channels, and the layer that decodes.
    assert figures["parameters"] == 32 * 16 + 2 * 32 * (7 * 32 + 1) + 32 * 20 + 1
    assert figures["gmac"] > 0 and "own_pretrain_small" in printed


@pytest.mark.slow
def test_edited_configs_win_over_the_packages(on_the_path: None, tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", {"train": 32, "valid": 16})
    edited = tmp_path / "configs"
    edited.mkdir()
    text = (SOURCE / "own_method/configs/own_pretrain_small.yaml").read_text()
    (edited / "own_pretrain_small.yaml").write_text(text.replace("width: 32", "width: 8"))
    keys = [f"task.data={store}", "optimization.max_epoch=1"]
    named = ["--config-dir", str(edited), "--config-name"]
    train([*named, "own_pretrain_small", *keys, "hydra.run.dir=edited"], tmp_path)
    # A config that only the package has is found beside them too.
    small = [*keys, "task.sample_rate=100", "model.width=16", "hydra.run.dir=whole"]
    train([*named, "own_pretrain", *small], tmp_path)
    for run_folder, width in (("edited", 8), ("whole", 16)):
        state = read_checkpoint(tmp_path / run_folder / "checkpoints/checkpoint_best.pt")
        assert state["model"]["encoder.layers.0.weight"].shape[0] == width
        assert set(state["task_state"]["validation"]) == {"error"}


@pytest.mark.slow
def test_a_spawned_worker_knows_it(on_the_path: None, tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", {"train": 32, "valid": 16})
    keys = [f"task.data={store}", "optimization.max_epoch=1"]
    train(["--config-name", "own_pretrain_small", *keys], tmp_path)
    best = tmp_path / "outputs/own_pretrain_small/checkpoints/checkpoint_best.pt"
    train_in_spawned_worker(toolkit.host_name(), best, tmp_path)


@pytest.mark.signals
def test_inside_fairseq_signals(installed: Path, on_the_path: None, tmp_path: Path) -> None:
    store = write_store(tmp_path / "store")
    command = [sys.executable, "-m", "selfmis_plugin.cli.main", "train"]
    keys = [f"task.data={store}", "optimization.max_epoch=2"]
    printed = train(["--config-name", "own_pretrain_small", *keys], tmp_path, command=command)
    assert "| error " in printed
    pretrained = tmp_path / "outputs/own_pretrain_small/checkpoints/checkpoint_best.pt"
    train_in_spawned_worker(toolkit.host_name(), pretrained, tmp_path)
    probe = ["--config-name", "selfmis_linear_probe_small", *keys]
    train([*probe, f"model.encoder_checkpoint={pretrained}"], tmp_path, command=command)
    best = tmp_path / "outputs/selfmis_linear_probe_small/checkpoints/checkpoint_best.pt"
    kept = read_checkpoint(best)["model"]["network.encoder.layers.0.weight"]
    assert (kept == read_checkpoint(pretrained)["model"]["encoder.layers.0.weight"]).all()
    run(installed, "evaluate", "--checkpoint", best, "--data", store, cwd=tmp_path)
