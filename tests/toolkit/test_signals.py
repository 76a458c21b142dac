"""The same trainings inside fairseq-signals: make test-signals SIGNALS=PATH."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch

from selfmis_plugin import compat, toolkit
from selfmis_plugin.checkpoints import read_checkpoint
from selfmis_plugin.cli.main import main
from selfmis_plugin.compat.at_start import AT_THE_START
from tests.support import TINY, UNTRAINED, logged, train, train_in_spawned_worker
from tests.wearables import MULTI, wearable_recording, write_csv

pytestmark = pytest.mark.signals

COMMAND = [str(Path(sys.executable).with_name("selfmis")), "train"]


def run(arguments: list[str], folder: Path, **options: bool) -> str:
    return train([*arguments, *TINY], folder, command=COMMAND, **options)


def adaptations(output: str) -> list[str]:
    return [line for line in output.splitlines() if "fairseq_signals was adapted" in line]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, store: Path) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("signals")
    data = f"task.data={os.path.relpath(store, folder)}"
    best = "checkpoints/checkpoint_best.pt"
    tower = ["--config-name", "selfmis_supervised_small", data, "optimization.max_epoch=2"]
    pretrain = [
        *("--config-name", "selfmis_pretrain_small", data, "optimization.max_epoch=3"),
        f"model.multi_lead_checkpoint=outputs/selfmis_supervised_small/{best}",
    ]
    checkpoint = f"model.encoder_checkpoint=outputs/selfmis_pretrain_small/{best}"
    probe = ["--config-name", "selfmis_linear_probe_small", data, checkpoint]
    probe += ["optimization.max_epoch=2"]
    finetune = ["--config-name", "selfmis_finetune_small", data, checkpoint]
    finetune += ["optimization.max_epoch=2"]
    return {
        "folder": folder,
        "pretrain": pretrain,
        "probe": probe,
        "outputs": [run(arguments, folder) for arguments in (tower, pretrain, probe, finetune)],
    }


def test_every_training_validates_and_anneals(runs: dict) -> None:
    tower, pretrain, probe, finetune = runs["outputs"]
    for output, epochs, figure in (
        (tower, 2, "macro_auc"),
        (pretrain, 3, "r10"),
        (probe, 2, "mi_auc"),
        (finetune, 2, "macro_auc"),
    ):
        values = logged(output, figure, "valid")
        assert len(values) == epochs and all(math.isfinite(value) for value in values)
        assert logged(output, "lr")[-1] == pytest.approx(0.0, abs=1e-9)
    expected = [0.01 * (1 + math.cos(math.pi * epoch / 3)) / 2 for epoch in (1, 2, 3)]
    assert logged(pretrain, "lr") == pytest.approx(expected, abs=1e-6)


def test_what_was_adapted_is_said_on_one_line(runs: dict) -> None:
    lines = adaptations(runs["outputs"][0])
    assert len(lines) == 1
    if sys.version_info >= (3, 11):
        assert "dataclass defaults made hashable" in lines[0]
    if not torch.cuda.is_available():
        assert "gradient clipping without CUDA" in lines[0]
    # The toolkit's own faults are left alone where they do not matter.
    assert "resuming" not in lines[0] and "criterion" not in lines[0]


def test_what_was_adapted_needs_nothing_more() -> None:
    assert toolkit.HOST == "fairseq_signals"
    assert compat.apply(toolkit.HOST) == []
    assert not any(patch.needed() for patch in AT_THE_START)


def test_the_same_command_resumes_and_finds_nothing_to_do(runs: dict) -> None:
    output = run(runs["pretrain"], runs["folder"])
    assert "Loaded checkpoint" in output and not logged(output, "loss")


def test_one_more_epoch_goes_on_with_its_schedule(runs: dict) -> None:
    arguments = [a.replace("max_epoch=3", "max_epoch=4") for a in runs["pretrain"]]
    # In a copy: the other tests start from the encoder of the three epochs.
    trained = runs["folder"] / "outputs/selfmis_pretrain_small"
    shutil.copytree(trained, runs["folder"] / "longer")
    output = run([*arguments, "hydra.run.dir=longer"], runs["folder"])
    assert len(logged(output, "loss")) == 1
    assert logged(output, "lr")[-1] == pytest.approx(0.0, abs=1e-9)


def test_frozen_tower_is_unchanged(runs: dict) -> None:
    outputs = runs["folder"] / "outputs"
    tower = read_checkpoint(outputs / "selfmis_supervised_small/checkpoints/checkpoint_best.pt")
    trained = read_checkpoint(outputs / "selfmis_pretrain_small/checkpoints/checkpoint_best.pt")
    loaded = {k: v for k, v in tower["model"].items() if k.startswith("network.encoder.")}
    assert len(loaded) > 10
    for name, value in loaded.items():
        assert torch.equal(value, trained["model"]["towers.multi." + name[16:]]), name


def test_evaluate_reads_its_checkpoints(runs: dict, store: Path, capsys) -> None:
    probe = runs["folder"] / "outputs/selfmis_linear_probe_small/checkpoints/checkpoint_best.pt"
    arguments = ["evaluate", "--checkpoint", str(probe), "--data", str(store), "--split", "valid"]
    assert main(arguments) == 0
    best = max(logged(runs["outputs"][2], "macro_auc", "valid"))
    printed = re.search(r"macro AUC, \d+ labels: (\S+)", capsys.readouterr().out)
    assert printed is not None and float(printed.group(1)) == pytest.approx(best, abs=6e-4)


def test_a_spawned_worker_trains(runs: dict) -> None:
    last = "outputs/selfmis_supervised_small/checkpoints/checkpoint_last.pt"
    train_in_spawned_worker("fairseq_signals", runs["folder"] / last, runs["folder"])


@pytest.mark.parametrize(("name", "number"), [("pretrain", 1), ("probe", 2)])
def test_kept_embeddings_change_no_loss(runs: dict, name: str, number: int) -> None:
    cached = runs["outputs"][number]
    plain = run(
        [*runs[name], "task.cache_frozen_embeddings=false", f"hydra.run.dir=plain_{name}"],
        runs["folder"],
    )
    assert cached.count("files computed") == 2 and "files computed" not in plain
    for tag in ("train", "valid"):
        losses = logged(cached, "loss", tag)
        assert len(losses) >= 2
        # Of batches of two sizes, and as printed.
        assert logged(plain, "loss", tag) == pytest.approx(losses, rel=1e-3)


@pytest.mark.parametrize("name", ["pretrain", "probe"])
def test_resumed_in_the_middle_of_an_epoch(runs: dict, name: str) -> None:
    arguments = [
        *runs[name], "dataset.batch_size=16", "checkpoint.patience=-1",
        "checkpoint.save_interval_updates=2", "checkpoint.no_save_optimizer_state=false",
    ]  # fmt: skip
    whole, resumed = (runs["folder"] / f"{name}_{part}" for part in ("whole", "resumed"))
    # With workers, which hold the order of the epoch in which they were started.
    run([*arguments, f"hydra.run.dir={whole}", "dataset.num_workers=1"], runs["folder"])
    (resumed / "checkpoints").mkdir(parents=True)
    # As a run that was killed after the tenth update, the third of the second epoch, leaves it.
    shutil.copy(
        whole / "checkpoints/checkpoint_2_10.pt", resumed / "checkpoints/checkpoint_last.pt"
    )
    output = run([*arguments, f"hydra.run.dir={resumed}"], runs["folder"])
    assert "@ 10 updates" in output and output.count("read from the cache") == 2
    (line,) = adaptations(output)
    assert "resuming in the middle of an epoch" in line
    first, second = (
        read_checkpoint(folder / "checkpoints/checkpoint_last.pt") for folder in (whole, resumed)
    )
    updates = [trained["optimizer_history"][-1]["num_updates"] for trained in (first, second)]
    assert updates[0] == updates[1] > 10
    assert all(torch.equal(value, second["model"][key]) for key, value in first["model"].items())


def test_reduced_precision_trains(runs: dict) -> None:
    for name, number in (("pretrain", 1), ("probe", 2)):
        output = run(
            [*runs[name], "model.precision=bfloat16", f"hydra.run.dir=bfloat16_{name}"],
            runs["folder"],
        )
        for tag in ("train", "valid"):
            exact, losses = (
                logged(text, "loss", tag) for text in (runs["outputs"][number], output)
            )
            assert losses != exact and losses == pytest.approx(exact, rel=0.03)
        if name == "pretrain":
            assert losses[-1] < losses[0]


def test_fine_tuning_as_people_do_it(runs: dict) -> None:
    folder = runs["folder"]
    probe = folder / "outputs/selfmis_linear_probe_small/checkpoints/checkpoint_best.pt"
    arguments = [
        *("--config-name", "selfmis_finetune_two_stage_small", runs["probe"][2]),
        *(f"model.classifier_checkpoint={probe}", "model.freeze_encoder_updates=6"),
        *("criterion.positive_weight_cap=2", "dataset.batch_size=25", "optimization.max_epoch=3"),
        *("checkpoint.save_interval_updates=1", "optimizer.weight_decay=0.01"),
    ]
    whole, resumed = folder / "tuned", folder / "tuned_resumed"
    output = run([*arguments, f"hydra.run.dir={whole}"], folder)
    assert "weights of positives, at most 2, from 100 training records" in output
    checkpoints = whole / "checkpoints"
    names = ("checkpoint_2_6.pt", "checkpoint_2_7.pt", "checkpoint_last.pt")
    before, after, last = (read_checkpoint(checkpoints / name) for name in names)
    start = {k: v for k, v in read_checkpoint(probe)["model"].items() if ".encoder." in k}
    assert len(start) > 10
    assert all(torch.equal(before["model"][name], value) for name, value in start.items())
    assert not any(torch.equal(after["model"][name], value) for name, value in start.items())
    steps = {state["step"] for state in last["last_optimizer_state"]["state"].values()}
    assert steps == {6, 12}

    (resumed / "checkpoints").mkdir(parents=True)
    shutil.copy(checkpoints / "checkpoint_1_3.pt", resumed / "checkpoints/checkpoint_last.pt")
    run([*arguments, f"hydra.run.dir={resumed}"], folder)
    again = read_checkpoint(resumed / "checkpoints/checkpoint_last.pt")["model"]
    assert all(torch.equal(value, again[name]) for name, value in last["model"].items())


def test_a_wearable_trains(tmp_path: Path) -> None:
    for subject in range(3):
        signals = wearable_recording(subject, (10,) * 4)
        write_csv(tmp_path / f"recordings/s{subject}.csv", signals)
    prepare = ["prepare", "recordings", str(tmp_path / "recordings"), "--single", "CH20"]
    assert main([*prepare, "--multi", MULTI, "--overlap", "7", "--dest", f"{tmp_path}/store"]) == 0
    arguments = ["--config-name", "selfmis_pretrain_small", "task.data=store"]
    arguments += [
        "model.lead=wearable",
        UNTRAINED,
        "dataset.batch_size=8",
        "optimization.max_epoch=1",
    ]
    assert "lack one of the leads" in run(arguments, tmp_path, check=False)
    output = run([*arguments, "task.allow_absent_leads=true"], tmp_path)
    assert math.isfinite(*logged(output, "loss", "valid"))
    assert 0 <= logged(output, "r1", "valid")[0] <= logged(output, "r10", "valid")[0]
    checkpoint = tmp_path / "outputs/selfmis_pretrain_small/checkpoints/checkpoint_best.pt"
    evaluate = ["evaluate", "--checkpoint", str(checkpoint), "--data", str(tmp_path / "store")]
    assert main(evaluate) == 0


def test_the_infarction_benchmark_runs(tmp_path: Path, store: Path) -> None:
    arguments = ["benchmark", "mi", "--dest", str(tmp_path / "mi"), "--size", "small"]
    for role in ("data", "unlabelled", "archive"):
        arguments += [f"--{role}", str(store)]
    for override in (*TINY, "optimization.max_epoch=1"):
        arguments += ["--set", override]
    assert main([*arguments, "--methods", "selfmis", "--modes", "probe", "--fractions", "0.5"]) == 0
    report = json.loads((tmp_path / "mi/report.json").read_text(encoding="utf-8"))
    assert report["failed"] == {} and len(report["cells"]) == 1
    assert report["cells"][0]["train_records"] == 50 and 0 <= report["cells"][0]["mi_auc"] <= 1


def test_modally_reduced_representations_train(tmp_path: Path, store: Path) -> None:
    encoder = ("model.patch_size=50", "model.width=16", "model.depth=1", "model.heads=2")
    settings = [f"task.data={store}", *encoder, "lr_scheduler.warmup_updates=0"]
    pretrain = ["--config-name", "modally_reduced_small", *settings, "dataset.batch_size=16"]
    pretrain += ["model.decoder_width=8", "model.decoder_heads=2", "optimization.max_epoch=2"]
    output = train(pretrain, tmp_path, command=COMMAND)
    for epoch, angle in enumerate((math.pi / 4, math.pi / 2)):
        loss, align, reconstruct = (
            logged(output, name, "valid")[epoch]
            for name in ("loss", "align_loss", "reconstruct_loss")
        )
        expected = math.sin(angle) * align + math.cos(angle) * reconstruct
        assert loss == pytest.approx(expected, abs=2e-4)
    longer = [a.replace("max_epoch=2", "max_epoch=3") for a in pretrain]
    again = train(longer, tmp_path, command=COMMAND)
    assert len(logged(again, "loss")) == 1 and "Loaded checkpoint" in again
    best = tmp_path / "outputs/modally_reduced_small/checkpoints/checkpoint_best.pt"
    probe = ["--config-name", "modally_reduced_linear_probe_small", *settings, "task.leads=[V1]"]
    probe += [f"model.encoder_checkpoint={best}", "optimization.max_epoch=1"]
    assert math.isfinite(*logged(train(probe, tmp_path, command=COMMAND), "macro_auc", "valid"))


def test_st_mem_trains(tmp_path: Path, store: Path) -> None:
    encoder = ("model.patch_size=100", "model.width=16", "model.depth=1", "model.heads=2")
    settings = [f"task.data={store}", *encoder, "lr_scheduler.warmup_updates=0"]
    pretrain = ["--config-name", "st_mem_small", *settings, "dataset.batch_size=16"]
    pretrain += ["model.decoder_width=16", "model.decoder_heads=2", "optimization.max_epoch=2"]
    output = train(pretrain, tmp_path, command=COMMAND)
    errors, explained = (logged(output, n, "valid") for n in ("masked_error", "explained"))
    assert [1 - error / 0.99 for error in errors] == pytest.approx(explained, abs=2e-3)
    longer = [a.replace("max_epoch=2", "max_epoch=3") for a in pretrain]
    again = train(longer, tmp_path, command=COMMAND)
    assert len(logged(again, "loss")) == 1 and "Loaded checkpoint" in again
    best = tmp_path / "outputs/st_mem_small/checkpoints/checkpoint_best.pt"
    probe = ["--config-name", "st_mem_linear_probe_small", *settings, "model.zero_masked=true"]
    probe += [f"model.encoder_checkpoint={best}", "optimization.max_epoch=1"]
    assert math.isfinite(*logged(train(probe, tmp_path, command=COMMAND), "macro_auc", "valid"))
