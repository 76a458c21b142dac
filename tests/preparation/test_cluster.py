"""Preparation on a Dask cluster: a scheduler and workers in processes of their own."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfmis_plugin.cli import prepare
from selfmis_plugin.preparation.databases import wfdb_folder
from selfmis_plugin.preparation.parts import parts_folder
from selfmis_plugin.preparation.run import PreparationError, prepare_database
from tests import dask_processes
from tests.dask_processes import worker
from tests.readers import read_slowly
from tests.wfdb_files import random_record, write_record

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

from selfmis_plugin.preparation.cluster import DaskWorkers

RECORDS = 30


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler without workers."""
    with dask_processes.scheduler(tmp_path_factory.mktemp("scheduler")) as address:
        yield address


def content(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(store.iterdir())}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    for number in range(RECORDS):
        header = write_record(tmp_path / "db" / f"r{number:02d}", random_record(50, seed=number))
        if number == 7:
            header.with_suffix(".dat").unlink()
    return tmp_path / "db"


def test_a_cluster_that_loses_a_worker_makes_the_same_store(
    scheduler: str, database: Path, tmp_path: Path
) -> None:
    listing = wfdb_folder.list_records(database)
    records = list(listing.records)
    listing = type(listing)(listing.database, listing.root, records, len(records))
    here = prepare_database(listing, tmp_path / "here", reader=read_slowly, part_records=3)

    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(worker(scheduler, tmp_path / f"w{k}", SLOW_READER_SECONDS="0.1"))
            for k in range(2)
        ]
        code = (
            "import os, pathlib, signal, sys, time\n"
            "while len(list(pathlib.Path(sys.argv[1]).glob('*.part'))) < 3:\n"
            "    time.sleep(0.005)\n"
            "os.kill(int(sys.argv[2]), signal.SIGKILL)\n"
        )
        killer = subprocess.Popen(
            [sys.executable, "-c", code, str(parts_folder(tmp_path / "s")), str(workers[0].pid)]
        )
        stack.callback(killer.wait)
        stack.callback(killer.kill)
        there = prepare_database(
            listing, tmp_path / "s", workers=DaskWorkers(scheduler), reader=read_slowly,
            part_records=3,
        )  # fmt: skip
        assert workers[0].wait(60) == -signal.SIGKILL
        assert workers[1].poll() is None
        # An error of a worker arrives here, and what is finished is kept.
        bad = type(listing)(listing.database, listing.root, records[:-1], len(records))
        with pytest.raises(PreparationError, match="30 records were announced, 29 are listed"):
            prepare_database(
                bad, tmp_path / "bad", workers=DaskWorkers(scheduler), reader=read_slowly,
                part_records=3,
            )  # fmt: skip
    assert content(tmp_path / "s") == content(tmp_path / "here")
    assert str(there) == str(here).replace(str(tmp_path / "here"), str(tmp_path / "s"))
    assert not parts_folder(tmp_path / "s").exists()


def test_the_command_line_takes_a_scheduler(
    scheduler: str, database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["wfdb-folder", str(database), "--dest"]
    with worker(scheduler, tmp_path / "w"):
        assert prepare.main([*command, str(tmp_path / "s"), "--scheduler", scheduler]) == 0
    assert "30 records read, 29 stored" in capsys.readouterr().out
    assert prepare.main([*command, str(tmp_path / "here"), "--workers", "1"]) == 0
    assert content(tmp_path / "s") == content(tmp_path / "here")


def test_a_scheduler_that_is_not_there_is_named() -> None:
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(PreparationError, match=f"--scheduler {address}: cannot be reached"):
            list(DaskWorkers(address, timeout=0.5).map(str, [1]))


def test_without_dask_the_extra_is_named(
    database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delitem(sys.modules, "selfmis_plugin.preparation.cluster", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    command = ["wfdb-folder", str(database), "--dest", str(tmp_path / "s")]
    assert prepare.main([*command, "--scheduler", "tcp://h:1"]) == 1
    error = capsys.readouterr().err
    assert "--scheduler needs distributed" in error and "pip install '.[cluster]'" in error
