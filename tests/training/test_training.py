"""Training through the embedded host's command line, as users start it."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from selfmis_plugin.checkpoints import read_checkpoint
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.store import StoreError
from selfmis_plugin.evaluation.evaluate import evaluate
from selfmis_plugin.metrics.predictions import Predictions
from tests.support import (
    TINY,
    UNTRAINED,
    environment,
    host_command,
    logged,
    train,
    train_in_spawned_worker,
    write_store,
)

PRETRAIN = ["--config-name", "selfmis_pretrain_small", *TINY, "dataset.batch_size=16"]
PROBE = ["--config-name", "selfmis_linear_probe_small", *TINY]
SUPERVISED = ["--config-name", "selfmis_supervised_small", *TINY]


class Runs:
    """Three runs that follow each other: 12-lead tower, pre-training, linear probe."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.folder = folder
        data = f"task.data={os.path.relpath(store, folder)}"
        self.tower_arguments = [*SUPERVISED, data, "optimization.max_epoch=2"]
        self.tower_output = train(self.tower_arguments, folder)
        self.tower = folder / "outputs/selfmis_supervised_small/checkpoints/checkpoint_best.pt"
        self.pretrain_arguments = [
            *PRETRAIN,
            data,
            "optimization.max_epoch=3",
            f"model.multi_lead_checkpoint={self.tower.relative_to(folder)}",
        ]
        self.pretrain_output = train(self.pretrain_arguments, folder)
        self.pretrained = folder / "outputs/selfmis_pretrain_small/checkpoints/checkpoint_last.pt"
        self.probe_output = train(
            [*PROBE, data, f"model.encoder_checkpoint={self.pretrained.relative_to(folder)}"]
            + ["optimization.max_epoch=2"],
            folder,
        )
        self.probe = folder / "outputs/selfmis_linear_probe_small/checkpoints/checkpoint_best.pt"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"), store)


def encoder_of(path: Path, prefix: str) -> dict[str, torch.Tensor]:
    weights = read_checkpoint(path)["model"]
    return {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}


def test_frozen_tower_is_the_loaded_one_after_training(runs: Runs) -> None:
    loaded = encoder_of(runs.tower, "network.encoder.")
    frozen = encoder_of(runs.pretrained, "towers.multi.")
    assert loaded.keys() == frozen.keys() and len(loaded) > 10
    for name, value in loaded.items():
        assert torch.equal(value, frozen[name]), name


def test_optimizer_holds_only_what_is_trained(runs: Runs) -> None:
    state = read_checkpoint(runs.pretrained)
    sizes = sum(s["exp_avg"].numel() for s in state["last_optimizer_state"]["state"].values())
    single = sum(value.numel() for value in encoder_of(runs.pretrained, "towers.single.").values())
    criterion = sum(value.numel() for value in state["criterion"].values())
    assert sizes == single + criterion
    assert criterion == 2  # logit scale and bias


def test_probe_keeps_the_pretrained_encoder(runs: Runs) -> None:
    single = encoder_of(runs.pretrained, "towers.single.")
    probed = encoder_of(runs.probe, "network.encoder.")
    assert single.keys() == probed.keys()
    assert all(torch.equal(single[name], probed[name]) for name in single)


def test_cosine_over_epochs(runs: Runs) -> None:
    expected = [0.01 * (1 + math.cos(math.pi * epoch / 3)) / 2 for epoch in (1, 2, 3)]
    assert logged(runs.pretrain_output, "lr") == pytest.approx(expected, abs=1e-6)


def test_validation_reports_retrieval_of_the_whole_split(runs: Runs) -> None:
    for name in ("loss", "r1", "r5", "r10"):
        values = logged(runs.pretrain_output, name, "valid")
        assert len(values) == 3 and all(math.isfinite(value) for value in values)
    # Shares of 25 records, though a batch has 16.
    shares = [25 * value for value in logged(runs.pretrain_output, "r5", "valid")]
    assert shares == pytest.approx([round(share) for share in shares], abs=1e-3)


