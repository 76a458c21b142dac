"""Wrote the files beside it. Written by version 0.1, to be run with that version only.

From the repository's root: ``OMP_NUM_THREADS=1 python -m tests.golden.v0_1.make``. All trainings
are of the embedded host, by its command line. What is of no use afterwards is left out: the
optimizer's state where nothing goes on from a checkpoint, the weights of the benchmark's last
checkpoint, and the exporter's traces in the ONNX file, which its model card thus states as larger.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import onnx
import torch
from selfmis_plugin.data.record_preparation import prepare_recording
from selfmis_plugin.data.synthetic import simulate

import selfmis_plugin
from selfmis_plugin.checkpoints import read_checkpoint
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.recording import Recording
from selfmis_plugin.data.store import StoreWriter
from tests import test_golden_v0_1 as golden
from tests.support import train

#: Statements of the store, and infarctions of its patients in turn. No record has LMI.
DIAGNOSTIC = ("NORM", "AMI", "IMI", "LMI")
PATIENTS: tuple[tuple[str, ...], ...] = ((), ("AMI",), ("IMI",))
SPLITS = {"train": 12, "valid": 6, "test": 6}
SELFMIS = (*golden.SMALLEST, "optimization.lr=[0.001]")
MODALLY_REDUCED = (
    *("task.sample_rate=50", "dataset.batch_size=6", "lr_scheduler.warmup_updates=0"),
    *("model.patch_size=20", "model.width=4", "model.depth=1", "model.heads=2"),
    "model.mlp_ratio=2.0",
)
DECODERS = ("model.decoder_width=4", "model.decoder_heads=2")


def make_store(dest: Path) -> None:
    """Write synthetic records of 4 s at 100 Hz, two of each patient."""
    sets = {"diagnostic": DIAGNOSTIC, "infarction": DIAGNOSTIC[1:], "all": (*DIAGNOSTIC, "AFIB")}
    layout: dict[str, Any] = {"sample_rate": golden.RATE, "seconds": golden.SECONDS}
    with StoreWriter(dest, database="ptbxl", label_sets=sets, **layout) as writer:
        for split, count in SPLITS.items():
            for number in range(count):
                patient = len(writer) // 2
                kinds = PATIENTS[patient % len(PATIENTS)]
                record = simulate(1, patient, number % 2, infarctions=kinds)
                recording = Recording(record.signal.astype("float64"), STANDARD_LEADS, 500.0)
                name = f"{len(writer):05d}"
                prepared = prepare_recording(recording, name, **layout)
                row = {
                    "record_id": name,
                    "patient_id": str(patient),
                    "source": f"synthetic/{name}",
                    "split": split,
                    "repaired": "; ".join(text for _, text in prepared.repairs),
                    "lead_mask": prepared.lead_mask,
                    "labels": [label for label in sets["all"] if label in record.statements],
                    "strat_fold": {"train": 1, "valid": 9, "test": 10}[split],
                }
                writer.append(prepared.signal, row)


def train_two_epochs(work: Path, name: str, config: str, *overrides: str) -> None:
    """Train, and keep the model of the last epoch and, to go on from, that of the first."""
    arguments = ["--config-name", config, f"task.data={work / 'store'}", *overrides]
    arguments += ["optimization.max_epoch=2", "checkpoint.no_epoch_checkpoints=false"]
    train([*arguments, f"hydra.run.dir={work / 'runs' / name}"], work)
    run = work / "runs" / name / "checkpoints"
    keep(run / "checkpoint2.pt", work / f"{name}.pt")
    if name in golden.RESUMED:
        (work / "resume").mkdir(exist_ok=True)
        shutil.copy(run / "checkpoint1.pt", work / "resume" / f"{name}.pt")


def keep(source: Path, dest: Path, weights: bool = True) -> None:
    """Copy a checkpoint without the state of the optimizer."""
    state = read_checkpoint(source)
    state.pop("last_optimizer_state", None)
    if not weights:
        state["model"] = {}
    torch.save(state, f"{dest}.new")
    Path(f"{dest}.new").replace(dest)


def without_traces(path: Path) -> None:
    """Drop the lines of code, with the machine's paths, that PyTorch's exporter leaves in nodes."""
    model = onnx.load(path)
    for node in model.graph.node:
        node.ClearField("metadata_props")
    onnx.save(model, path)


def selfmis(*arguments: str) -> None:
    """Run a command of ``selfmis`` in this process."""
    if main(arguments) != 0:
        raise SystemExit(f"selfmis {' '.join(arguments)} failed")


def make_benchmark(work: Path) -> dict[str, Any]:
    """Run the benchmark, and leave it as if it had been stopped before its last cell."""
    cells, _ = golden.run_benchmark(work)
    folder = work / "benchmark"
    shutil.rmtree(folder / golden.UNDONE)
    kept = {"benchmark.json", "stage.json", "cell.json", "predictions.parquet"}
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif "stages" in path.parts and path.suffix == ".pt":
            keep(path, path, weights=path.name == "checkpoint_best.pt")
        elif path.name not in kept:
            path.unlink()
    return cells


def rounded(value: Any) -> Any:
    """Return *value* with its numbers to seven digits, as float32 has them."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value


