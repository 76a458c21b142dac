"""Training from Python: the same path as the command's, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from selfmis_plugin import load_encoder, train
from selfmis_plugin.training.from_python import TrainingError
from tests.support import TINY, UNTRAINED, environment
from tests.support import train as by_command


def test_a_config_that_is_not_there_is_refused_with_the_commands_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrainingError, match="Did you mean selfmis_pretrain_small"):
        train("selfmis_pretrain_smal", quiet=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_it_trains_as_the_command_does(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in environment(SELFMIS_LOG="").items():
        monkeypatch.setenv(name, value)
    model = {"allow_untrained_tower": True, "filters": [8, 16], "blocks": (1, 1)}
    run = train(
        "selfmis_pretrain_small",
        task={"data": store},
        model={**model, "base_filters": 8, "group_width": 8},
        optimization={"max_epoch": 2},
        **{"lr_scheduler.warmup_updates": 0},
    )
    printed = capsys.readouterr().out
    assert (
        "best checkpoint: outputs/selfmis_pretrain_small/checkpoints/checkpoint_best.pt" in printed
    )
    assert run.folder == tmp_path / "outputs/selfmis_pretrain_small"
    by_command(
        ["--config-name", "selfmis_pretrain_small", f"task.data={store}", UNTRAINED, *TINY,
         "optimization.max_epoch=2", "hydra.run.dir=command"], tmp_path,
    )  # fmt: skip
    told = json.loads((tmp_path / "command/run.json").read_text())
    assert run.figures == told["validation"] and run.curves["loss"] == told["curves"]["loss"]
    assert run.best_checkpoint is not None
    assert load_encoder(run.best_checkpoint)(torch.zeros(3, 1, 1000)).shape == (3, 16)

    # Nothing is left to do, and another key is refused in a line.
    again = train("selfmis_pretrain_small", task={"data": store}, model=model | {
        "base_filters": 8, "group_width": 8}, quiet=True, **{"optimization.max_epoch": 2,
        "lr_scheduler.warmup_updates": 0})  # fmt: skip
    assert again.figures == run.figures and capsys.readouterr().out == ""
    with pytest.raises(TrainingError, match="Did you mean optimization.max_epoch"):
        train("selfmis_pretrain_small", folder="other", quiet=True, optimization={"max_epochs": 2})


@pytest.mark.slow
def test_an_interrupt_reaches_the_training_and_keeps_its_checkpoint(
    tmp_path: Path, store: Path
) -> None:
    program = (
        # As in a notebook; a shell that starts this in the background has it ignored.
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from selfmis_plugin import train\n"
        f"train('selfmis_pretrain_small', folder='run', task={{'data': {str(store)!r}}},\n"
        "    model={'allow_untrained_tower': True}, optimization={'max_epoch': 10000},\n"
        "    common={'log_interval': 1})\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "Saved checkpoint" in line:
            break
    os.kill(process.pid, signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(60) != 0
    assert "interrupted" in rest
    assert (tmp_path / "run/checkpoints/checkpoint_last.pt").is_file()
