"""Whole or absent: commands that write, killed, on a full disk, and where they may not write."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from selfmis_plugin.cli.main import main
from selfmis_plugin.data.store import Store, StoreWriter
from tests.kill_points import in_child, killed_before
from tests.killed_commands import CASES, GOLDEN
from tests.support import TINY, environment, write_store
from tests.wfdb_files import random_record, write_record

REPOSITORY = Path(__file__).resolve().parents[2]
#: Without pictures and networks, so that they take no time.
QUICK = ("database", "fraction", "view")


def run_program(name: str, folder: Path, *arguments: str) -> None:
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    process = subprocess.run(
        [sys.executable, "-m", f"tests.{name}", str(folder), *arguments],
        env=environment(PYTHONPATH=path, TQDM_DISABLE="1", SELFMIS_LOG=""),
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-4000:]


def test_killed_where_a_name_changes_the_same_command_goes_on(tmp_path: Path) -> None:
    run_program("killed_commands", tmp_path, "1000", *QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("case", [name for name in CASES if name not in ("train", "onnx")])
def test_killed_at_any_moment_the_same_command_goes_on(case: str, tmp_path: Path) -> None:
    run_program("killed_commands", tmp_path, "1", case)


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    run_program("full_disk", tmp_path, "100", "fraction", "export", "view")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "case"),
    [
        ("100", "database"), ("600", "database"), ("100", "recordings"), ("100000", "recordings"),
        ("100", "new signals"), ("100000", "new signals"), ("3000", "synthetic"),
        ("1200", "export"), ("100", "onnx"), ("5000", "onnx"), ("100", "evaluate"),
        ("100", "embed"), ("100", "report"),
        ("100", "benchmark"), ("2500", "benchmark"), ("100", "train"), ("30000", "train"),
    ],
)  # fmt: skip
def test_a_full_disk_is_said_in_one_line_whenever_it_is_full(
    limit: str, case: str, tmp_path: Path
) -> None:
    run_program("full_disk", tmp_path, limit, case)


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="no folder that nobody may write in")
def test_where_nobody_may_write_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = ["--checkpoint", str(GOLDEN / "probe.pt"), "--data", str(GOLDEN / "store")]
    for arguments, named in (
        (["evaluate", *trained, "--draws", "0", "--json", "/sys/f.json"], "/sys/f.json"),
        (["embed", *trained, "--out", "/sys/e.npy"], "/sys/e"),
        (["export", "--checkpoint", str(GOLDEN / "probe.pt"), "--dest", "/sys/m"], "/sys/m"),
        (["prepare", "fraction", str(GOLDEN / "store"), "--label-fraction", "0.5",
          "--dest", "/sys/part"], "/sys/part"),
        (["prepare", "synthetic", "/sys/cohort", "--records", "1"], "/sys/cohort"),
    ):  # fmt: skip
        assert main(arguments) == 1
        error = capsys.readouterr().err
        assert named in error and "cannot be written" in error and "give a place" in error
        assert "Traceback" not in error and named in error.splitlines()[-1]


@pytest.mark.parametrize(
    ("command", "option", "ending"),
    [
        ("evaluate", "--json", ".json"), ("evaluate", "--predictions", ".parquet"),
        ("embed", "--out", ".npy"), ("predict", "--json", ".json"),
        ("benchmark", "--json", ".json"),
    ],
)  # fmt: skip
def test_an_output_that_cannot_be_is_refused_before_anything_is_computed(
    command: str, option: str, ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Neither the model nor the data is there: who computed first would speak of them.
    absent = ["--checkpoint", str(tmp_path / "c.pt"), "--data", str(tmp_path / "s")]
    given = {
        "predict": [str(tmp_path / "r.csv"), "--model", str(tmp_path / "c.pt")],
        "benchmark": ["evaluate", "--records", "10"],
    }.get(command, absent)
    folder = tmp_path / f"folder{ending}"
    folder.mkdir()
    file = tmp_path / "file"
    file.write_text("mine")
    for target, words in (
        (folder, f"{folder}: is a folder: give the name of a file"),
        (file / f"f{ending}", f"{file}: is a file, where a folder is to be"),
    ):
        assert main([command, *given, option, str(target)]) == 1
        printed, error = capsys.readouterr()
        assert not printed and words in error and len(error.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", folder.name]
    assert file.read_text() == "mine"


def test_an_output_that_takes_no_more_is_said(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", {"train": 4})
    command = [sys.executable, "-m", "selfmis_plugin.cli.main", "prepare", "fraction", str(store)]
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [*command, "--label-fraction", "0.5", "--dest", str(tmp_path / "part")],
            env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert process.returncode == 1
    assert process.stderr.startswith("selfmis prepare: ")
    assert process.stderr.endswith("No space left on device\n")
    assert len(process.stderr.splitlines()) == 1


def test_a_store_that_is_replaced_is_never_lost(tmp_path: Path) -> None:
    """What a kill between two renames takes away, the next run puts back, with the user's files."""

    def replace() -> None:
        with StoreWriter(tmp_path / "s", database="new", overwrite=True) as writer:
            writer.append(signal, {"record_id": "a"})

    old = write_store(tmp_path / "old", {"test": 1})
    signal = Store.open(old).read([0])[0]
    (old / "mine.txt").write_text("mine")
    number = 0
    while True:
        shutil.rmtree(tmp_path / "s", ignore_errors=True)
        shutil.copytree(old, tmp_path / "s")

        def killed(number: int = number) -> None:
            killed_before(number)
            replace()

        if in_child(killed) == 0:
            break
        assert in_child(replace) == 0
        assert Store.open(tmp_path / "s").info.database == "new"
        assert (tmp_path / "s" / "mine.txt").read_text() == "mine", number
        assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "s"], number
        number += 1
    assert number > 10


# Done already -------------------------------------------------------------------------------------


def test_a_store_that_is_done_is_known_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        write_record(tmp_path / "db" / f"r{number}", random_record(20, seed=number))
    plain = ["prepare", "wfdb-folder", str(tmp_path / "db"), "--dest", str(tmp_path / "s")]
    plain += ["--workers", "1"]
    arguments = [*plain, "--label-fraction", "0.5"]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "s").iterdir()}
    assert main(arguments) == 0
    again = capsys.readouterr().out
    assert again.startswith(f"{tmp_path / 's'}: is done; ") and again.endswith(first)
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "s").iterdir()} == before

    for other in (plain, [*arguments, "--seed", "3"], [*arguments, "--leads", "I"]):
        assert main(other) == 1
        assert "is there already" in capsys.readouterr().err
    write_record(tmp_path / "db" / "r1", random_record(30, seed=9))
    assert main(arguments) == 1
    assert "is there already" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0
    (tmp_path / "s" / "signals.i16").write_bytes(b"")  # not whole any more
    assert main(arguments) == 1


# Cut short ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_signals_cut_short_end_a_training_with_a_message(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", {"train": 100, "valid": 25})
    command = [sys.executable, "-m", "selfmis_plugin.cli.main", "train"]
    command += ["--config-name", "selfmis_supervised_small", *TINY, f"task.data={store}"]
    command += ["optimization.max_epoch=1000", f"hydra.run.dir={tmp_path / 'run'}"]
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    last = tmp_path / "run/checkpoints/checkpoint_last.pt"
    deadline = time.monotonic() + 300
    while not last.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    os.truncate(store / "signals.i16", 4096)
    error = process.communicate(timeout=300)[1]
    assert process.returncode == 1
    assert error.splitlines()[-1].startswith(
        f"training stopped: {store / 'signals.i16'}: has 4,096 "
    )
