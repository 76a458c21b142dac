"""Modally reduced representations through the embedded host: curriculum, resume, probe, leads
spread over processes."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from selfmis_plugin import load_encoder, save_encoder
from selfmis_plugin.checkpoints import CheckpointError, load_encoder_weights, read_checkpoint
from selfmis_plugin.checkpoints.loading import load_trained, read_model
from selfmis_plugin.checkpoints.model_folder import write_model
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.store import Store, StoreError
from selfmis_plugin.evaluation.embeddings import embed_split
from selfmis_plugin.evaluation.evaluate import evaluate
from selfmis_plugin.export.exporting import prepare_export
from selfmis_plugin.export.onnx_export import write_onnx
from selfmis_plugin.methods.modally_reduced.criterion import AlignReconstruct
from selfmis_plugin.methods.modally_reduced.reader import load_lead_encoder, load_modally_reduced
from selfmis_plugin.nn.inputs import Preparation
from selfmis_plugin.nn.onnx_runtime import OnnxClassifier
from selfmis_plugin.predict.model import load_model
from tests.host_in_process import Training, same_weights
from tests.support import logged, train, write_store
from tests.training.test_training import train_two_processes

ENCODER = ("model.patch_size=50", "model.width=16", "model.depth=1", "model.heads=2")
SMALL = (
    *("--config-name", "modally_reduced_small", *ENCODER, "lr_scheduler.warmup_updates=0"),
    *("model.decoder_width=8", "model.decoder_heads=2", "dataset.batch_size=16"),
)
PROBE = ("--config-name", "modally_reduced_linear_probe_small", *ENCODER)


class Runs:
    """A pre-training of four epochs of six updates, and a probe of lead V1 on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = write_store(folder / "store", {"train": 96, "valid": 32, "test": 16})
        self.output = train(
            [*SMALL, "task.data=store", "hydra.run.dir=pretrain", "optimization.max_epoch=4"]
            + ["checkpoint.save_interval_updates=4", "checkpoint.no_save_optimizer_state=false"],
            folder,
        )
        self.checkpoints = folder / "pretrain/checkpoints"
        self.last = self.checkpoints / "checkpoint_last.pt"
        self.probe_output = train(
            [*PROBE, "task.data=store", f"model.encoder_checkpoint={self.last}"]
            + ["task.leads=[V1]", "optimization.max_epoch=2", "hydra.run.dir=probe"],
            folder,
        )
        self.probe = folder / "probe/checkpoints/checkpoint_best.pt"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("modally_reduced"))


def test_validation_joins_its_parts_by_the_epochs_weights(runs: Runs) -> None:
    figures = {
        name: logged(runs.output, name, "valid")
        for name in ("loss", "align_loss", "reconstruct_loss", "objective")
    }
    # Each epoch of six updates is validated at its end and once before.
    assert {len(values) for values in figures.values()} == {8}
    rows = list(zip(*figures.values(), strict=True))
    for number, (loss, align, reconstruct, objective) in enumerate(rows):
        epoch = 1 + number // 2
        angle = epoch / 4 * math.pi / 2
        expected = math.sin(angle) * align + math.cos(angle) * reconstruct
        assert loss == pytest.approx(expected, abs=2e-4)
        assert objective == pytest.approx(align + reconstruct, abs=2e-4)