def test_labels_without_positives_are_named_and_left_out(runs: Runs) -> None:
    assert "no AUC for PMI" in runs.probe_output
    names = ("auc_NORM", "auc_AMI", "auc_IMI")
    each = [logged(runs.probe_output, name, "valid")[-1] for name in names]
    macro = logged(runs.probe_output, "macro_auc", "valid")[-1]
    assert macro == pytest.approx(sum(each) / 3, abs=1e-4)
    assert logged(runs.probe_output, "mi_auc", "valid")[-1] == pytest.approx(
        (each[1] + each[2]) / 2, abs=1e-4
    )


def test_the_same_command_resumes_and_finds_nothing_to_do(runs: Runs) -> None:
    output = train(runs.pretrain_arguments, runs.folder)
    assert "Loaded checkpoint" in output
    assert not logged(output, "loss")


def test_more_epochs_go_on_from_the_last(runs: Runs, tmp_path: Path) -> None:
    arguments = [a.replace("max_epoch=2", "max_epoch=3") for a in runs.tower_arguments]
    output = train(arguments, runs.folder)
    assert len(logged(output, "loss")) == 1
    assert logged(output, "lr")[-1] == pytest.approx(0.0, abs=1e-9)


def test_a_spawned_worker_trains(runs: Runs) -> None:
    last = runs.tower.with_name("checkpoint_last.pt")
    train_in_spawned_worker("fairseq", last, runs.folder)


def test_evaluate_centres_as_training_did(runs: Runs, store: Path, tmp_path: Path) -> None:
    arguments = [*runs.pretrain_arguments, "criterion.center=true", "hydra.run.dir=centred"]
    arguments += ["criterion.learn_logit_scale=false", "criterion.learn_logit_bias=false"]
    output = train(arguments, runs.folder)
    assert output.count("statistics of the embeddings") == 1
    last = runs.folder / "centred/checkpoints/checkpoint_last.pt"
    figures = evaluate(last, store, "valid")
    for name in ("r1", "r5", "r10"):
        assert figures[name] == pytest.approx(logged(output, name, "valid")[-1], abs=1e-5)


def test_absent_leads_are_refused_not_read_as_zeros(runs: Runs, tmp_path: Path) -> None:
    sizes = {"train": 20, "valid": 8, "test": 8}
    data = write_store(tmp_path / "two", sizes, lead_mask=0b11)
    output = train(
        [*SUPERVISED, f"task.data={data}", "hydra.run.dir=absent"], runs.folder, check=False
    )
    assert "8 of 8 records lack one of the leads" in output
    with pytest.raises(StoreError, match="8 of 8 records lack"):
        evaluate(runs.tower, data)
    # Lead I alone is there, so a classifier of lead I reads it.
    assert evaluate(runs.probe, data)["records"] == 8


def test_evaluate_command(runs: Runs, store: Path, tmp_path: Path, capsys) -> None:
    arguments = ["evaluate", "--data", str(store), "--json", str(tmp_path / "e.json")]
    classifier = [*arguments, "--checkpoint", str(runs.probe), "--split", "valid", "--draws", "50"]
    table = ["--predictions", str(tmp_path / "p.parquet"), "--against", str(runs.probe)]
    assert main([*classifier, *table]) == 0
    printed = capsys.readouterr().out
    assert "without a positive" in printed and "PMI" in printed
    # The best checkpoint's figure on the validation split is the one that training reported.
    best = max(logged(runs.probe_output, "macro_auc", "valid"))
    assert re.search(rf"macro AUC, \d+ labels: {best:.3f} \(0\.\d+, [01]\.\d+\)", printed)
    assert re.search(r"macro AUC +\+0\.000 \(-0\.\d+, \+0\.\d+\) +1\.000", printed)
    figures = json.loads((tmp_path / "e.json").read_text())
    predictions = Predictions.read(tmp_path / "p.parquet")
    assert figures["records"] == len(predictions) == figures["record"]["units"]
    assert figures["patient"]["units"] == len(set(predictions.patient_ids))
    again = roc_auc_score(
        predictions.targets[:, predictions.labels.index("AMI")],
        predictions.logits[:, predictions.labels.index("AMI")],
    )
    assert figures["per_label"]["AMI"] == pytest.approx(again, abs=1e-12)
    assert figures["record"]["labels"]["AMI"]["auc"]["value"] == pytest.approx(again, abs=1e-12)

    assert main([*arguments, "--checkpoint", str(runs.pretrained)]) == 0
    assert "R@10" in capsys.readouterr().out
    assert main([*arguments, "--checkpoint", str(runs.pretrained), *table]) == 1
    assert "need a classifier" in capsys.readouterr().err


