"""Every command takes a checkpoint, an exported folder or an ONNX folder, or says what it lacks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import selfmis_plugin
from selfmis_plugin.cli.main import main
from tests.checkpoint_files import write_classifier
from tests.cli.test_start_up import HEAVY, imported
from tests.strip_files import lead_one
from tests.support import write_store


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
