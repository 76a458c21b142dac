"""Trainings that are forked from a process which has imported the host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

from selfmis_plugin import toolkit
from selfmis_plugin.benchmark.commands import (
    CommandError,
    best_checkpoint,
    last_checkpoint,
    run_logged,
    train,
)
from selfmis_plugin.benchmark.graph import Here, Step, run_steps
from selfmis_plugin.benchmark.warm import ForkedTraining, can_fork
from selfmis_plugin.checkpoints import read_checkpoint
from selfmis_plugin.evaluation.evaluate import predict_split
from tests.host_in_process import same_weights
from tests.support import TINY, host_command
from tests.support import train as train_fresh

pytestmark = pytest.mark.skipif(not can_fork(), reason="trainings are forked on Linux alone")

PROBE = "selfmis_linear_probe_small"
KEYS = dict(part.split("=", 1) for part in TINY)


def check_same_as_fresh(store: Path, tmp_path: Path, command: list[str]) -> None:
    """Train a probe both ways, and compare everything that they leave."""
    keys = {**KEYS, "task.data": store, "optimization.max_epoch": 3, "common.seed": 4}
    keys |= {"model.encoder_checkpoint": None, "task.cache_frozen_embeddings": True}
    keys |= {"task.embedding_cache_dir": tmp_path / "kept"}
    spent = train(tmp_path / "warm", PROBE, keys, tmp_path / "log")
    assert spent.seconds > 0 and spent.peak_memory is not None and spent.peak_memory > 10**7
    words = [f"{key}={'null' if value is None else value}" for key, value in keys.items()]
    train_fresh(["--config-name", PROBE, "hydra.run.dir=fresh", *words], tmp_path, command=command)
    for place in (best_checkpoint, last_checkpoint):
        warm, fresh = (read_checkpoint(place(tmp_path / name)) for name in ("warm", "fresh"))
        assert same_weights(warm, fresh)
        assert warm["extra_state"]["best"] == fresh["extra_state"]["best"]
    # Nobody looks at each of a benchmark's trainings: no picture, which takes longer than a probe.
    assert (tmp_path / "fresh/curves.png").is_file()
    assert (tmp_path / "warm/run.md").is_file() and not (tmp_path / "warm/curves.png").exists()
    predicted = [
        predict_split(best_checkpoint(tmp_path / name), store, "test") for name in ("warm", "fresh")
    ]
    assert (predicted[0].logits == predicted[1].logits).all()


def test_it_equals_the_hosts_own_command(store: Path, tmp_path: Path) -> None:
    check_same_as_fresh(store, tmp_path, host_command())


@pytest.mark.signals
def test_it_equals_the_training_of_fairseq_signals(store: Path, tmp_path: Path) -> None:
    assert toolkit.host_name() == "fairseq_signals"
    check_same_as_fresh(store, tmp_path, [str(Path(sys.executable).with_name("selfmis")), "train"])


def test_nothing_has_started_a_thread_before_the_fork(tmp_path: Path) -> None:
    ForkedTraining(["--config-name", "no_such_config"], tmp_path / "log", 2).wait()
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    assert len(os.listdir(f"/proc/{server}/task")) == 1


def test_a_killed_benchmark_leaves_no_training(store: Path, tmp_path: Path) -> None:
    keys = {**KEYS, "task.data": store, "model.encoder_checkpoint": "null"}
    endless = {**keys, "optimization.max_epoch": 10**6, "checkpoint.patience": -1}
    words = ["--config-name", PROBE, f"hydra.run.dir={tmp_path / 'run'}"]
    words += [f"{key}={value}" for key, value in endless.items()]
    program = "import sys; from pathlib import Path\n"
    program += "from selfmis_plugin.benchmark.warm import ForkedTraining\n"
    program += "ForkedTraining(sys.argv[2:], Path(sys.argv[1]), 1).wait()\n"
    command = [sys.executable, "-c", program, str(tmp_path / "log"), *words]
    benchmark = subprocess.Popen(command)
    try:
        give_up = time.monotonic() + 120
        while (training := process_in(tmp_path / "run")) is None:
            assert time.monotonic() < give_up and benchmark.poll() is None
            time.sleep(0.05)
    finally:
        benchmark.kill()
        benchmark.wait()
    give_up = time.monotonic() + 30
    while os.path.exists(f"/proc/{training}"):
        assert time.monotonic() < give_up, "the training goes on"
        time.sleep(0.05)


def test_what_fails_says_why(store: Path, tmp_path: Path) -> None:
    keys = {**KEYS, "task.data": store, "model.encoder_checkpoint": tmp_path / "nowhere.pt"}
    with pytest.raises(CommandError, match=r"failed with status 1; its log is .*log") as raised:
        train(tmp_path / "run", PROBE, keys, tmp_path / "log")
    # A refusal of ours is one line, which the report keeps.
    (line,) = str(raised.value).splitlines()
    assert line.endswith("nowhere.pt: no such file: check the path of the checkpoint")
    with pytest.raises(CommandError, match="the config names no task"):
        train(tmp_path / "other", "no_such_config", {}, tmp_path / "log2")


def test_an_error_of_somebody_elses_has_its_words_and_what_led_there(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text('  File "/x/selfmis_plugin/a.py", line 1, in f\n    raise E\nE: of before\n')

    def failed(program: str) -> list[str]:
        with pytest.raises(CommandError) as raised:
            run_logged([sys.executable, "-c", program], log)
        return str(raised.value).splitlines()

    lines = failed("int('x')")
    assert lines[0].endswith(": ValueError: invalid literal for int() with base 10: 'x'")
    assert lines[1] == "It ends:" and lines[2].startswith("Traceback") and lines[-1] in lines[0]
    assert failed("raise MemoryError")[0].endswith(f"{log}: MemoryError")
    # All on one stream: what waits in a buffer would come last.
    said = "print('selfmis train: no key x. Did you mean y?', flush=True)"
    own = f"print(5); {said}; raise SystemExit('y is')"
    assert failed(own) == [
        f"log failed with status 1; its log is {log}: no key x. Did you mean y?",
        "y is",
    ]
    hydra = failed("raise SystemExit('Error merging override x\\nno number')")
    assert hydra[0].endswith(": Error merging override x") and hydra[-1] == "no number"
    assert failed("print(5); raise SystemExit(3)")[1:] == ["It ends:", "5"]
    killed = "print('selfmis train: a note', flush=True); import os; os.kill(os.getpid(), 9)"
    assert failed(killed) == [
        f"log failed with status -9; its log is {log}",
        "It ends:",
        "selfmis train: a note",
    ]
    assert failed("raise SystemExit(3)") == [f"log failed with status 3; its log is {log}"]


def process_in(folder: Path) -> int | None:
    """Return the process that works in *folder*: a forked one has its parent's command line."""
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if os.readlink(path) == str(folder):
                return int(path.parent.name)
        except OSError:
            continue
    return None


def test_a_killed_one_loses_nothing_of_the_others(store: Path, tmp_path: Path) -> None:
    keys = {**KEYS, "task.data": store, "model.encoder_checkpoint": None}
    endless = {**keys, "optimization.max_epoch": 10**6, "checkpoint.patience": -1}

    def work(name: str) -> None:
        few = {**keys, "optimization.max_epoch": 1}
        train(tmp_path / name, PROBE, endless if name == "b" else few, tmp_path / f"{name}.log")

    def kill() -> None:
        while (process := process_in(tmp_path / "b")) is None:
            time.sleep(0.05)
        os.kill(process, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    steps = {name: Step((), lambda name=name: work(name)) for name in "abc"}  # type: ignore[misc]
    failed = run_steps(steps, Here(2))
    killer.join()
    assert list(failed) == ["b"] and "failed with status -9" in str(failed["b"])
    assert all(best_checkpoint(tmp_path / name).is_file() for name in "ac")
