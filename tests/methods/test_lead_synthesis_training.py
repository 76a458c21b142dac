"""Generators of leads through the embedded host: learning, resume, joining, every command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from selfmis_plugin import load_trained, toolkit
from selfmis_plugin.benchmark.studies.reconstruction import reconstruction_study
from selfmis_plugin.checkpoints import CheckpointError, read_checkpoint
from selfmis_plugin.checkpoints.contract import GeneratesLeads
from selfmis_plugin.checkpoints.facts import read_facts
from selfmis_plugin.checkpoints.loading import read_model
from selfmis_plugin.checkpoints.model_folder import write_model
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.store import Store
from selfmis_plugin.evaluation.evaluate import evaluate, predict_split
from selfmis_plugin.export.exporting import prepare_export
from selfmis_plugin.export.onnx_export import write_onnx
from selfmis_plugin.methods.lead_synthesis.joined import join
from selfmis_plugin.methods.lead_synthesis.rows import METHODS
from selfmis_plugin.nn.onnx_runtime import OnnxClassifier
from selfmis_plugin.training.configs import config_file
from tests.host_in_process import Training, config_of, same_weights
from tests.support import TINY, logged, train, write_store
from tests.training.test_training import train_two_processes

TINY_JUDGE = {
    "model.base_filters": 8,
    "model.filters": [8, 16],
    "model.blocks": [1, 1],
    "model.group_width": 8,
    "lr_scheduler.warmup_updates": 0,
}
TINY_MCMA = {"model.filters": [4, 4, 8], "optimization.lr": [0.01], "dataset.batch_size": 16}
GANS = {
    name: {
        "model.widths": [4, 4, 8, 8, 8],
        "model.discriminator_widths": [4] * count,
        "optimization.lr": [0.005],
        "dataset.batch_size": 16,
    }
    for name, count in (("ekgan", 5), ("pix2pix", 4), ("cyclegan", 4))
}


def trained(name: str, folder: Path, store: Path, **changes: Any) -> Path:
    """Train a small config in this process; return its last checkpoint."""
    Training(config_of(f"{name}_small", **{"task.data": str(store)}, **changes), folder)
    return folder / "checkpoints/checkpoint_last.pt"


class Runs:
    """MCMA over three epochs of six updates, a classifier of twelve leads, and both joined."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = write_store(folder / "store", {"train": 96, "valid": 32, "test": 24})
        keys = {"optimization.max_epoch": 3, "checkpoint.save_interval_updates": 4}
        self.last = trained("mcma", folder / "mcma", self.store, **TINY_MCMA, **keys)
        leads = {"task.leads": list(STANDARD_LEADS), "optimization.max_epoch": 2}
        judge = trained("selfmis_supervised", folder / "judge", self.store, **TINY_JUDGE, **leads)
        self.judge = judge.with_name("checkpoint_best.pt")
        self.joined = folder / "joined/checkpoint.pt"
        join(self.last, self.judge, self.joined)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("lead_synthesis"))


def test_it_learns_and_says_so_in_microvolts(runs: Runs) -> None:
    figures = {
        number: load_trained(runs.last.with_name(f"checkpoint_{number}.pt")).validation
        for number in ("1_4", "2_8", "3_16")
    }
    errors = [figures[number]["made_rmse"] for number in figures]
    assert errors == sorted(errors, reverse=True)
    generator = load_trained(runs.last)
    assert isinstance(generator, GeneratesLeads)
    # The figure is of the leads that are made, by the generator as it is read.
    rows = np.arange(96, 128)
    part = torch.from_numpy(Store.open(runs.store).read(rows, STANDARD_LEADS)).float()
    network = generator.generator(500)
    with torch.no_grad():
        real = network.input.decimate(part) / 1000
        made = network.make(real[:, :1])
    difference = 1000 * (made - real)[:, 1:]
    assert generator.validation == pytest.approx(
        {
            "made_rmse": float(difference.square().mean().sqrt()),
            "made_mae": float(difference.abs().mean()),
            "made_correlation": float(
                np.mean([
                    np.corrcoef(one, other)[0, 1]
                    for one, other in zip(
                        made[:, 1:].flatten(0, 1), real[:, 1:].flatten(0, 1), strict=True
                    )
                ])
            ),
            "objective": generator.validation["objective"],
        },
        rel=1e-3,
    )  # fmt: skip