def make(work: Path) -> None:
    """Write everything below *work*."""
    make_store(work / "store")
    train_two_epochs(work, "supervised", "selfmis_supervised_small", *SELFMIS)
    tower = f"model.multi_lead_checkpoint={work / 'supervised.pt'}"
    train_two_epochs(work, "selfmis", "selfmis_pretrain_small", *SELFMIS, tower)
    encoder = f"model.encoder_checkpoint={work / 'selfmis.pt'}"
    train_two_epochs(work, "probe", "selfmis_linear_probe_small", *SELFMIS, encoder)
    train_two_epochs(work, "modally_reduced", "modally_reduced_small", *MODALLY_REDUCED, *DECODERS)
    encoder = f"model.encoder_checkpoint={work / 'modally_reduced.pt'}"
    train_two_epochs(
        work,
        "modally_reduced_probe",
        "modally_reduced_linear_probe_small",
        *MODALLY_REDUCED,
        encoder,
    )
    for name in golden.ENCODERS:
        selfmis_plugin.save_encoder(selfmis_plugin.load_encoder(work / "selfmis.pt"), work / name)
    export = ["export", "--data", str(work / "store"), "--checkpoint"]
    selfmis(*export, str(work / "probe.pt"), "--dest", str(work / "exported"))
    # At the store's rate: to another one, the file would hold a large matrix of the resampling.
    whole_rate = (*SELFMIS, f"task.sample_rate={golden.RATE}", "task.leads=[I]")
    train_two_epochs(work, "onnx", "selfmis_supervised_small", *whole_rate)
    selfmis(*export, str(work / "onnx.pt"), "--dest", str(work / "onnx"), "--format", "onnx")
    (work / "onnx.pt").unlink()
    without_traces(work / "onnx" / "model.onnx")
    expected = {
        "outputs": golden.outputs_of(work),
        "figures": golden.figures_of(work),
        "predictions": golden.predictions_of(work),
        "onnx": golden.onnx_outputs_of(work),
        "resumed": {
            name: golden.resumed(name, work, work / "resumed" / name) for name in golden.RESUMED
        },
        "benchmark": make_benchmark(work),
    }
    text = json.dumps(rounded(expected), separators=(",", ":"))
    (work / "expected.json").write_text(text + "\n", encoding="utf-8")


def without_place(work: Path) -> None:
    """Put a neutral folder in the place of *work* in all files, and drop what is not kept."""
    for name in ("runs", "resumed", "store/embeddings"):
        shutil.rmtree(work / name, ignore_errors=True)
    for path in work.rglob("*.pt"):
        state = golden.with_place(read_checkpoint(path), str(work), golden.PLACE)
        torch.save(state, f"{path}.new")
        Path(f"{path}.new").replace(path)
    for path in (*work.rglob("*.json"), *work.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(str(work), golden.PLACE), encoding="utf-8")


def write_all() -> None:
    """Write the files beside this script anew."""
    if selfmis_plugin.__version__ != "0.1.0":
        raise SystemExit("these files are what version 0.1 is: make them with that version")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder).resolve() / "golden"
        work.mkdir()
        make(work)
        without_place(work)
        shutil.copytree(work, golden.GOLDEN, dirs_exist_ok=True)


if __name__ == "__main__":
    write_all()
