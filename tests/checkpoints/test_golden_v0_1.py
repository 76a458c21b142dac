"""What version 0.1 wrote loads, goes on, and gives the numbers that 0.1 gave.

The files lie in ``tests/golden/v0_1``; ``make.py`` there wrote them with that version, and took the
numbers of ``expected.json`` by the functions below.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch

from selfmis_plugin import load_encoder, load_model

# No public doors of 0.1: these may move.
from selfmis_plugin.checkpoints import read_checkpoint
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.cli.main import main
from selfmis_plugin.evaluation.evaluate import evaluate
from selfmis_plugin.methods import known_methods
from selfmis_plugin.methods.method import PROBE
from tests.host_in_process import Training

ONNX_RUNTIME = "selfmis_plugin.nn.onnx_runtime"

GOLDEN = Path(__file__).parents[1] / "golden" / "v0_1"
#: What stands in the checkpoints' configs for the folder that the files lay in.
PLACE = "/golden"
RATE, SECONDS = 100, 4
CLASSIFIERS = ("supervised", "probe", "modally_reduced_probe")
RESUMED = ("selfmis", "probe", "modally_reduced")
ENCODERS = ("encoder.safetensors", "encoder.pth")
#: Settings of SelfMIS's trainings.
SMALLEST = (
    *("task.sample_rate=50", "dataset.batch_size=6", "lr_scheduler.warmup_updates=0"),
    *("model.base_filters=8", "model.filters=[8,8]", "model.blocks=[1,1]"),
    *("model.kernel_size=8", "model.group_width=8"),
)
BENCHMARK = (
    *("benchmark", "mi", "--size", "small", "--modes", "probe", "--fractions", "1.0"),
    *("--methods", "selfmis_without_sm,random_encoder", "--set", "optimization.max_epoch=2"),
    *(part for setting in SMALLEST for part in ("--set", setting)),
)
#: A step of the benchmark that the stopped folder has not done.
UNDONE = "seed1/selfmis_without_sm/probe/1"
#: What the small config of linear probes was in 0.1.
SMALL_PROBE_OF_0_1 = {
    "criterion.ridge": 0.0,
    "optimizer.weight_decay": 1.0,
    "checkpoint.best_checkpoint_metric": "macro_auc",
    "checkpoint.maximize_best_checkpoint_metric": True,
    "checkpoint.patience": 5,
}


# -- the numbers ---------------------------------------------------------------------------------


def signals_of(store: Path, records: int = 3) -> torch.Tensor:
    """Return the last records of the store, as the file of signals has them."""
    values = np.fromfile(store / "signals.i16", "<i2").astype(np.int16)
    return torch.from_numpy(values.reshape(-1, 12, RATE * SECONDS)[-records:])


def strip() -> npt.NDArray[np.float64]:
    """Return a strip of lead I, millivolts at 500 Hz: spikes on a slow wave."""
    time = np.arange(5000) / 500
    return 0.1 * np.sin(2 * np.pi * 0.3 * time) + np.exp(-(((time % 0.8 - 0.4) / 0.02) ** 2))


def prepared_input() -> torch.Tensor:
    """Return what an encoder of lead I is given."""
    return torch.sin(torch.arange(200) * torch.tensor([[0.1], [0.37]]))[:, None]


@torch.inference_mode()
def outputs_of(folder: Path) -> dict[str, Any]:
    """Return what the trained models make of some records."""
    signals = signals_of(folder / "store")
    found: dict[str, Any] = {}
    for name in CLASSIFIERS:
        trained = load_trained(folder / f"{name}.pt")
        leads = {12: signals, 1: signals[:, :1]}[len(trained.preprocessing.leads)]
        found[name] = {
            "labels": list(trained.labels),
            "preprocessing": trained.preprocessing.to_dict(),
            "logits": trained.network(RATE).eval()(leads).tolist(),
        }
    for name in ("selfmis", "modally_reduced"):
        trained = load_trained(folder / f"{name}.pt")
        single, multi = trained.network(RATE).eval()(signals)
        found[name] = {
            "preprocessing": trained.preprocessing.to_dict(),
            "single": single.tolist(),
            "multi": multi.tolist(),
        }
    model = load_trained(folder / "modally_reduced.pt").model(RATE)
    found["modally_reduced"]["leads"] = model.embed(signals[:1]).tolist()
    # Every tenth value: nine of ten say nothing more.
    decoded = model.decode_from(signals[:1, 0], 0)
    found["modally_reduced"] |= {
        "decoded_shape": list(decoded.shape),
        "decoded_from_I": decoded[..., ::10].tolist(),
    }
    for name in ENCODERS:
        encoder = load_encoder(folder / name)
        found[name] = {
            "preprocessing": encoder.preprocessing and encoder.preprocessing.to_dict(),
            "embeddings": encoder(prepared_input()).tolist(),
        }
    return found


def figures_of(folder: Path) -> dict[str, Any]:
    """Return what ``evaluate`` says of each model."""
    found = {}
    for name in (*CLASSIFIERS, "selfmis", "modally_reduced"):
        figures = evaluate(folder / f"{name}.pt", folder / "store", "test", draws=20)
        found[name] = {k: v for k, v in figures.items() if k not in ("checkpoint", "data")}
    return found


def predictions_of(folder: Path) -> dict[str, Any]:
    """Return what the exported folders predict."""
    model = load_model(folder / "exported")
    found: dict[str, Any] = {"labels": list(model.labels)}
    microvolts = signals_of(folder / "store")[:, 0].numpy()
    for name, signal, rate, unit in (
        ("strip", strip(), 500, "mV"),
        ("record", microvolts[0], RATE, "uV"),
    ):
        predicted = model.predict(signal, rate, unit, quality=0)
        found[name] = {
            "windows": predicted.probabilities.tolist(),
            "probabilities": {k: r.probability for k, r in predicted.results.items()},
            "thresholds": {k: r.threshold for k, r in predicted.results.items()},
        }
    return found


def onnx_outputs_of(folder: Path) -> dict[str, Any]:
    """Return what the ONNX file makes of some records."""
    classifier = importlib.import_module(ONNX_RUNTIME).OnnxClassifier(folder / "onnx/model.onnx", 1)
    return {
        "labels": list(classifier.labels),
        "leads": list(classifier.leads),
        "rate": classifier.rate,
        "samples": classifier.samples,
        "thresholds": classifier.thresholds,
        "logits": classifier.logits(signals_of(folder / "store")[:, :1].numpy()).tolist(),
    }


def resumed(name: str, folder: Path, run: Path) -> dict[str, Any]:
    """Go on from the checkpoint of a first epoch; return losses and weights after the second."""
    last = run / "checkpoints" / "checkpoint_last.pt"
    last.parent.mkdir(parents=True)
    shutil.copy(folder / "resume" / f"{name}.pt", last)
    training = Training(last, run)
    extra = training.last["extra_state"]
    return {
        "records": [list(records) for records, _ in training.losses],
        "losses": [loss for _, loss in training.losses],
        "best": extra["best"],
        "val_loss": extra["val_loss"],
        "updates": training.last["optimizer_history"][-1]["num_updates"],
        "weights": {
            key: float(value.double().norm())
            for key, value in training.last["model"].items()
            if value.is_floating_point()
        },
    }


def run_benchmark(folder: Path) -> tuple[dict[str, Any], str]:
    """Run the benchmark in its folder; return the cells of its report, and what was printed."""
    arguments = [*BENCHMARK, "--dest", str(folder / "benchmark")]
    for role in ("data", "unlabelled", "archive"):
        arguments += [f"--{role}", str(folder / "store")]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert main(arguments) == 0
    report = json.loads((folder / "benchmark/report.json").read_text(encoding="utf-8"))
    assert report["failed"] == {}
    cells = {}
    for cell in report["cells"]:
        name = f"seed{cell['seed']}/{cell['method']}/{cell['mode']}/{cell['fraction']:g}"
        table = pd.read_parquet(folder / "benchmark" / name / "predictions.parquet")
        cells[name] = {
            **{key: value for key, value in cell.items() if key != "seconds"},
            "predictions": table.to_dict("list"),
        }
    return cells, output.getvalue()


# -- the test ------------------------------------------------------------------------------------


def with_place(value: Any, old: str, new: str) -> Any:
    """Return *value* with the folder *old* replaced by *new* in every text of it."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, Mapping):
        return {key: with_place(item, old, new) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(with_place(item, old, new) for item in value)
    return value


def assert_close(found: Any, expected: Any, rel: float, abs: float, place: str = "") -> None:
    """Compare numbers inside of dictionaries and lists by a tolerance, and all else exactly."""
    if isinstance(expected, dict):
        # A later version may say more.
        assert expected.keys() <= found.keys(), place
        for key, value in expected.items():
            assert_close(found[key], value, rel, abs, f"{place}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), place
        for number, value in enumerate(expected):
            assert_close(found[number], value, rel, abs, f"{place}/{number}")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=rel, abs=abs, nan_ok=True), place
    else:
        assert found == expected, place


def without_intervals(figures: Any) -> Any:
    """Leave out the ends of intervals: 0.1 took them from draws, which do not hold with few."""
    if not isinstance(figures, dict):
        return figures
    gone = ("low", "high", "undefined_draws")
    return {key: without_intervals(value) for key, value in figures.items() if key not in gone}


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """What 0.1 gave."""
    return json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files, whose checkpoints name the copy's folder."""
    folder = tmp_path_factory.mktemp("v0_1") / "golden"
    shutil.copytree(GOLDEN, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for path in folder.rglob("*.pt"):
        state = read_checkpoint(path)
        torch.save(state | {"cfg": with_place(state["cfg"], PLACE, str(folder))}, f"{path}.new")
        # Not in place: what was read is still mapped to the file.
        Path(f"{path}.new").replace(path)
    return folder


def test_models_give_the_same_numbers(golden: Path, expected: dict[str, Any]) -> None:
    assert_close(outputs_of(golden), expected["outputs"], 1e-4, 1e-5)


def test_figures_are_the_same(golden: Path, expected: dict[str, Any]) -> None:
    assert_close(figures_of(golden), without_intervals(expected["figures"]), 1e-4, 1e-5)


def test_an_exported_folder_predicts_the_same(golden: Path, expected: dict[str, Any]) -> None:
    assert_close(predictions_of(golden), expected["predictions"], 1e-4, 1e-5)


def test_an_onnx_file_gives_the_same_logits(golden: Path, expected: dict[str, Any]) -> None:
    pytest.importorskip("onnxruntime")
    assert_close(onnx_outputs_of(golden), expected["onnx"], 1e-4, 1e-5)


@pytest.mark.parametrize("name", RESUMED)
def test_a_training_goes_on(
    name: str, golden: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    assert_close(resumed(name, golden, tmp_path / "run"), expected["resumed"][name], 1e-3, 1e-4)


def test_a_stopped_benchmark_goes_on(
    golden: Path, expected: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The cell that is left is a probe, and 0.1's small probe had a decay in place of a ridge.
    modes = known_methods()[Path(UNDONE).parts[1]].modes
    assert isinstance(modes, dict)
    former = {**modes[PROBE].overrides, **SMALL_PROBE_OF_0_1}
    monkeypatch.setitem(modes, PROBE, dataclasses.replace(modes[PROBE], overrides=former))
    folder = Path(shutil.copytree(golden, tmp_path / "golden"))
    done = {
        path: path.read_bytes()
        for path in (folder / "benchmark").rglob("*")
        if path.name in ("benchmark.json", "stage.json", "cell.json", "predictions.parquet")
    }
    assert len(done) == 4 and not (folder / "benchmark" / UNDONE).exists()
    cells, printed = run_benchmark(folder)
    assert printed.count("--config-name") == 1
    assert all(path.read_bytes() == content for path, content in done.items())
    assert_close(cells, without_intervals(expected["benchmark"]), 1e-3, 1e-3)
