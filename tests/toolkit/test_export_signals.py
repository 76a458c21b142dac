"""``selfmis prepare export --format fairseq-signals``: keys, values, manifests, resuming."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch

from selfmis_plugin import compat
from selfmis_plugin.cli import prepare
from selfmis_plugin.data.store import Store, StoreWriter, read_manifest
from selfmis_plugin.nn.inputs import Preparation
from tests.support import environment, write_store

RATE, SAMPLES = 500, 5000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which patients have several records and one lead is flat."""
    path = tmp_path_factory.mktemp("export") / "store"
    rng = np.random.default_rng(5)
    sets = {"infarction": ("AMI", "IMI"), "one": ("AMI",)}
    with StoreWriter(path, database="ptbxl", label_sets=sets) as writer:
        for number in range(9):
            wave = rng.normal(0, 200, (12, SAMPLES)) + 100 * np.arange(12)[:, None]
            wave[7] = 0
            row = {
                "record_id": f"g1/{number}",
                "patient_id": f"p{number // 3}",
                "split": ("train", "train", "valid")[number // 3],
                "labels": [("AMI", "IMI", "SR")[number % 3]],
            }
            writer.append(wave.astype(np.int16), row)
    return path


def export(store: Path, dest: Path, *arguments: object, status: int = 0) -> Path:
    command = ["export", store, "--format", "fairseq-signals", "--dest", dest, *arguments]
    assert prepare.main([str(argument) for argument in command]) == status
    return dest


def listed(dest: Path, split: str) -> list[Path]:
    lines = (dest / f"{split}.tsv").read_text().splitlines()
    return [Path(lines[0], line.split("\t")[0]) for line in lines[1:]]


def load(path: Path) -> dict[str, Any]:
    content = scipy.io.loadmat(path)
    return {key: value for key, value in content.items() if not key.startswith("__")}


def expected(store: Path, row: int) -> np.ndarray:
    """Each lead to mean 0 and deviation 1, in float64, a flat one to zero."""
    signal = Store.open(store).signals[row].astype(np.float64)
    with np.errstate(invalid="ignore"):
        scaled = (signal - signal.mean(1)[:, None]) / signal.std(1)[:, None]
    return np.nan_to_num(scaled)


def test_plain(store: Path, tmp_path: Path, capsys) -> None:
    dest = export(store, tmp_path / "out")
    assert json.loads((dest / "export.json").read_text())["complete"] is True
    manifest = read_manifest(dest / "train.tsv")
    assert manifest.root == dest / "signals" and set(manifest.samples) == {SAMPLES}
    assert len(manifest.record_ids) == 6 and len(listed(dest, "valid")) == 3
    assert not (dest / "test.tsv").exists()
    patients = dict(line.split("\t") for line in (dest / "patients.tsv").read_text().splitlines())
    for row, path in enumerate([*listed(dest, "train"), *listed(dest, "valid")]):
        content = load(path)
        # Without idx, which the toolkit would take for the patient.
        assert set(content) == {"feats", "curr_sample_rate", "curr_sample_size", "patient_id"}
        assert content["feats"].dtype == np.float32
        np.testing.assert_allclose(content["feats"], expected(store, row), atol=1e-5)
        assert content["curr_sample_rate"].item() == RATE
        assert content["curr_sample_size"].item() == SAMPLES
        assert patients[str(content["patient_id"].item())] == f"p{row // 3}"
    assert "train 6, valid 3" in capsys.readouterr().out


def test_lead_one_alone_in_millivolts(store: Path, tmp_path: Path) -> None:
    dest = export(store, tmp_path / "out", "--leads", "I,V6", "--scale", "mV")
    signals = Store.open(store).signals
    for row, path in enumerate(listed(dest, "train")):
        feats = load(path)["feats"]
        assert feats.shape == (12, SAMPLES)
        np.testing.assert_allclose(feats[[0, 11]], signals[row, [0, 11]] / 1000, rtol=1e-6)
        assert not feats[1:11].any()


@pytest.mark.parametrize("scale", ["zscore", "mV"])
def test_decimated_as_in_training(store: Path, tmp_path: Path, scale: str) -> None:
    arguments = ("--sample-rate", 100, "--scale", scale, "--kind", "cmsc")
    dest = export(store, tmp_path / "out", *arguments)
    lines = (dest / "train.tsv").read_text().splitlines()
    assert all(line.split("\t")[1] == "500" for line in lines[2:])
    raw = torch.from_numpy(Store.open(store).signals[:6].astype(np.float32))
    for row, line in enumerate(lines[2:]):
        halves = [load(dest / "signals" / f"{line.split()[0]}_{k}.mat") for k in (0, 1)]
        assert all(half["curr_sample_rate"].item() == 100 for half in halves)
        feats = np.concatenate([half["feats"] for half in halves], axis=1)
        # What a training decimates, brought to the same scale; its own z-score is affine.
        seen = Preparation(RATE, 100)(raw[row : row + 1])[0].numpy().astype(np.float64)
        for lead, (written, wanted) in enumerate(zip(feats, seen, strict=True)):
            if lead == 7:
                assert not written.any()
                continue
            slope, offset = np.polyfit(wanted, written, 1)
            np.testing.assert_allclose(written, slope * wanted + offset, atol=2e-5)
            if scale == "zscore":
                assert written.mean() == pytest.approx(0, abs=1e-6)
                assert written.std() == pytest.approx(1, abs=1e-6)
            else:
                assert written.std() == pytest.approx(0.2 * 0.2**0.5, rel=0.2)


def test_a_sample_rate_above_the_stores_is_refused(store: Path, tmp_path: Path, capsys) -> None:
    export(store, tmp_path / "out", "--sample-rate", 1000, status=1)
    assert "is not between" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_halves_for_cmsc(store: Path, tmp_path: Path) -> None:
    dest = export(store, tmp_path / "out", "--kind", "cmsc", "--workers", 2)
    lines = (dest / "train.tsv").read_text().splitlines()
    assert lines[:2] == [str(dest / "signals"), "mat"]
    for row, line in enumerate(lines[2:]):
        name, *rest = line.split("\t")
        assert rest == ["2500", "12", "0,1"]
        halves = [load(dest / "signals" / f"{name}_{k}.mat") for k in (0, 1)]
        feats = np.concatenate([half["feats"] for half in halves], axis=1)
        np.testing.assert_allclose(feats, expected(store, row), atol=1e-5)
        for half in halves:
            # With an idx the toolkit would take every record for a patient of its own.
            assert "idx" not in half and half["patient_id"].item() == row // 3
            assert half["curr_sample_size"].item() == 2500
    assert len(lines) == 2 + 6


def test_classification(store: Path, tmp_path: Path) -> None:
    arguments = ("--kind", "classification", "--label-set", "infarction")
    dest = export(store, tmp_path / "out", *arguments)
    table = np.load(dest / "y.npy")
    for row, path in enumerate(listed(dest, "train")):
        content = load(path)
        label = [float(row % 3 == 0), float(row % 3 == 1)]
        assert content["label"].squeeze(0).tolist() == label
        assert table[content["idx"].item()].tolist() == label
    rows = list(csv.reader((dest / "labels.csv").open()))
    assert rows == [["name", "positives_train", "positives_valid"], ["AMI", "2", "1"],
                    ["IMI", "2", "1"]]  # fmt: skip
    one = export(store, tmp_path / "one", "--kind", "classification", "--label-set", "one")
    assert load(listed(one, "train")[0])["label"].shape == (1, 1)


def test_a_fraction_is_exported_as_a_fraction(store: Path, tmp_path: Path) -> None:
    arguments = ["--label-fraction", "0.5", "--dest", str(tmp_path / "half")]
    assert prepare.main(["fraction", str(store), *arguments]) == 0
    dest = export(tmp_path / "half", tmp_path / "out")
    assert len(listed(dest, "train")) == 3
    assert len(list((dest / "signals").rglob("*.mat"))) == 6


def times(dest: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (dest / "signals").rglob("*.*")}


def test_only_what_is_missing_is_written_again(store: Path, tmp_path: Path, capsys) -> None:
    dest = export(store, tmp_path / "out")
    before = times(dest)
    first, second = listed(dest, "train")[:2]
    content = first.read_bytes()
    first.write_bytes(content[:-8])
    second.unlink()
    export(store, dest)
    assert "2 records written" in capsys.readouterr().out
    after = times(dest)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {first.name, second.name} and before.keys() == after.keys()
    assert len(first.read_bytes()) == len(content)


#: Runs ``selfmis`` and kills itself in the middle of the twentieth file.
KILLED = """
import os, pathlib, signal, sys
from selfmis_plugin.cli.main import main
write, written = pathlib.Path.write_bytes, []
def write_bytes(path, content):
    written.append(path)
    if len(written) < 20:
        return write(path, content)
    write(path, content[: len(content) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path.write_bytes = write_bytes
main(sys.argv[1:])
"""


def test_killed_and_started_again(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", {"train": 30, "valid": 10})
    dest = tmp_path / "out"
    command = ["prepare", "export", str(store), "--format", "fairseq-signals", "--dest", str(dest)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *command], env=environment(), stderr=subprocess.DEVNULL
    )
    assert done.returncode == -signal.SIGKILL
    before = {path.name: path.stat().st_mtime_ns for path in dest.rglob("[!.]*.mat")}
    assert len(before) == 19 and not list(dest.glob("*.tsv"))
    assert json.loads((dest / "export.json").read_text())["complete"] is False
    export(store, dest)
    after = times(dest)
    assert len(after) == 40 and all(after[name] == before[name] for name in before)
    for row, path in enumerate(listed(dest, "train")):
        np.testing.assert_allclose(load(path)["feats"], expected(store, row), atol=1e-5)


def test_another_export_is_not_mixed_in(store: Path, tmp_path: Path, capsys) -> None:
    dest = export(store, tmp_path / "out")
    before = times(dest)
    export(store, dest, "--leads", "I", status=1)
    error = capsys.readouterr().err
    assert "holds another export (leads" in error and "--overwrite" in error
    assert times(dest) == before
    export(store, dest, "--leads", "I", "--overwrite")
    assert not load(listed(dest, "train")[0])["feats"][1:].any()
    os.utime(store / "signals.i16")
    export(store, dest, "--leads", "I", status=1)
    assert "the store has changed" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/work.txt").write_text("mine")
    export(store, tmp_path / "mine", "--overwrite", status=1)
    assert "is not an export" in capsys.readouterr().err
    assert (tmp_path / "mine/work.txt").read_text() == "mine"


def test_what_cannot_be_exported(store: Path, tmp_path: Path, capsys) -> None:
    def error(data: Path, *arguments: object) -> str:
        export(data, tmp_path / "out", *arguments, status=1)
        assert not (tmp_path / "out").exists()
        return capsys.readouterr().err

    assert "several label sets; name one with --label-set: infarction, one" in error(
        store, "--kind", "classification"
    )
    assert "no label set 'x'" in error(store, "--kind", "classification", "--label-set", "x")
    narrow = write_store(tmp_path / "narrow", {"train": 2}, lead_mask=3)
    assert "2 of 2 records lack one of the leads" in error(narrow)
    assert len(listed(export(narrow, tmp_path / "ok", "--leads", "I,II"), "train")) == 2
    assert "train.tsv is missing" in error(tmp_path)


def test_odd_names_stay_apart(tmp_path: Path) -> None:
    names = ["a/b", "a_b", "a%2Fb", "..", "é" * 90, "x" * 240]
    with StoreWriter(tmp_path / "store", database="mine") as writer:
        for number, name in enumerate(names):
            writer.append(np.full((12, SAMPLES), number, np.int16), {"record_id": name})
    dest = export(tmp_path / "store", tmp_path / "out", "--scale", "mV")
    paths = listed(dest, "train")
    for number, path in enumerate(paths):
        assert path.parent == dest / "signals/0000"
        assert load(path)["feats"][0, 0] == np.float32(number / 1000)
    assert len(set(paths)) == len(names)


# Inside fairseq-signals ---------------------------------------------------------------------------


@pytest.mark.signals
def test_the_toolkits_datasets_read_them(store: Path, tmp_path: Path) -> None:
    compat.apply("fairseq_signals")
    from fairseq_signals.data import (
        CMSCECGDataset,
        FileECGDataset,
        PerturbECGDataset,
        ThreeKGECGDataset,
    )

    plain = export(store, tmp_path / "plain")
    options: dict[str, Any] = {"sample_rate": RATE, "pad": True, "shuffle": False}
    dataset = FileECGDataset(str(plain / "train.tsv"), **options)
    assert len(dataset) == 6 and dataset.sizes.tolist() == [SAMPLES] * 6
    batch = dataset.collator([dataset[k] for k in range(6)])
    source = batch["net_input"]["source"]
    assert source.shape == (6, 12, SAMPLES) and source.dtype == torch.float32
    wanted = np.stack([expected(store, row) for row in range(6)])
    np.testing.assert_allclose(source.numpy(), wanted, atol=1e-5)

    masked = export(store, tmp_path / "masked", "--leads", "I")
    dataset = FileECGDataset(str(masked / "train.tsv"), **options)
    source = dataset.collator([dataset[0]])["net_input"]["source"]
    np.testing.assert_allclose(source[0, 0].numpy(), wanted[0, 0], atol=1e-5)
    assert not source[0, 1:].any()

    halves = export(store, tmp_path / "cmsc", "--kind", "cmsc")
    dataset = CMSCECGDataset(str(halves / "train.tsv"), **options)
    batch = dataset.collator([dataset[k] for k in (0, 1, 3)])
    assert batch["net_input"]["source"].shape == (6, 12, SAMPLES // 2)
    assert batch["patient_id"].tolist() == [0, 0, 0, 0, 1, 1]
    assert batch["segment"].tolist() == [0, 1] * 3
    joined = batch["net_input"]["source"][2:4].transpose(0, 1).reshape(12, SAMPLES)
    np.testing.assert_allclose(joined.numpy(), wanted[1], atol=1e-5)

    arguments = ("--kind", "classification", "--label-set", "infarction")
    labelled = export(store, tmp_path / "labelled", *arguments)
    labels = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    for label_file in (None, str(labelled / "y.npy")):
        dataset = FileECGDataset(
            str(labelled / "train.tsv"), label=True, label_file=label_file, **options
        )
        batch = dataset.collator([dataset[k] for k in range(3)])
        assert batch["label"].tolist() == labels and batch["label"].is_floating_point()

    millivolts = export(store, tmp_path / "mv", "--scale", "mV")
    for kind in (ThreeKGECGDataset, PerturbECGDataset):
        extra = {} if kind is ThreeKGECGDataset else {"perturbation_mode": None}
        dataset = kind(manifest_path=str(millivolts / "train.tsv"), sample_rate=RATE, **extra)
        batch = dataset.collator([dataset[0], dataset[1]])
        assert batch["net_input"]["source"].shape == (4, 12, SAMPLES)
        if kind is ThreeKGECGDataset:
            assert batch["patient_id"].tolist() == [0] * 4