def test_resumed_in_the_middle_of_an_epoch(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: list[tuple[float, float]] = []
    compute = AlignReconstruct.compute

    def watched(criterion: AlignReconstruct, *arguments):
        weights.append(criterion.weights())
        return compute(criterion, *arguments)

    monkeypatch.setattr(AlignReconstruct, "compute", watched)
    # As a run that was killed after the sixteenth update, in the third epoch, leaves it.
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(
        runs.checkpoints / "checkpoint_3_16.pt", tmp_path / "checkpoints/checkpoint_last.pt"
    )
    resumed = Training(runs.last, tmp_path)
    third = (math.sin(3 * math.pi / 8), math.cos(3 * math.pi / 8))
    # Two updates of the third epoch are left, and two batches to validate on; then the fourth.
    assert weights[:4] == [pytest.approx(third)] * 4
    assert set(weights[4:]) == {(1.0, 0.0)}
    assert same_weights(resumed.last, read_checkpoint(runs.last))


def test_each_loss_alone_trains_its_part(runs: Runs, tmp_path: Path) -> None:
    def untrained(schedule: str) -> dict[str, bool]:
        """Say which parts of the model an epoch of *schedule* leaves as they were drawn."""
        one = {"criterion.schedule": schedule, "optimization.max_epoch": 1}
        # Weight decay would change what has no gradient.
        one |= {"optimizer.weight_decay": 0.0}
        still = {"optimizer.lr": [0.0], "lr_scheduler.lr": [0.0]}
        drawn = Training(runs.last, tmp_path / f"{schedule}0", **one, **still)
        trained = Training(runs.last, tmp_path / schedule, **one)
        return {
            part: all(
                torch.equal(value, trained.last["model"][name])
                for name, value in drawn.last["model"].items()
                if name.startswith(f"network.{part}.")
            )
            for part in ("encoders", "decoders")
        }

    assert untrained("align") == {"encoders": False, "decoders": True}
    assert untrained("reconstruct") == {"encoders": False, "decoders": False}


def test_bfloat16_is_close(runs: Runs, tmp_path: Path) -> None:
    changes = {"model.precision": "bfloat16", "optimization.max_epoch": 1}
    reduced = Training(runs.last, tmp_path / "reduced", **changes)
    whole = Training(runs.last, tmp_path / "whole", **{"optimization.max_epoch": 1})
    pairs = [[loss for _, loss in run.losses] for run in (reduced, whole)]
    assert pairs[0] != pairs[1] and pairs[0] == pytest.approx(pairs[1], rel=0.02)
    assert all(v.dtype == torch.float32 for v in reduced.last["model"].values())


def test_trained_model_is_read_back(runs: Runs) -> None:
    trained = load_modally_reduced(runs.last)
    assert trained.leads == STANDARD_LEADS and trained.preprocessing.sample_rate == 100
    model = trained.model(500)
    store = Store.open(runs.store)
    signals = torch.from_numpy(store.read(np.arange(5), STANDARD_LEADS))
    with torch.no_grad():
        embeddings = model.embed(signals)
        assert model.decode_from(signals[:, 0], 0).shape == (5, 12, 1000)
        prepared = Preparation(500, 100)(signals[:, 6:7])
        for source in (runs.last, runs.probe):
            one = load_lead_encoder(source, "V1")(prepared)
            torch.testing.assert_close(one, embeddings[:, 6], rtol=1e-4, atol=1e-5)
    # What the commands write: lead I, and what the others have in common.
    written = embed_split(runs.last, runs.store, "train", ("single", "multi"))
    np.testing.assert_allclose(written["single"].values[:5], embeddings[:, 0], rtol=1e-3, atol=1e-4)
    rest = embeddings[:, 1:].mean(1)
    np.testing.assert_allclose(written["multi"].values[:5], rest, rtol=1e-3, atol=1e-4)
    assert 0 <= evaluate(runs.last, runs.store)["r10"] <= 1


def test_probe_of_any_lead(runs: Runs, tmp_path: Path, capsys) -> None:
    encoder = load_trained(runs.probe).weights
    trained = load_modally_reduced(runs.last).weights
    for name, value in encoder.items():
        if name.startswith("encoder."):
            # The frozen encoder of the probe is the seventh of the twelve, V1's.
            assert torch.equal(value[0], trained[name.replace("encoder.", "encoders.")][6])
    figures = evaluate(runs.probe, runs.store, "valid", draws=0)
    best = max(logged(runs.probe_output, "macro_auc", "valid"))
    assert figures["macro_auc"] == pytest.approx(best, abs=1e-5)
    model = load_model(runs.probe)
    assert {*model.labels, *model.unlearned} == set(load_trained(runs.probe).labels)
    arguments = ["evaluate", "--checkpoint", str(runs.probe), "--data", str(runs.store)]
    assert main([*arguments, "--draws", "0"]) == 0
    assert "macro AUC" in capsys.readouterr().out


def test_what_does_not_fit_is_refused(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has the encoder of lead V1, not of I"):
        load_lead_encoder(runs.probe, "I")
    with pytest.raises(CheckpointError, match="no encoder of lead X"):
        load_lead_encoder(runs.last, "X")
    with pytest.raises(CheckpointError, match="no checkpoint of modally_reduced"):
        load_modally_reduced(runs.probe)
    for key, value, message in (
        ("model.width", 32, r"model\.width=16"),
        ("task.sample_rate", 50.0, "prepared in another way"),
    ):
        with pytest.raises(CheckpointError, match=message):
            Training(runs.probe, tmp_path / key, **{key: value, "task.leads": ["I"]})
    absent = write_store(tmp_path / "absent", {"train": 8, "valid": 8}, lead_mask=0b11)
    with pytest.raises(StoreError, match="8 of 8 records lack"):
        Training(runs.last, tmp_path / "run", **{"task.data": str(absent)})


def test_a_training_begins_with_what_a_probe_was_written_as(runs: Runs, tmp_path: Path) -> None:
    write_model(prepare_export(runs.probe), tmp_path / "model", "card")
    save_encoder(load_encoder(runs.probe), tmp_path / "encoder.safetensors")
    known = load_encoder_weights(runs.probe).state_dict
    for name in ("model", "encoder.safetensors"):
        changes = {"model.encoder_checkpoint": str(tmp_path / name), "optimization.max_epoch": 1}
        trained = Training(runs.probe, tmp_path / f"run_{name}", **changes).last["model"]
        for key, value in known.items():  # frozen: as it was
            assert torch.equal(trained[f"network.encoder.{key}"], value), (name, key)
        with pytest.raises(CheckpointError, match="has the encoder of lead V1, not of I"):
            Training(runs.probe, tmp_path / "other", **changes, **{"task.leads": ["I"]})


def test_a_probe_is_kept_as_a_folder_and_as_onnx(runs: Runs, tmp_path: Path) -> None:
    model = prepare_export(runs.probe)
    write_model(model, tmp_path / "model", "card")
    write_onnx(model, tmp_path / "model.onnx")
    lead = model.classifier.preprocessing.leads[0]
    signal = Store.open(runs.store).read(np.arange(4), [lead])
    network = load_trained(runs.probe).network(model.input_rate).eval()
    with torch.no_grad():
        expected = network(torch.from_numpy(signal)).numpy()
    again = read_model(tmp_path / "model").classifier.network(model.input_rate).eval()
    with torch.no_grad():
        np.testing.assert_allclose(again(torch.from_numpy(signal)).numpy(), expected, atol=1e-6)
    found = OnnxClassifier(tmp_path / "model.onnx").logits(signal, filtered=True)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.slow
def test_the_benchmark_has_a_row(runs: Runs, tmp_path: Path) -> None:
    arguments = ["benchmark", "mi", "--dest", str(tmp_path / "mi"), "--size", "small"]
    arguments += ["--data", str(runs.store), "--unlabelled", str(runs.store)]
    for override in (*ENCODER, "optimization.max_epoch=1"):
        arguments += ["--set", override]
    arguments += ["--methods", "modally_reduced", "--modes", "probe", "--fractions", "1"]
    assert main(arguments) == 0
    report = json.loads((tmp_path / "mi/report.json").read_text(encoding="utf-8"))
    assert report["failed"] == {} and len(report["cells"]) == 1
    assert 0 <= report["cells"][0]["mi_auc"] <= 1


@pytest.mark.slow
def test_leads_spread_over_two_processes_are_one_process(tmp_path: Path) -> None:
    # 16 records are one batch of one process, or a batch of 8 for each of two.
    data = write_store(tmp_path / "store", {"train": 16, "valid": 10})
    config = tmp_path / "configs"
    config.mkdir()
    folder = Path(__file__).parents[2] / "configs"
    text = (folder / "modally_reduced_small.yaml").read_text(encoding="utf-8")
    head, rest = text.split("optimizer:\n")
    # A plain step of length 1 against the gradient: the weights then tell the gradient itself.
    keys = "  _name: sgd\n  lr: ${optimization.lr}\n  momentum: 0.0\n  weight_decay: 0.0\n"
    sgd = f"{head}optimizer:\n{keys}{rest[rest.index('lr_scheduler:') :]}"
    (config / "step.yaml").write_text(sgd, encoding="utf-8")
    arguments = ["--config-dir", str(config), "--config-name", "step", f"task.data={data}"]
    arguments += [*SMALL[2:-1], "optimization.max_epoch=1", "optimization.lr=[1.0]"]
    arguments += ["optimization.clip_norm=0.0", "criterion.schedule=sum"]
    one = train(
        [*arguments, "dataset.batch_size=16", "hydra.run.dir=one", "dataset.batch_size_valid=10"],
        tmp_path,
    )
    two = train_two_processes(
        [*arguments, "dataset.batch_size=8", "hydra.run.dir=two", "dataset.batch_size_valid=5"]
        + ["criterion.spread_leads=true"],
        tmp_path,
    )
    for tag, names in (
        ("train", ("loss", "gnorm")),
        ("valid", ("loss", "align_loss", "reconstruct_loss", "objective")),
    ):
        for name in names:
            alone, together = logged(one, name, tag), logged(two, name, tag)
            assert len(alone) == 1
            assert together == pytest.approx(alone, rel=1e-3), (tag, name)
    first, second = (
        read_checkpoint(tmp_path / name / "checkpoints/checkpoint_last.pt")["model"]
        for name in ("one", "two")
    )
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=2e-5, atol=2e-6)