def test_resumed_in_the_middle_of_an_epoch(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(
        runs.last.with_name("checkpoint_2_8.pt"), tmp_path / "checkpoints/checkpoint_last.pt"
    )
    resumed = Training(runs.last, tmp_path)
    assert same_weights(resumed.last, read_checkpoint(runs.last))


@pytest.mark.parametrize("name", sorted(GANS))
def test_adversaries_train_and_resume(name: str, tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", {"train": 32, "valid": 16})
    keys = {"optimization.max_epoch": 2, "checkpoint.save_interval_updates": 1}
    last = trained(name, tmp_path / "run", store, **GANS[name], **keys)
    numbers = ("1_1", "1_2", "2_3", "2_4")
    files = [last.with_name(f"checkpoint_{number}.pt") for number in numbers]
    errors = [load_trained(file).validation["made_mae"] for file in files if file.exists()]
    # Chosen by the error, whatever the adversary says.
    best = load_trained(last.with_name("checkpoint_best.pt")).validation["made_mae"]
    assert len(errors) > 1 and best <= min(errors)
    (tmp_path / "again/checkpoints").mkdir(parents=True)
    middle = tmp_path / "again/checkpoints/checkpoint_last.pt"
    shutil.copy(files[0], middle)
    assert same_weights(Training(last, tmp_path / "again").last, read_checkpoint(last))
    # What is read is the generator alone.
    generator = load_trained(last)
    assert not any("discriminator" in key or "way_back" in key for key in generator.weights)
    assert generator.generator(500)(torch.zeros(2, 1, 5000)).shape == (2, 12, 5000)


def test_precisions(runs: Runs, tmp_path: Path) -> None:
    changes = {"optimization.max_epoch": 1}
    reduced = Training(
        runs.last, tmp_path / "reduced", **{"model.precision": "bfloat16"}, **changes
    )
    whole = Training(runs.last, tmp_path / "whole", **changes)
    pairs = [[loss for _, loss in run.losses] for run in (reduced, whole)]
    assert pairs[0] != pairs[1] and pairs[0] == pytest.approx(pairs[1], rel=0.05)
    assert all(v.dtype == torch.float32 for v in reduced.last["model"].values())
    values = OmegaConf.create(read_checkpoint(runs.last)["cfg"])
    values.common.fp16 = True
    values.task.fp16 = True
    with pytest.raises(ValueError, match=r"one loss scale.*model\.precision=bfloat16"):
        toolkit.setup_task(values)


def test_the_latent_gap_is_in_the_loss(runs: Runs, tmp_path: Path) -> None:
    changes = {"model.latent_checkpoint": str(runs.judge), "optimization.max_epoch": 1}
    far, near = (
        Training(
            runs.last, tmp_path / str(weight), **changes, **{"criterion.latent_weight": weight}
        )
        for weight in (0.0, 5.0)
    )
    # The first batch is of the same networks: the two losses differ by five latent distances.
    distance = (near.losses[0][1] - far.losses[0][1]) / 5
    assert 0 < distance < 2
    encoder = {k: v for k, v in near.last["model"].items() if k.startswith("latent.encoder.")}
    judge = read_checkpoint(runs.judge)["model"]
    assert encoder and all(
        torch.equal(v, judge[k.replace("latent.", "network.", 1)]) for k, v in encoder.items()
    )
    assert not same_weights(near.last, far.last)
    # It went into the training, and is no part of the generator.
    file = tmp_path / "5.0/checkpoints/checkpoint_last.pt"
    assert [step.step for step in read_facts(file).provenance] == ["selfmis_classifier", "mcma"]
    assert load_trained(file).weights.keys() == load_trained(runs.last).weights.keys()


def test_a_joined_classifier_is_the_two_one_after_the_other(runs: Runs) -> None:
    store = Store.open(runs.store)
    signal = torch.from_numpy(store.read(np.arange(6), ["I"]))
    joined = load_trained(runs.joined)
    assert joined.preprocessing.leads == ("I",) and joined.required_leads == ("I",)
    judge = load_trained(runs.judge)
    assert joined.labels == judge.labels
    generator = load_trained(runs.last).generator(500)
    at_100 = generator.input.decimate(signal.float())
    made = generator.with_given(1000 * generator.make(at_100 / 1000), at_100[:, 0])
    with torch.no_grad():
        expected = judge.network(100).eval()(made)
        found = joined.network(500).eval()(signal)
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)
    facts = read_facts(runs.joined)
    assert [step.step for step in facts.provenance] == ["mcma", "selfmis_classifier"]
    assert facts.labels == read_facts(runs.judge).labels


def test_a_joined_classifier_goes_everywhere(runs: Runs, tmp_path: Path, capsys) -> None:
    assert 0 <= evaluate(runs.joined, runs.store, "test", draws=0)["macro_auc"] <= 1
    data = ["--data", str(runs.store)]
    compare = ["evaluate", "--checkpoint", str(runs.joined), "--against", str(runs.judge), *data]
    assert main([*compare, "--draws", "20"]) == 0
    report = ["report", "--checkpoint", str(runs.joined), *data, "--dest", str(tmp_path / "report")]
    assert main([*report, "--draws", "20"]) == 0 and (tmp_path / "report/report.html").is_file()
    model = prepare_export(runs.joined)
    write_model(model, tmp_path / "model", "card")
    signal = Store.open(runs.store).read(np.arange(4), ["I"])
    with torch.no_grad():
        expected = load_trained(runs.joined).network(500).eval()(torch.from_numpy(signal)).numpy()
        again = read_model(tmp_path / "model").classifier.network(500).eval()
        np.testing.assert_allclose(again(torch.from_numpy(signal)).numpy(), expected, atol=1e-5)
    write_onnx(model, tmp_path / "model.onnx")
    found = OnnxClassifier(tmp_path / "model.onnx").logits(signal, filtered=True)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    capsys.readouterr()
    assert main(["evaluate", "--checkpoint", str(runs.last), *data]) == 1
    said = capsys.readouterr().err
    assert "makes microvolts of leads from one" in said and "made_rmse" in said


def test_what_does_not_fit_is_not_joined(runs: Runs, tmp_path: Path) -> None:
    for first, second, message in (
        (runs.judge, runs.judge, "makes no leads in microvolts"),
        (runs.last, runs.last, "has no linear head"),
        (runs.last, runs.joined, "judged by a classifier of twelve"),
    ):
        with pytest.raises(CheckpointError, match=message):
            join(first, second, tmp_path / "never.pt")
    assert list(tmp_path.iterdir()) == []


def test_generators_are_compared_as_other_makers_of_leads(runs: Runs) -> None:
    answer = reconstruction_study(runs.last, runs.store)
    fit = answer.figures["fits"]["decoders"]
    assert fit["correlation"]["I"] == pytest.approx(1, abs=1e-5)
    with pytest.raises(CheckpointError, match="from lead I, not from lead II"):
        reconstruction_study(runs.last, runs.store, lead="II")


def benchmark(runs: Runs, dest: Path, methods: list[str], *more: str) -> dict[str, Any]:
    """Run rows of the benchmark, and return its report."""
    arguments = ["benchmark", "mi", "--dest", str(dest), "--size", "small", "--modes", "probe"]
    for role in ("data", "unlabelled", "archive"):
        arguments += [f"--{role}", str(runs.store)]
    arguments += ["--multi-lead-checkpoint", str(runs.judge), "--fractions", "1.0", *more]
    for override in (*(f"probe:{key}" for key in TINY), "optimization.max_epoch=1"):
        arguments += ["--set", override]
    assert main([*arguments, "--methods", ",".join(methods)]) == 0
    report = json.loads((dest / "report.json").read_text(encoding="utf-8"))
    assert report["failed"] == {} and {cell["method"] for cell in report["cells"]} == set(methods)
    return dict(report)


def test_rows_of_the_benchmark(runs: Runs, tmp_path: Path, capsys) -> None:
    methods = ["mcma", "mean_ecg", "nearest_record", "mean_beat", "linear_leads", "zero_leads"]
    methods.append("twelve_lead")
    benchmark(runs, tmp_path, methods, "--mcma-checkpoint", str(runs.last))
    # One training: the probe of twelve real leads, which judges all.
    assert capsys.readouterr().out.count("--config-name") == 1
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    table = text[text.index("## Leads made from one") :]
    assert "76.20" in table and "linear map" in table and "12 leads (upper bound)" in table
    file = tmp_path / "seed1/zero_leads/probe/1/run/checkpoints/checkpoint_best.pt"
    predictions = predict_split(file, runs.store, "test")
    # Eleven leads of zeros beside lead I, by hand.
    signal = Store.open(runs.store).read(np.arange(128, 152), STANDARD_LEADS).astype(np.float32)
    signal[:, 1:] = 0
    probe = load_trained(tmp_path / "seed1/twelve_lead/probe/1/run/checkpoints/checkpoint_best.pt")
    with torch.no_grad():
        logits = probe.network(500).eval()(torch.from_numpy(signal)).numpy()
    known = [probe.labels.index(label) for label in predictions.labels]
    np.testing.assert_allclose(predictions.logits, logits[:, known], atol=1e-3)
    # The nearest to a training record, however high it is, is that record.
    best = "probe/1/run/checkpoints/checkpoint_best.pt"
    network = load_trained(tmp_path / f"seed1/nearest_record/{best}").network(500).eval()
    leads = network.input(torch.from_numpy(Store.open(runs.store).read([5, 9], STANDARD_LEADS)))
    made = network.encoder.generator(3 * leads[:, :1])
    torch.testing.assert_close(made[:, 1:], leads[:, 1:], atol=0.1, rtol=1e-4)
    beats = prepare_export(tmp_path / f"seed1/mean_beat/{best}")
    with pytest.raises(CheckpointError, match=r"beats are looked for.*--format safetensors"):
        write_onnx(beats, tmp_path / "beats.onnx")


@pytest.mark.slow
def test_rows_that_are_trained(runs: Runs, tmp_path: Path) -> None:
    sizes = [
        ("mcma_free", "model.filters=[4,4,8]"),
        ("mcma_latent", "model.filters=[4,4,8]"),
        *((name, f"{key}={value}") for name in GANS for key, value in GANS[name].items()),
    ]
    sets = [part for name, key in sizes for part in ("--set", f"{name}:{key}".replace(" ", ""))]
    methods = ["mcma_free", "mcma_latent", *GANS]
    report = benchmark(runs, tmp_path, methods, *sets)
    assert {stage["stage"] for stage in report["stages"]} >= set(methods)
    assert report["costs"].keys() >= set(methods)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "closing the latent gap closes the gap in AUC" in text


def test_every_key_that_a_row_sets_is_in_its_configs() -> None:
    """Both hosts refuse a key on the command line that the file does not have."""
    stages = [method.encoder for method in METHODS if method.encoder is not None]
    assert {"mcma_free", "mcma_latent"} <= {stage.name for stage in stages}
    for stage in stages:
        for size in ("", "_small"):
            values = OmegaConf.load(config_file(stage.config + size))
            for key in (*stage.overrides, *stage.starts_from):
                part, name = key.split(".")
                assert name in values[part], (stage.name, key)


def test_weights_of_losses_that_are_not_there_are_refused(runs: Runs, tmp_path: Path) -> None:
    for key, message in (
        ("cycle_weight", "does not have"),
        ("latent_weight", r"give model\.latent_checkpoint"),
    ):
        with pytest.raises(ValueError, match=message):
            Training(runs.last, tmp_path / key, **{f"criterion.{key}": 1.0})
    with pytest.raises(ValueError, match="must be 0 or more"):
        Training(runs.last, tmp_path / "minus", **{"criterion.signal_weight": -1.0})
    with pytest.raises(ValueError, match="lead 'X' is none of"):
        Training(runs.last, tmp_path / "lead", **{"model.given": "X"})


def overrides(changes: Mapping[str, Any]) -> list[str]:
    return [f"{key}={str(value).replace(' ', '')}" for key, value in changes.items()]


@pytest.mark.slow
def test_two_processes_are_one(tmp_path: Path) -> None:
    data = write_store(tmp_path / "store", {"train": 16, "valid": 10})
    keys = {**TINY_MCMA, "optimization.lr": [0.001], "task.data": data, "optimization.max_epoch": 3}
    arguments = ["--config-name", "mcma_small", *overrides(keys)]
    one = train([*arguments, "dataset.batch_size=16", "hydra.run.dir=one"], tmp_path)
    two = train_two_processes([*arguments, "dataset.batch_size=8", "hydra.run.dir=two"], tmp_path)
    for name in ("made_rmse", "made_correlation"):
        assert logged(two, name, "valid") == pytest.approx(logged(one, name, "valid"), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(GANS))
def test_two_processes_of_adversaries_resume(name: str, tmp_path: Path) -> None:
    """Norms keep statistics of their own process's batches, and share them before each save."""
    store = write_store(tmp_path / "store", {"train": 32, "valid": 16})
    keys = {**GANS[name], "task.data": store, "optimization.max_epoch": 2}
    keys |= {"dataset.batch_size": 8, "checkpoint.save_interval_updates": 1}
    arguments = ["--config-name", f"{name}_small", *overrides(keys)]
    train_two_processes([*arguments, "hydra.run.dir=run"], tmp_path)
    whole = tmp_path / "run/checkpoints"
    (tmp_path / "again/checkpoints").mkdir(parents=True)
    shutil.copy(whole / "checkpoint_1_1.pt", tmp_path / "again/checkpoints/checkpoint_last.pt")
    train_two_processes([*arguments, "hydra.run.dir=again"], tmp_path)
    resumed, undisturbed = (
        read_checkpoint(folder / "checkpoint_last.pt")
        for folder in (tmp_path / "again/checkpoints", whole)
    )
    assert same_weights(resumed, undisturbed)