def test_evaluate_refuses_data_made_otherwise(runs: Runs, tmp_path: Path, capsys) -> None:
    other = write_store(tmp_path / "other", {"test": 4}, filter="ecgfounder")
    status = main(["evaluate", "--data", str(other), "--checkpoint", str(runs.probe)])
    assert status == 1
    assert "filter" in capsys.readouterr().err


def test_training_refuses_an_encoder_of_other_preprocessing(runs: Runs, store: Path) -> None:
    arguments = [*PROBE, f"task.data={store}", f"model.encoder_checkpoint={runs.pretrained}"]
    output = train(
        [*arguments, "task.sample_rate=250", "hydra.run.dir=rate"], runs.folder, check=False
    )
    assert "was trained on data prepared in another way" in output
    output = train(
        [*arguments, "model.filters=[8,32]", "hydra.run.dir=size"], runs.folder, check=False
    )
    assert "model.filters=[8,16]" in output


def test_resume_refuses_data_made_otherwise(runs: Runs, tmp_path: Path) -> None:
    other = write_store(tmp_path / "other", filter="ecgfounder")
    arguments = [a for a in runs.tower_arguments if not a.startswith("task.data")]
    output = train([*arguments, f"task.data={other}"], runs.folder, check=False)
    assert "trained on data prepared in another way" in output and "hydra.run.dir" in output


def test_resume_refuses_what_has_changed_under_the_same_name(
    runs: Runs, store: Path, tmp_path: Path
) -> None:
    data, encoder = tmp_path / "data", tmp_path / "encoder.pt"
    shutil.copytree(store, data)
    shutil.copy(runs.tower, encoder)
    arguments = [*PROBE, f"task.data={data}", f"model.encoder_checkpoint={encoder}"]
    arguments += ["task.leads=[I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6]"]
    train([*arguments, "optimization.max_epoch=1"], tmp_path)
    again = [*arguments, "optimization.max_epoch=2"]
    payload = read_checkpoint(runs.tower)
    torch.save({**payload, "trained_further": True}, encoder)
    output = train(again, tmp_path, check=False)
    assert "what model.encoder_checkpoint names has changed since" in output
    assert "hydra.run.dir=DIR" in output
    shutil.copy(runs.tower, encoder)
    table = data / "records.parquet"
    records = pd.read_parquet(table)
    records.assign(labels=records["labels"].iloc[::-1].to_numpy()).to_parquet(table, index=False)
    assert "what task.data names has changed since" in train(again, tmp_path, check=False)
    # What is back as it was goes on, prepared elsewhere or copied.
    shutil.rmtree(data)
    shutil.copytree(store, data)
    assert len(logged(train(again, tmp_path), "loss")) == 1


@pytest.mark.parametrize("key", ["finetune_from_model", "restore_file"])
def test_weights_of_other_data_are_refused_by_any_door(runs: Runs, store: Path, key: str) -> None:
    arguments = [*SUPERVISED, f"task.data={store}", "task.sample_rate=250", f"hydra.run.dir={key}"]
    output = train([*arguments, f"checkpoint.{key}={runs.tower}"], runs.folder, check=False)
    assert "trained on data prepared in another way" in output


