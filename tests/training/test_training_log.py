"""What a person sees of a training, and finds in its folder."""

from __future__ import annotations

import datetime
import functools
import json
import logging
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.cli.main import main
from selfmis_plugin.cli.train import named, usage
from selfmis_plugin.data.leads import parse_leads
from selfmis_plugin.training.entry import is_refusal
from selfmis_plugin.training.known_configs import (
    known_configs,
    nearest,
    probe_of,
    title_of,
    unknown_key,
)
from selfmis_plugin.training.run_folder import remove_if_new
from selfmis_plugin.training.short_log import ShortFormatter, WithoutChatter
from tests.support import TINY, environment, train, write_store

COMMAND = [sys.executable, "-m", "selfmis_plugin.cli.main", "train"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    write_store(folder / "store", {"train": 40, "valid": 20, "test": 5})
    return folder


@pytest.fixture(scope="module")
def printed(place: Path) -> str:
    """What a training of two epochs prints, which is left in outputs/selfmis_supervised_small."""
    call = ["selfmis_supervised_small", "task.data=store", *TINY, "optimization.max_epoch=2"]
    call += ["common.log_interval=1", "dataset.batch_size=20"]
    return train(call, place, command=COMMAND, SELFMIS_LOG="")


RUN = Path("outputs/selfmis_supervised_small")


def test_a_training_prints_a_line_an_interval_and_few_figures(printed: str) -> None:
    lines = printed.splitlines()
    assert "Warning" not in printed and "fairseq" not in printed
    steps = [line for line in lines if re.match(r"epoch \d+, \d+ of 2, loss [\d.]+", line)]
    assert len(steps) == 4 and "ECG/s" in steps[-1]
    assert re.search(r"at most 0:00:\d\d left", steps[1])
    validated = [line for line in lines if " validated: " in line]
    assert len(validated) == 2 and "macro AUC 0." in validated[0]
    # Each label's figures are in the folder.
    assert "auc_" not in printed and len(lines) < 25


def test_it_ends_with_the_best_checkpoint_and_what_comes_next(printed: str, place: Path) -> None:
    found = re.search(r"best checkpoint: (\S+) \(validation: macro_auc ([\d.]+)", printed)
    assert found is not None and (place / found[1]).is_file()
    assert f"next: selfmis evaluate --checkpoint {found[1]} --data store\n" in printed
    # The host's whole log stays.
    log = (place / RUN / "hydra_train.log").read_text()
    assert "[train_inner][INFO]" in log and "auc_AMI" in log and "fairseq" in log


def test_a_runs_folder_says_what_it_was(printed: str, place: Path) -> None:
    run = json.loads((place / RUN / "run.json").read_text())
    assert run["config_name"] == "selfmis_supervised_small"
    assert run["data"] == str(place / "store") and not run["interrupted"]
    assert run["config"]["optimization"]["max_epoch"] == 2
    assert {"selfmis-plugin", "host", "torch", "Python"} <= run["versions"].keys()
    assert (place / RUN / run["best_checkpoint"]).is_file()
    curves = run["curves"]
    assert (
        [epoch for epoch, _ in curves["loss"]["train"]]
        == [1, 2]
        == [epoch for epoch, _ in curves["auc_AMI"]["valid"]]
    )
    values = dict(map(tuple, curves["macro_auc"]["valid"]))
    assert run["validation"]["macro_auc"] == max(values.values())
    text = (place / RUN / "run.md").read_text()
    assert "| macro_auc |" in text and "![learning curves](curves.png)" in text
    assert imread(place / RUN / "curves.png").size > 10_000


@pytest.mark.slow
def test_a_refusal_ends_in_its_message_and_leaves_no_folder(place: Path) -> None:
    (place / "none.pt").write_bytes(b"no checkpoint")
    call = ["selfmis_linear_probe_small", "task.data=store", "hydra.run.dir=refused"]
    call += ["model.encoder_checkpoint=none.pt"]
    said = train(call, place, check=False, command=COMMAND, SELFMIS_LOG="")
    assert "none.pt: cannot be read as a PyTorch checkpoint" in said
    assert "Traceback" not in said and "(SELFMIS_TRACEBACK=1 shows where" in said
    assert not (place / "refused").exists()


def test_a_refusal_is_told_from_a_fault(tmp_path: Path) -> None:
    def raised(function: Callable[[], object]) -> bool:
        try:
            function()
        except Exception as error:
            return is_refusal(error)
        raise AssertionError("nothing was raised")

    assert raised(lambda: load_trained(tmp_path / "none.pt"))
    assert raised(lambda: parse_leads("X"))
    assert not raised(lambda: np.zeros(3).reshape(2, 2))
    assert not raised(lambda: {}["key"])


def test_a_folder_that_a_start_has_made_is_removed_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELFMIS_LAUNCH_FOLDER", str(tmp_path))

    def made(name: str, line: str) -> Path:
        folder = tmp_path / name
        (folder / ".hydra").mkdir(parents=True)
        (folder / "hydra_train.log").write_text(line)
        return folder

    now = f"[{datetime.datetime.now():%Y-%m-%d %H:%M:%S},000][x][INFO] - begins\n"
    assert remove_if_new(made("new", now)) and not (tmp_path / "new").exists()
    assert remove_if_new(made("silent", ""))
    assert not remove_if_new(made("older", "[2020-01-02 03:04:05,000][x][INFO] - begins\n" + now))
    trained = made("trained", now)
    (trained / "checkpoints").mkdir()
    (trained / "checkpoints/checkpoint_last.pt").write_bytes(b"")
    assert not remove_if_new(trained)
    noted = made("noted", now)
    (noted / "notes.txt").write_text("mine")
    assert not remove_if_new(noted)
    assert not remove_if_new(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noted", "older", "trained"]


@pytest.mark.slow
def test_a_refusal_shows_where_it_was_raised_and_keeps_what_was_there(place: Path) -> None:
    (place / "kept").mkdir()
    (place / "kept/notes.txt").write_text("mine")
    call = ["selfmis_linear_probe_small", "task.data=store", "hydra.run.dir=kept"]
    call += ["model.encoder_checkpoint=nowhere.pt"]
    said = train(call, place, check=False, command=COMMAND, SELFMIS_TRACEBACK="1")
    assert "Traceback" in said and "nowhere.pt" in said
    train(call, place, check=False, command=COMMAND)
    assert (place / "kept/notes.txt").read_text() == "mine"


@pytest.mark.slow
def test_a_wrong_key_names_the_nearest(place: Path) -> None:
    call = ["selfmis_pretrain_small", "task.data=store", "optimization.max_epochs=3"]
    said = train(call, place, check=False, command=COMMAND, SELFMIS_LOG="")
    assert "no key 'optimization.max_epochs'. Did you mean optimization.max_epoch?" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_ctrl_c_keeps_the_last_checkpoint(place: Path) -> None:
    call = ["selfmis_supervised_small", "task.data=store", *TINY, "hydra.run.dir=stopped"]
    process = subprocess.Popen(
        [*COMMAND, *call, "optimization.max_epoch=100000", "checkpoint.patience=-1"],
        cwd=place, env=environment(SELFMIS_LOG=""), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    last = place / "stopped/checkpoints/checkpoint_last.pt"
    for _ in range(600):
        time.sleep(0.1)
        if last.is_file():
            break
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "checkpoint_last.pt is kept, and the same command goes on from it" in said
    assert "Traceback" not in said
    # What is finished is described.
    run = json.loads((place / "stopped/run.json").read_text())
    assert run["interrupted"] and run["best_checkpoint"] == "checkpoints/checkpoint_best.pt"
    epochs = [epoch for epoch, _ in run["curves"]["macro_auc"]["valid"]]
    assert epochs == list(range(1, len(epochs) + 1)) and run["validation"]["epoch"] in epochs
    text = (place / "stopped/run.md").read_text()
    assert "Interrupted 20" in text and "the same command goes on" in text


def test_a_wrong_name_names_the_nearest_and_all(capsys: pytest.CaptureFixture[str]) -> None:
    for call in (["selfmis_pretrian"], ["--config-name", "selfmis_pretrian"]):
        assert main(["train", *call, "task.data=x"]) == 2
        said = capsys.readouterr().err
        assert "there is no config 'selfmis_pretrian'. Did you mean selfmis_pretrain" in said
        named = said.partition("what they are):")[2].replace("\n", " ").replace(",", " ").split()
        assert set(known_configs()) <= set(named)


def test_configs_are_listed_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs"]) == 0
    listed = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert listed.keys() == known_configs().keys()
    assert all(len(title) > 10 and "Give the data" not in title for title in listed.values())
    assert main(["configs", "st_mem"]) == 0
    shown = capsys.readouterr().out
    assert known_configs()["st_mem"].read_text() in shown
    assert main(["configs", "st_men"]) == 2
    assert "Did you mean st_mem" in capsys.readouterr().err
    text = usage()
    assert all(f"  {name} " in text for name in listed) and "task.data=STORE" in text


def test_help_of_train_needs_no_host(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    assert "configs (selfmis configs CONFIG shows one)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "arguments", "name"),
    [
        ("st_mem task.data=x", "--config-name st_mem task.data=x", "st_mem"),
        ("baselines/3kg a=b", "--config-name baselines/3kg a=b", "baselines/3kg"),
        ("mine.yaml --config-dir c", "--config-name mine --config-dir c", "mine"),
        ("--config-name x a=b", "--config-name x a=b", "x"),
        ("--config-name=x a=b", "--config-name=x a=b", "x"),
        ("-cn x", "-cn x", "x"),
        ("+a=b", "+a=b", None),
        ("~a", "~a", None),
        ("", "", None),
    ],
)
def test_a_config_may_be_named_without_its_option(
    given: str, arguments: str, name: str | None
) -> None:
    assert named(given.split()) == (arguments.split(), name)


def test_what_comes_after_a_pretraining_is_its_probe(tmp_path: Path) -> None:
    known = known_configs()
    assert probe_of("selfmis_pretrain_small", known) == "selfmis_linear_probe_small"
    assert probe_of("st_mem", known) == "st_mem_linear_probe"
    assert probe_of("heartlang_pretrain", known) == "heartlang_linear_probe"
    assert probe_of("baselines/3kg", known) is None
    assert nearest("selfmis_finetun", known)[0] == "selfmis_finetune"
    said = unknown_key("task.dat", known["selfmis_pretrain"])
    assert "Did you mean task.data?" in said and "task has: _name," in said
    assert unknown_key("x", None).startswith("the config has no key 'x'.")
    (tmp_path / "c.yaml").write_text(
        "# @package _global_\n# One thing: of two\n# lines. More.\na: 1\n"
    )
    assert title_of(tmp_path / "c.yaml") == "One thing: of two lines"


def record(name: str, text: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, text, None, None)


def test_lines_are_shortened_and_chatter_is_left_out() -> None:
    passes = WithoutChatter().filter
    assert not passes(record("fairseq.trainer", "Saving checkpoint"))
    assert not passes(record("fairseq_signals.data.iterators", "grouped"))
    assert passes(record("fairseq.trainer", "overflow", logging.WARNING))
    assert passes(record("selfmis_plugin.probe", "no AUC for PMI"))
    assert not passes(record("selfmis_plugin.probe", "no AUC for PMI"))
    assert passes(record("train", "epoch 001 | loss 1")) and passes(
        record("train", "epoch 001 | loss 1")
    )
    short = ShortFormatter(10, 0, "macro_auc")
    line = "epoch 003:    100 / 400 loss=0.25, ecg_per_s=1234.5, num_updates=900, lr=0.1"
    assert (
        short.format(record("train_inner", line)) == "epoch 3, 100 of 400, loss 0.25, 1,234 ECG/s"
    )
    line = (
        "epoch 003 | valid on 'valid' subset | loss 0.6861 | macro_auc 0.8 | mi_auc nan | auc_X 0.1"
    )
    assert short.format(record("valid", line)) == ("epoch 3 validated: loss 0.686, macro AUC 0.800")
    line = "epoch 002 | valid on 'valid' subset | loss 3.5 | r1 0.12 | ppl 7 | best_loss 3.25"
    said = ShortFormatter(0, 0, "loss").format(record("valid", line))
    assert said == "epoch 2 validated: loss 3.5, R@1 0.120 (best loss 3.25)"
    assert short.format(record("x", "odd", logging.WARNING)) == "WARNING: odd"
    assert short.format(record("train", "something else")) == "something else"


def test_the_rest_of_the_time_is_what_the_pace_so_far_says(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([100.0, 160.0])
    monkeypatch.setattr("selfmis_plugin.training.short_log.time.monotonic", lambda: next(now))
    short = ShortFormatter(10, 0, "loss")
    assert "left" not in short.format(record("train_inner", "epoch 001:  100 / 200 loss=1"))
    # From a twentieth to a tenth in a minute: eighteen more.
    text = short.format(record("train_inner", "epoch 001:  200 / 200 loss=1"))
    assert text.endswith("at most 0:18:00 left")
