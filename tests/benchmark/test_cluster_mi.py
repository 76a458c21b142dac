"""The infarction benchmark on a Dask cluster: a scheduler and workers in processes of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from selfmis_plugin.benchmark.commands import best_checkpoint
from selfmis_plugin.benchmark.graph import Step, run_steps
from selfmis_plugin.benchmark.settings import InfarctionError
from selfmis_plugin.benchmark.site import site_of
from selfmis_plugin.checkpoints import read_checkpoint
from selfmis_plugin.cli.main import main
from tests.dask_processes import scheduler, worker
from tests.host_in_process import same_weights
from tests.support import TINY

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

from selfmis_plugin.benchmark.cluster import DaskPlaces

CELLS = [f"seed{seed}/random_encoder/probe/0.5" for seed in (1, 2)]


def arguments(store: Path, dest: Path) -> list[str]:
    """Two trainings of twelve epochs, without what they would start from."""
    words = ["benchmark", "mi", "--dest", str(dest), "--size", "small", "--fractions", "0.5"]
    words += ["--seeds", "2", "--methods", "random_encoder", "--modes", "probe"]
    for role in ("data", "unlabelled", "archive"):
        words += [f"--{role}", str(store)]
    for override in (*TINY, "optimization.max_epoch=12", "checkpoint.patience=-1"):
        words += ["--set", override]
    return words


def trainings_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill_worker_of(run: Path, workers: dict[int, Any], done: list[int]) -> None:
    """Kill the worker that a training is of as soon as it has kept its first checkpoint."""
    while not (run / "checkpoints" / "checkpoint_last.pt").is_file():
        time.sleep(0.02)
    for training in trainings_in(run):
        whose = {parent.pid for parent in training.parents()} & workers.keys()
        for pid in whose:
            os.kill(pid, signal.SIGKILL)
            done.append(pid)
            _, alive = psutil.wait_procs([training], timeout=30)
            assert not alive
            return


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a worker is found by its trainings' folders")
def test_a_cluster_that_loses_a_worker_makes_the_same_tables(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    there, here = tmp_path / "there", tmp_path / "here"
    with (
        scheduler(tmp_path) as address,
        worker(address, tmp_path / "w0") as first,
        worker(address, tmp_path / "w1") as second,
    ):
        workers = {process.pid: process for process in (first, second)}
        killed: list[int] = []
        killer = threading.Thread(
            target=kill_worker_of, args=(there / CELLS[0] / "run", workers, killed), daemon=True
        )
        killer.start()
        assert main([*arguments(store, there), "--scheduler", address]) == 0
        killer.join(60)
        assert len(killed) == 1 and workers[killed[0]].wait(60) == -signal.SIGKILL
        assert [process.poll() for process in workers.values()].count(None) == 1
    printed = capsys.readouterr().out
    assert f"was lost: {there / CELLS[0]} goes on elsewhere" in printed
    assert printed.count("--config-name") == 2 and "[2/2]" in printed
    assert not list(there.glob(".seen-by-workers-*"))

    assert main(arguments(store, here)) == 0
    for cell in CELLS:
        said = [(dest / cell / "predictions.parquet").read_bytes() for dest in (there, here)]
        assert said[0] == said[1]
        kept = [read_checkpoint(best_checkpoint(dest / cell / "run")) for dest in (there, here)]
        assert same_weights(*kept)
    reports = [json.loads((dest / "report.json").read_text()) for dest in (there, here)]
    for report in reports:
        for cell in report["cells"]:
            for taken in ("seconds", "cpu_seconds", "own_cpu_seconds"):
                cell.pop(taken)
    assert reports[0]["cells"] == reports[1]["cells"] and len(reports[0]["cells"]) == 2


def endless() -> None:
    Path("begun").touch()
    time.sleep(600)


def failing() -> None:
    print("it begins")
    raise ValueError("no luck")


@pytest.mark.slow
def test_errors_arrive_and_what_is_given_up_ends(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        scheduler(tmp_path) as address,
        worker(address, tmp_path / "w", nanny=True) as process,  # as batch systems start them
    ):
        places = DaskPlaces(address, tmp_path / "dest", (store,), timeout=60)
        failed = run_steps({"a": Step((), failing)}, places)
        assert str(failed["a"]).startswith("no luck\n(worker tcp://")
        assert "it begins" in capsys.readouterr().out

        # Ctrl-C: what runs on the worker ends, and the worker stays.
        with pytest.raises(KeyboardInterrupt), places.opened() as pool:
            pool.submit(Step((), endless))
            while not (tmp_path / "begun").is_file():
                time.sleep(0.05)
            running = [
                child
                for child in psutil.Process(process.pid).children(recursive=True)
                if "selfmis_plugin.benchmark.step_process" in child.cmdline()
            ]
            raise KeyboardInterrupt
        assert running and not psutil.wait_procs(running, timeout=30)[1]
        assert process.poll() is None

        # A worker that does not see a file under the same path is named before anything begins.
        site = site_of(tmp_path / "facts.json", (store,), (tmp_path / "gone.pth",))
        monkeypatch.setattr("selfmis_plugin.benchmark.cluster.site_of", lambda *_: site)
        with pytest.raises(InfarctionError, match=r"worker tcp://.* does not see the file .*gone"):
            run_steps({"a": Step((), failing)}, places)


def test_what_another_machine_must_be_like(store: Path, tmp_path: Path) -> None:
    marker, file = tmp_path / "marker", tmp_path / "weights.pth"
    marker.touch()
    file.touch()
    site = site_of(marker, [store], [file])
    assert site.problem() is None
    for changes, message in (
        ({"versions": {**site.versions, "selfmis-plugin": "0.0.1"}}, "and here it is 0.0.1"),
        ({"versions": {**site.versions, "the training toolkit": "x"}}, "the training toolkit .* x"),
        ({"marker": tmp_path / "away" / "marker"}, f"not see the folder {tmp_path / 'away'}"),
        ({"data": {tmp_path / "gone": ""}}, f"does not see the data in {tmp_path / 'gone'}"),
        ({"data": {store: "another"}}, f"sees other records in {store}"),
        ({"files": [tmp_path / "none.pth"]}, "does not see the file .*none.pth"),
    ):
        problem = replace(site, **changes).problem()  # type: ignore[arg-type]
        assert problem is not None and re.search(message, problem)


def test_what_cannot_work_is_refused(
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = [*arguments(store, tmp_path / "b"), "--scheduler", "nonsense://x"]
    assert main(words) == 1
    assert "--scheduler nonsense://x: cannot be reached" in capsys.readouterr().err
    assert main([*words, "--workers", "2"]) == 1
    assert "--workers is of trainings on this machine" in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, "selfmis_plugin.benchmark.cluster", raising=False)
    monkeypatch.delitem(sys.modules, "selfmis_plugin.preparation.cluster", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(words) == 1
    error = capsys.readouterr().err
    assert "--scheduler needs distributed" in error and "pip install '.[cluster]'" in error