def test_a_run_goes_on_from_a_file_named_where_the_command_was_typed(runs: Runs) -> None:
    last = runs.tower.with_name("checkpoint_last.pt").relative_to(runs.folder)
    arguments = [a for a in runs.tower_arguments if not a.startswith("optimization.max_epoch")]
    arguments += ["optimization.max_epoch=4", "hydra.run.dir=further"]
    wrong = train([*arguments, "checkpoint.restore_file=last.pt"], runs.folder, check=False)
    assert f"checkpoint.restore_file=last.pt: {runs.folder / 'last.pt'}: no such file" in wrong
    output = train([*arguments, f"checkpoint.restore_file={last}"], runs.folder)
    assert f"Loaded checkpoint {runs.folder / last} (epoch " in output
    done = read_checkpoint(runs.folder / last)["extra_state"]["train_iterator"]["epoch"] - 1
    assert done in (2, 3) and len(logged(output, "loss")) == 4 - done


def test_another_run_in_the_same_folder_is_refused(runs: Runs, store: Path) -> None:
    # Without a word the second probe would find the first one finished, and pass for it.
    arguments = [*PROBE, f"task.data={store}", f"model.encoder_checkpoint={runs.tower}"]
    output = train([*arguments, "task.leads=[I]"], runs.folder, check=False)
    assert "model.encoder_checkpoint was" in output and "hydra.run.dir=DIR" in output
    arguments = [*runs.pretrain_arguments, "optimization.lr=[0.5]"]
    assert "optimization.lr was [0.01], is [0.5]" in train(arguments, runs.folder, check=False)


def test_a_figure_that_cannot_choose_is_refused_before_anything_is_trained(
    tmp_path: Path,
) -> None:
    store = write_store(tmp_path / "store", {"train": 40, "valid": 10, "test": 10})
    table = store / "records.parquet"
    records = pd.read_parquet(table)
    labels = [
        [] if split == "valid" else list(own)
        for split, own in zip(records["split"], records["labels"], strict=True)
    ]
    records.assign(labels=labels).to_parquet(table, index=False)
    output = train([*SUPERVISED, f"task.data={store}"], tmp_path, check=False)
    assert f"macro_auc is undefined on {store / 'valid.tsv'}" in output
    assert not logged(output, "loss")
    # Where nothing is validated, nothing is chosen.
    unchosen = ["dataset.disable_validation=true", "optimization.max_epoch=1"]
    assert logged(train([*SUPERVISED, f"task.data={store}", *unchosen], tmp_path), "loss")


def test_missing_data_is_said_with_its_path(runs: Runs) -> None:
    output = train(
        [*SUPERVISED, "task.data=nowhere", "hydra.run.dir=missing"], runs.folder, check=False
    )
    assert f"{runs.folder / 'nowhere' / 'train.tsv'} is missing" in output


def test_early_stopping_ends_a_run_for_good(tmp_path: Path, store: Path) -> None:
    arguments = [
        *SUPERVISED,
        f"task.data={store}",
        "optimization.lr=[1e-9]",
        "checkpoint.patience=1",
    ]
    output = train([*arguments, "optimization.max_epoch=6"], tmp_path)
    epochs = len(logged(output, "loss"))
    assert epochs < 6
    again = train([*arguments, "optimization.max_epoch=6"], tmp_path)
    assert "stopped early already" in again and not logged(again, "loss")


