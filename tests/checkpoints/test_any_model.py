"""Every command takes a checkpoint, an exported folder or an ONNX folder, or says what it lacks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import selfmis_plugin
from selfmis_plugin.checkpoints.contract import (
    Classifies,
    EmbedsLeads,
    EmbedsPairs,
    EmbedsRecords,
    GeneratesLeads,
    MakesLeads,
)
from selfmis_plugin.checkpoints.encoders import save_encoder
from selfmis_plugin.checkpoints.reading import CheckpointError, read_checkpoint
from selfmis_plugin.cli.main import main
from selfmis_plugin.methods.modally_reduced.reader import load_lead_encoder
from selfmis_plugin.nn.encoder import shape_from
from tests.checkpoint_files import (
    write_classifier,
    write_generator,
    write_joined,
    write_modally_reduced,
    write_towers,
)
from tests.cli.test_start_up import HEAVY, imported
from tests.model_folders import SHAPES, write_folders
from tests.strip_files import lead_one
from tests.support import environment, write_store


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("data") / "s", {"train": 5, "valid": 40, "test": 40})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, data: Path) -> dict[str, Path]:
    """One classifier as every kind of file and folder."""
    folder = tmp_path_factory.mktemp("models")
    checkpoint = write_classifier(folder / "c.pt")
    exported = folder / "exported"
    call = ["export", "--checkpoint", str(checkpoint), "--data", str(data), "--dest", str(exported)]
    assert main([*call, "--format", "onnx"]) == 0
    device = shutil.copytree(exported, folder / "device")
    (device / "model.safetensors").unlink()
    return {
        "checkpoint": checkpoint,
        "folder": exported,
        "onnx": exported / "model.onnx",
        "device": device,
    }


@pytest.mark.parametrize("kind", ["checkpoint", "folder", "onnx", "device"])
def test_evaluate_and_report_take_all_of_them(
    tmp_path: Path, data: Path, models: dict[str, Path], kind: str
) -> None:
    def figures(model: Path, name: str) -> dict[str, object]:
        out = tmp_path / name
        call = ["evaluate", "--checkpoint", str(model), "--data", str(data), "--draws", "0"]
        assert main([*call, "--json", str(out)]) == 0
        return dict(json.loads(out.read_text()))

    found, wanted = figures(models[kind], "a.json"), figures(models["checkpoint"], "b.json")
    assert found["records"] == 40 and found["per_label"].keys() == wanted["per_label"].keys()
    for label, auc in wanted["per_label"].items():
        assert auc is None or found["per_label"][label] == pytest.approx(auc, abs=0.01)
    call = ["report", "--checkpoint", str(models[kind]), "--data", str(data), "--draws", "5"]
    assert main([*call, "--worst", "0", "--dest", str(tmp_path / "report")]) == 0
    (page,) = (tmp_path / "report").glob("*.html")
    text = page.read_text(encoding="utf-8")
    # The infarction types come first, and in words.
    assert text.index("IMI inferior infarction") < text.index(">NORM")


@pytest.mark.parametrize("kind", ["checkpoint", "folder", "onnx", "device"])
def test_embed_takes_them_or_says_what_they_lack(
    tmp_path: Path, data: Path, models: dict[str, Path], kind: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "e.npy"
    call = ["embed", "--model", str(models[kind]), "--data", str(data), "--out", str(out)]
    if kind in ("onnx", "device"):
        assert main(call) == 1
        said = capsys.readouterr().err
        assert "has no embedding of a record (it predicts labels)" in said and "model.onnx" in said
        return
    assert main(call) == 0
    wanted = tmp_path / "w.npy"
    call[2], call[-1] = str(models["checkpoint"]), str(wanted)
    assert main(call) == 0
    np.testing.assert_array_equal(np.load(out), np.load(wanted))


@pytest.mark.parametrize("kind", ["checkpoint", "folder", "onnx", "device"])
def test_predict_takes_all_of_them(tmp_path: Path, models: dict[str, Path], kind: str) -> None:
    strip = lead_one(20) / 1000
    model = selfmis_plugin.load_model(models[kind])
    said = repr(model)
    assert repr(str(models[kind])) in said and "lead I, windows of 10 s at 100 Hz" in said
    # Where there are thresholds, there is one of any infarction.
    exported = kind != "checkpoint"
    labels = "5 labels (any infarction, " if exported else "4 labels ("
    assert f"{labels}AMI, IMI, PMI, NORM), {5 * exported} with a threshold, " in said
    assert said.endswith("Trained on records whose origin is not recorded.>")
    found = model.predict(strip, 500, quality=0)
    wanted = selfmis_plugin.load_model(models["checkpoint"]).predict(strip, 500, quality=0)
    np.testing.assert_allclose(found.logits[:, int(exported) :], wanted.logits, atol=2e-3)
    # Thresholds and calibration are in the folder, whatever computes.
    assert bool(found.points) == bool(found.calibration) == exported


def test_an_encoder_is_taken_out_of_a_folder(models: dict[str, Path]) -> None:
    one = selfmis_plugin.load_encoder(models["folder"])
    other = selfmis_plugin.load_encoder(models["checkpoint"])
    for name, value in other.state_dict().items():
        assert (one.state_dict()[name] == value).all(), name


#: Reads every folder in a process of its own that has imported nothing of the package yet, but for
#: the module of the shape where one is asked for; large libraries are there before.
_ANEW = """
import importlib, os, sys, traceback
import numba, pandas, safetensors.torch, scipy.signal, torch
for line in sys.argv[1:]:
    kind, module, folder, encoder = line.split("|")
    child = os.fork()
    if not child:
        status = 1
        try:
            if module:
                importlib.import_module(module)
            import selfmis_plugin
            with torch.no_grad():
                selfmis_plugin.load_trained(folder).network(500)(torch.randn(2, 1, 5000))
            selfmis_plugin.load_encoder(encoder)
            status = 0
        except Exception:
            traceback.print_exc()
        os._exit(status)
    if os.waitpid(child, 0)[1]:
        print("unread:", kind, module, flush=True)
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An exported folder of every shape."""
    return write_folders(tmp_path_factory.mktemp("folders"))


@pytest.mark.parametrize("shape_first", [pytest.param(False, marks=pytest.mark.slow), True])
def test_folders_of_every_method_are_read_by_who_imported_nothing(
    tmp_path: Path, folders: dict[str, Path], shape_first: bool
) -> None:
    with pytest.raises(ValueError, match="no package here brings") as known:
        shape_from({"kind": "unheard_of"})
    # None is left out that can be written: what a toolkit builds cannot, and tests add their own.
    brought = str(known.value).split("(there is ")[1].split(")")[0].split(", ")
    apart = {"host", "ecg_fm", "generated_leads"}
    assert {name for name in brought if not name.endswith("_of_tests")} - apart == set(SHAPES)
    calls = []
    for kind, folder in folders.items():
        encoder = tmp_path / f"{kind}.safetensors"
        save_encoder(selfmis_plugin.load_encoder(folder), encoder)
        shape = SHAPES[kind]
        module = type(getattr(shape, "generator", shape)).__module__ if shape_first else ""
        calls.append(f"{kind}|{module}|{folder}|{encoder}")
    done = subprocess.run(
        [sys.executable, "-c", _ANEW, *calls],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def _networks(trained: Any) -> Iterator[nn.Module]:
    """Yield every network that can be asked of what was trained."""
    if isinstance(trained, Classifies):
        yield trained.network(500)
    if isinstance(trained, EmbedsRecords):
        yield from (trained.embedder(500, view) for view in trained.views)
    for kind, name in (
        (EmbedsPairs, "pair_network"),
        (EmbedsLeads, "lead_network"),
        (MakesLeads, "lead_maker"),
        (GeneratesLeads, "generator"),
    ):
        if isinstance(trained, kind):
            yield getattr(trained, name)(500)


def test_what_is_loaded_is_there_to_be_asked_and_not_to_be_trained(
    tmp_path: Path, models: dict[str, Path], folders: dict[str, Path]
) -> None:
    written = [
        write(tmp_path / f"{write.__name__}.pt")
        for write in (write_towers, write_modally_reduced, write_generator, write_joined)
    ]
    for path in (*models.values(), *folders.values(), *written):
        networks = list(_networks(selfmis_plugin.load_trained(path)))
        assert networks, path
        for network in networks:
            assert not any(part.training for part in network.modules()), path
    # Dropout makes another answer each time.
    network = selfmis_plugin.load_trained(folders["heartlang"]).network(500)
    beats = torch.from_numpy(lead_one(10))[None, None].float()
    torch.testing.assert_close(network(beats), network(beats), rtol=0, atol=0)


def test_what_fits_no_command_is_refused_with_what_to_give(
    tmp_path: Path, data: Path, models: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*call: str) -> str:
        assert main(list(call)) == 1
        return capsys.readouterr().err

    other = write_store(tmp_path / "s", {"test": 5}, filter="bandpass")
    assert "filter" in said("evaluate", "--checkpoint", str(models["device"]), "--data", str(other))
    damaged = shutil.copytree(models["device"], tmp_path / "damaged")
    (damaged / "model.onnx").write_bytes(b"no model")
    for command in ("evaluate", "report"):
        call = [command, "--checkpoint", str(damaged), "--data", str(data)]
        call += ["--dest", str(tmp_path / "r")] if command == "report" else []
        assert "cannot be read as a model of `selfmis export`" in said(*call)
    assert "names its labels" in said(
        "evaluate", "--checkpoint", str(models["folder"]), "--data", str(data), "--labels", "A"
    )
    assert "is a folder, and none of `selfmis export`" in said(
        "evaluate", "--checkpoint", str(tmp_path), "--data", str(data)
    )


@pytest.fixture(scope="module")
def strip(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("strip") / "s.csv"
    rows = [f"{k / 512:.6f},{v / 1000:.4f}" for k, v in enumerate(lead_one(30, 512))]
    path.write_text("time (s),I (mV)\n" + "\n".join(rows) + "\n")
    return str(path)


def test_an_onnx_model_needs_no_torch_for_a_strip(models: dict[str, Path], strip: str) -> None:
    modules = imported(["predict", "--model", str(models["folder"]), strip])
    # Beats are found by compiled code, and other rates are resampled.
    assert HEAVY & modules <= {"numba", "onnxruntime", "scipy"}
    assert len(modules) < 1700


def test_a_checkpoint_needs_torch_alone(models: dict[str, Path], strip: str) -> None:
    modules = imported(["predict", "--model", str(models["checkpoint"]), strip])
    assert HEAVY & modules <= {"numba", "scipy", "torch"}
    # Its compiler, of 700 modules, is for those who compile.
    assert "torch._dynamo" not in modules and len(modules) < 2700


def test_exported_folders_are_refused_with_what_to_give(models: dict[str, Path]) -> None:
    # What reads a run's checkpoint alone; another method's; and the weights without the rest.
    with pytest.raises(CheckpointError, match=r"is an exported folder.*checkpoint_best\.pt"):
        read_checkpoint(models["folder"])
    with pytest.raises(CheckpointError, match="exported holds no encoder of modally reduced"):
        load_lead_encoder(models["folder"])
    for load in (selfmis_plugin.load_trained, selfmis_plugin.load_encoder):
        with pytest.raises(CheckpointError, match="of an exported folder: give .*exported$"):
            load(models["folder"] / "model.safetensors")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", list(SHAPES))
def test_no_method_warns_where_it_predicts(folders: dict[str, Path], kind: str) -> None:
    found = selfmis_plugin.load_model(folders[kind]).predict(lead_one(20) / 1000, 500, quality=0)
    assert np.isfinite(found.logits).all()