def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, store: Path) -> None:
    arguments = [*PRETRAIN, UNTRAINED, f"task.data={store}", "optimization.max_epoch=4"]
    # A checkpoint in the middle of an epoch, at every second of its seven updates.
    arguments += ["checkpoint.save_interval_updates=2", "checkpoint.no_save_optimizer_state=false"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train([*arguments, f"hydra.run.dir={whole}"], tmp_path)

    process = subprocess.Popen(
        [*host_command(), *arguments, f"hydra.run.dir={killed}"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list(killed.glob("checkpoints/checkpoint_1_*.pt")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    while not (killed / "checkpoints/checkpoint_last.pt").is_file():
        time.sleep(0.002)
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = read_checkpoint(killed / "checkpoints/checkpoint_last.pt")
    updates = before["optimizer_history"][-1]["num_updates"]

    output = train([*arguments, f"hydra.run.dir={killed}"], tmp_path)
    assert "Loaded checkpoint" in output
    first = read_checkpoint(whole / "checkpoints/checkpoint_last.pt")
    second = read_checkpoint(killed / "checkpoints/checkpoint_last.pt")
    assert second["optimizer_history"][-1]["num_updates"] == 28 > updates
    for part in ("model", "criterion"):
        for name, value in first[part].items():
            assert torch.equal(value, second[part][name]), name
    assert logged(output, "lr")[-1] == pytest.approx(0.0, abs=1e-9)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def train_two_processes(arguments: list[str], folder: Path) -> str:
    shared = [
        f"distributed_training.distributed_init_method=tcp://127.0.0.1:{free_port()}",
        "distributed_training.distributed_world_size=2",
        "distributed_training.device_id=0",
        "distributed_training.distributed_no_spawn=true",
        "distributed_training.distributed_backend=gloo",
        "distributed_training.ddp_backend=legacy_ddp",
        "common.cpu=true",
    ]
    processes = [
        subprocess.Popen(
            [*host_command(), *arguments, *shared, f"distributed_training.distributed_rank={rank}"],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=200)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes), "\n".join(outputs)[-6000:]
    return outputs[0]


def test_two_processes_equal_one_on_the_joined_batch(tmp_path: Path) -> None:
    # 16 records are one batch of one process, or a batch of 8 for each of two. The 13 records to
    # validate on make three batches of 5, so one process has to repeat one.
    data = write_store(tmp_path / "store", {"train": 16, "valid": 13})
    config = tmp_path / "configs"
    config.mkdir()
    folder = Path(__file__).parents[2] / "configs"
    text = (folder / "selfmis_pretrain_small.yaml").read_text(encoding="utf-8")
    head, rest = text.split("optimizer:\n")
    # A plain step of length 1 against the gradient: the weights then tell the gradient itself.
    scheduler = rest[rest.index("lr_scheduler:") :]
    keys = "  _name: sgd\n  lr: ${optimization.lr}\n  momentum: 0.0\n  weight_decay: 0.0\n"
    sgd = f"{head}optimizer:\n{keys}{scheduler}"
    (config / "step.yaml").write_text(sgd, encoding="utf-8")
    arguments = [
        *(
            "--config-dir",
            str(config),
            "--config-name",
            "step",
            *TINY,
            UNTRAINED,
            f"task.data={data}",
        ),
        *("optimization.max_epoch=1", "optimization.lr=[1.0]", "optimization.clip_norm=0.0"),
        *("dataset.batch_size_valid=5", "criterion.negatives=global"),
    ]
    one = train([*arguments, "dataset.batch_size=16", "hydra.run.dir=one"], tmp_path)
    two = train_two_processes([*arguments, "dataset.batch_size=8", "hydra.run.dir=two"], tmp_path)
    for tag, names in (("train", ("loss", "gnorm")), ("valid", ("loss", "r1", "r5", "r10"))):
        for name in names:
            alone, together = logged(one, name, tag), logged(two, name, tag)
            assert len(alone) == 1
            assert together == pytest.approx(alone, rel=1e-3), (tag, name)
    first = read_checkpoint(tmp_path / "one/checkpoints/checkpoint_last.pt")
    second = read_checkpoint(tmp_path / "two/checkpoints/checkpoint_last.pt")
    for part in ("model", "criterion"):
        for name, value in first[part].items():
            torch.testing.assert_close(second[part][name], value, rtol=2e-5, atol=2e-6)
