"""Preparation in parts: killed, stopped, gone on with, shared out; always the same store."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfmis_plugin.cli import prepare
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.recording import RecordError, Recording
from selfmis_plugin.data.store import Store, StoreError, StoreWriter
from selfmis_plugin.data.store.format import MADE_FILE
from selfmis_plugin.preparation import parts
from selfmis_plugin.preparation import run as preparation
from selfmis_plugin.preparation.databases import wfdb_folder
from selfmis_plugin.preparation.listing import ListedRecord, Listing
from selfmis_plugin.preparation.parts import part_size, parts_folder
from selfmis_plugin.preparation.run import (
    PreparationError,
    kept,
    merge,
    prepare_database,
    prepare_share,
)
from selfmis_plugin.preparation.wfdb.fast_reader import read_record
from selfmis_plugin.preparation.wfdb.reader import read_recording
from tests.readers import read_slowly
from tests.support import write_store
from tests.wfdb_files import random_record, write_record

REPOSITORY = Path(__file__).resolve().parents[2]
RECORDS = 23


def content(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(store.iterdir())}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of records, some to be refused, some to be repaired."""
    root = tmp_path_factory.mktemp("database") / "db"
    for number in range(RECORDS):
        header = write_record(root / f"r{number:02d}", random_record(300, seed=number))
        if number in (4, 5, 13):
            header.with_suffix(".dat").unlink()
    return root


@pytest.fixture(scope="module")
def whole(database: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The store of a run that was never stopped, and its summary."""
    dest = tmp_path_factory.mktemp("whole") / "s"
    summary = prepare_database(wfdb_folder.list_records(database), dest, part_records=4)
    return dest, str(summary)


def run_on(database: Path, dest: Path, **more: object) -> str:
    settings = {"part_records": 4, **more}
    return str(prepare_database(wfdb_folder.list_records(database), dest, **settings))  # type: ignore[arg-type]


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def start(
    database: Path, dest: Path, workers: int, seconds: float, reader: str = "read_slowly"
) -> subprocess.Popen[str]:
    code = (
        "import sys\n"
        "from selfmis_plugin.preparation.databases import wfdb_folder\n"
        "from selfmis_plugin.preparation.run import PreparationError, prepare_database\n"
        f"from tests.readers import {reader} as reader\n"
        "listing = wfdb_folder.list_records(__import__('pathlib').Path(sys.argv[1]))\n"
        "try:\n"
        "    prepare_database(listing, sys.argv[2], workers=int(sys.argv[3]), reader=reader,\n"
        "                     part_records=4)\n"
        "except PreparationError as error:\n"
        "    sys.exit(f'stopped: {error}')\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(database), str(dest), str(workers)],
        env=environment(SLOW_READER_SECONDS=str(seconds)),
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_parts(dest: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while len(list(parts_folder(dest).glob("*.part"))) < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)


# Killed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_before_anything_it_does_to_the_disk_it_goes_on(every: int, tmp_path: Path) -> None:
    root = tmp_path / "db"
    for number in range(8):
        header = write_record(root / f"r{number}", random_record(20, seed=number))
        if number == 1:
            header.unlink()
            (root / "r1.hea").write_text("nothing")
    prepare_database(wfdb_folder.list_records(root), tmp_path / "reference", part_records=3)
    write_store(tmp_path / "old", {"train": 1})
    process = subprocess.run(
        [sys.executable, "-m", "tests.kill_points", root, tmp_path / "work",
         tmp_path / "reference", tmp_path / "old", str(every)],
        env=environment(TQDM_DISABLE="1"), cwd=REPOSITORY, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert int(process.stdout) > 40


@pytest.mark.parametrize(("workers", "after"), [(1, 2), (2, 3)])
def test_killed_while_it_prepares_it_goes_on(
    workers: int, after: int, database: Path, whole: tuple[Path, str], tmp_path: Path
) -> None:
    process = start(database, tmp_path / "s", workers, 0.03)
    wait_for_parts(tmp_path / "s", after, process)
    process.kill()
    process.communicate()
    assert not (tmp_path / "s").exists()
    summary = run_on(database, tmp_path / "s", reader=read_slowly, workers=3 - workers)
    assert content(tmp_path / "s") == content(whole[0])
    assert summary == whole[1].replace(str(whole[0]), str(tmp_path / "s"))
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_killed_worker_stops_the_run_with_the_way_on(
    database: Path, whole: tuple[Path, str], tmp_path: Path
) -> None:
    process = start(database, tmp_path / "s", 2, 0.2)
    wait_for_parts(tmp_path / "s", 1, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [
        int(child)
        for child in children
        if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    os.kill(workers[-1], signal.SIGKILL)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and "a worker process died" in error
    assert "of 23 records are prepared and kept" in error and "the same command goes on" in error
    run_on(database, tmp_path / "s", reader=read_slowly)
    assert content(tmp_path / "s") == content(whole[0])


def test_finished_parts_are_not_prepared_again(database: Path, tmp_path: Path) -> None:
    read: list[str] = []
    interrupting = True

    def reader(path: Path) -> Recording:
        read.append(path.name)
        if path.name == "r10" and interrupting:
            raise KeyboardInterrupt
        return read_recording(path)

    with pytest.raises(KeyboardInterrupt):
        run_on(database, tmp_path / "s", reader=reader)
    assert kept(tmp_path / "s").startswith("8 of 23 records are prepared and kept in")
    interrupting = False
    run_on(database, tmp_path / "s", reader=reader)
    assert sorted(read) == sorted([f"r{k:02d}" for k in range(RECORDS)] + ["r08", "r09", "r10"])


def test_the_store_is_a_store_writers(database: Path, whole: tuple[Path, str]) -> None:
    """Parts or one record after another: the same files to the byte."""
    dest = whole[0].with_name("written")
    with StoreWriter(dest, database="wfdb-folder") as writer:
        for number in range(RECORDS):
            name = f"r{number:02d}"
            if number in (4, 5, 13):
                writer.refuse(name, f"{name}.dat: no such file, though {name}.hea names it")
                continue
            signal = np.zeros((12, 5000), np.int16)
            signal[:, :300] = random_record(300, seed=number)
            row = {"record_id": name, "source": name, "repaired": "padded 4700 samples"}
            writer.append(signal, row)
    from_parts = content(whole[0])
    assert from_parts.pop(MADE_FILE)  # what a program writes was made from nothing known
    assert content(dest) == from_parts


def _dummy(path: Path) -> Recording:
    number = int(path.name)
    if number < 0:
        raise RecordError("bad", f"{number}: bad")
    wave = np.full((12, 5000), float(number)) + np.arange(5000) % 7
    return Recording(wave, STANDARD_LEADS, 500.0)


@settings(max_examples=15, deadline=None)
@given(
    good=st.lists(st.booleans(), min_size=1, max_size=14),
    part_records=st.integers(1, 6),
)
def test_whatever_is_refused_the_rows_follow_each_other(
    tmp_path_factory: pytest.TempPathFactory, good: list[bool], part_records: int
) -> None:
    folder = tmp_path_factory.mktemp("refused")
    names = [str(k + 1) if fine else str(-k - 1) for k, fine in enumerate(good)]
    listing = Listing(
        "d", folder, (ListedRecord(n, n, n, ("train", "test")[int(n) % 2]) for n in names),
        len(names),
    )  # fmt: skip
    if not any(good):
        with pytest.raises(PreparationError, match="can be used"):
            prepare_database(listing, folder / "s", reader=_dummy, part_records=part_records)
        return
    prepare_database(listing, folder / "s", reader=_dummy, part_records=part_records)
    store = Store.open(folder / "s")
    stored = [name for name, fine in zip(names, good, strict=True) if fine]
    assert store.records["record_id"].tolist() == stored
    assert store.signals[:, 3, 0].tolist() == [int(name) for name in stored]
    assert store.signals[:, 11, 4998].tolist() == [int(name) for name in stored]


# Noticed ------------------------------------------------------------------------------------------


def stopped(database: Path, dest: Path, at: str = "r18") -> None:
    """Leave a folder of parts as a run that was interrupted does."""

    def interrupting(path: Path) -> Recording:
        if path.name == at:
            raise KeyboardInterrupt
        return read_recording(path)

    # Parts remember their reader by its name.
    interrupting.__module__ = read_record.__module__
    interrupting.__qualname__ = read_record.__qualname__
    with pytest.raises(KeyboardInterrupt):
        run_on(database, dest, reader=interrupting)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"required": ("I",)}, r'leads: now \["I"\], then \["I", "II"'),
        ({"part_records": 5}, "records of a part: now 5, then 4"),
        ({"reader": read_slowly}, "reader: now tests.readers.read_slowly, then selfmis_plugin"),
    ],
)
def test_a_changed_option_is_named(
    database: Path,
    whole: tuple[Path, str],
    tmp_path: Path,
    change: dict[str, object],
    message: str,
) -> None:
    stopped(database, tmp_path / "s")
    with pytest.raises(PreparationError, match=f"(?s){message}.*--restart"):
        run_on(database, tmp_path / "s", **change)
    run_on(database, tmp_path / "s")  # nothing was harmed
    assert content(tmp_path / "s") == content(whole[0])


def test_another_version_is_named(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(database, tmp_path / "s")
    monkeypatch.setattr(parts, "__version__", "99.0")
    with pytest.raises(PreparationError, match="plugin version: now 99.0, then"):
        run_on(database, tmp_path / "s")


def test_a_changed_listing_is_named(database: Path, tmp_path: Path) -> None:
    stopped(database, tmp_path / "s")
    other = wfdb_folder.list_records(database, "valid")
    with pytest.raises(PreparationError, match="record 'r00': split now 'valid', then 'train'"):
        prepare_database(other, tmp_path / "s", part_records=4)
    fewer = Listing("wfdb-folder", database, list(other.records)[:-1], RECORDS - 1)
    with pytest.raises(PreparationError, match="records: now 22, then 23"):
        prepare_database(fewer, tmp_path / "s", part_records=4)


def test_what_was_left_can_be_thrown_away(database: Path, tmp_path: Path) -> None:
    stopped(database, tmp_path / "s")
    run_on(database, tmp_path / "s", required=("I",), restart=True)
    assert len(Store.open(tmp_path / "s")) == 20
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_changed_input_is_named_and_prepared_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "db"
    for number in range(8):
        write_record(root / f"r{number}", random_record(50, seed=number))
    (root / "r2.dat").unlink()
    stopped(root, tmp_path / "s", at="r7")
    write_record(root / "r1", random_record(60, seed=99))  # another content
    (root / "r2.dat").write_bytes(b"")
    write_record(root / "r2", random_record(50, seed=2))  # the download goes on
    with caplog.at_level(logging.WARNING):
        run_on(root, tmp_path / "s")
    assert "r1.hea" in caplog.text and "r2.dat" in caplog.text and "r3" not in caplog.text
    run_on(root, tmp_path / "again")
    assert content(tmp_path / "s") == content(tmp_path / "again")
    assert len(Store.open(tmp_path / "s")) == 8


def test_segments_and_odd_names_are_watched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "db"
    write_record(root / "long_1", random_record(50))
    (root / "long.hea").write_text("long/1 12 500 50\nlong_1 50\n")
    odd = write_record(root / "odd", random_record(50))
    odd.with_suffix(".dat").rename(root / "odd.bin")
    odd.write_text(odd.read_text().replace("odd.dat", "odd.bin"))
    write_record(root / "z", random_record(50))
    for name in ("long_1.dat", "odd.bin"):
        dest = tmp_path / name
        with pytest.raises(KeyboardInterrupt):
            prepare_database(
                wfdb_folder.list_records(root), dest, part_records=1, reader=_Stops("z")
            )
        os.utime(root / name, ns=(1, 1))
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            prepare_database(
                wfdb_folder.list_records(root), dest, part_records=1, reader=_Stops("")
            )
        assert f"{name}: changed since part" in caplog.text


class _Stops:
    """A reader that stops at a record."""

    def __init__(self, at: str) -> None:
        self.at = at

    def __call__(self, path: Path) -> Recording:
        if path.name == self.at:
            raise KeyboardInterrupt
        return read_recording(path)


def test_a_file_that_changes_while_it_is_read_stops_the_run(
    tmp_path: Path, whole: tuple[Path, str]
) -> None:
    for number in range(3):
        write_record(tmp_path / "db" / f"r{number}", random_record(50))
    growing = True

    def reader(path: Path) -> Recording:
        recording = read_recording(path)
        if path.name == "r2" and growing:
            with (tmp_path / "db/r2.dat").open("ab") as file:
                file.write(b"more")
        return recording

    def prepared() -> str:
        listing = wfdb_folder.list_records(tmp_path / "db")
        return str(prepare_database(listing, tmp_path / "s", reader=reader, part_records=1))

    with pytest.raises(PreparationError, match="r2.dat: changed while it was read.*2 of 3 records"):
        prepared()
    growing = False
    assert "3 stored" in prepared()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "Input/output error"),
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.ESTALE, "Stale file handle"),
    ],
)
@pytest.mark.parametrize("hidden", [False, True])
def test_a_failing_disk_refuses_nobody(
    error: OSError, hidden: bool, database: Path, whole: tuple[Path, str], tmp_path: Path
) -> None:
    failing = True

    def reader(path: Path) -> Recording:
        try:
            if failing and path.name == "r09":
                raise error
        except OSError:
            if hidden:  # as readers do
                raise RecordError("unreadable", f"{path}: unreadable") from None
            raise
        return read_recording(path)

    with pytest.raises(PreparationError) as caught:
        run_on(database, tmp_path / "s", reader=reader)
    text = str(caught.value)
    assert "r09" in text and str(error.strerror) in text and "not refused" in text
    assert "8 of 23 records are prepared and kept" in text and "same command goes on" in text
    failing = False
    run_on(database, tmp_path / "s", reader=reader)
    assert content(tmp_path / "s") == content(whole[0])


def test_damaged_and_foreign_part_files_count_for_nothing(
    database: Path, whole: tuple[Path, str], tmp_path: Path
) -> None:
    stopped(database, tmp_path / "s")
    folder = parts_folder(tmp_path / "s")
    (folder / "00001.part").write_bytes((folder / "00001.part").read_bytes()[:-100])
    stopped(database, tmp_path / "other")
    (parts_folder(tmp_path / "other") / "00002.part").replace(folder / "00002.part")
    run_on(database, tmp_path / "s")
    assert content(tmp_path / "s") == content(whole[0])


def test_damaged_plans_and_lost_signals_are_named(database: Path, tmp_path: Path) -> None:
    stopped(database, tmp_path / "s")
    folder = parts_folder(tmp_path / "s")
    (folder / "store/signals.i16").unlink()
    with pytest.raises(PreparationError, match="signals.i16: is missing; start anew"):
        run_on(database, tmp_path / "s")
    (folder / "plan.json").write_text("{")
    with pytest.raises(PreparationError, match="plan.json: is damaged.*--restart"):
        run_on(database, tmp_path / "s")
    run_on(database, tmp_path / "s", restart=True)


def test_a_wrong_total_is_said(database: Path, tmp_path: Path) -> None:
    listing = wfdb_folder.list_records(database)
    wrong = Listing("x", database, listing.records, RECORDS + 1)
    with pytest.raises(PreparationError, match="24 records were announced, 23 are listed"):
        prepare_database(wrong, tmp_path / "s")


# A full disk --------------------------------------------------------------------------------------


def test_a_full_disk_keeps_what_is_finished(
    database: Path, whole: tuple[Path, str], tmp_path: Path
) -> None:
    code = (
        "import sys, pathlib, resource\n"
        "from selfmis_plugin.preparation.databases import wfdb_folder\n"
        "from selfmis_plugin.preparation.run import prepare_database\n"
        # Stands in for a full disk: writing beyond 10 records fails.
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_200_000, 1_200_000))\n"
        "prepare_database(wfdb_folder.list_records(pathlib.Path(sys.argv[1])), sys.argv[2],"
        " part_records=4)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, database, tmp_path / "s"],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 1
    assert "s.parts: File too large; about 0.0 GB more are needed" in process.stderr
    assert "of 23 records are prepared and kept in" in process.stderr
    done = len(list(parts_folder(tmp_path / "s").glob("*.part")))
    assert done == 2  # the third part would end at the twelfth record's slot
    run_on(database, tmp_path / "s")
    assert content(tmp_path / "s") == content(whole[0])


# Memory -------------------------------------------------------------------------------------------

PEAK = """
import resource, sys
from pathlib import Path
import numpy as np
from selfmis_plugin.preparation import worker as part_preparation
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.preparation.listing import ListedRecord, Listing
from selfmis_plugin.preparation.run import prepare_database
from selfmis_plugin.data.recording import Recording
count = int(sys.argv[1])
records = (ListedRecord(f"{k:08d}", f"p{k}", f"r{k}", "train", ("NORM",)) for k in range(count))
wave = np.ones((12, 5000))
def reader(path):
    return Recording(wave, STANDARD_LEADS, 500.0)
class Nowhere:  # 600 MB need not really be written
    def __init__(self, *arguments): pass
    def __enter__(self): return self
    def __exit__(self, *arguments): pass
    def append(self, signal): pass
part_preparation.SlotWriter = Nowhere
prepare_database(Listing("d", Path(sys.argv[2]), records, count), sys.argv[3], reader=reader)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_records(tmp_path: Path) -> None:
    peaks = []
    for count in (500, 5000):
        process = subprocess.run(
            [sys.executable, "-c", PEAK, str(count), tmp_path, tmp_path / str(count)],
            env=environment(), capture_output=True, text=True, check=True,
        )  # fmt: skip
        peaks.append(int(process.stdout) / 1024)
    # The signals of 4,500 records are 540 MB, as the readers give them 2,160.
    assert peaks[1] - peaks[0] < 60, peaks


# Shares -------------------------------------------------------------------------------------------


def share(database: Path, dest: Path, number: int, shares: int) -> str:
    listing = wfdb_folder.list_records(database)
    return str(prepare_share(listing, dest, number, shares, part_records=4))


def test_shares_make_the_same_store(
    database: Path, whole: tuple[Path, str], tmp_path: Path
) -> None:
    dest = tmp_path / "s"
    text = share(database, dest, 2, 3)
    assert "share 2 of 3: 2 parts with 8 records are finished; 4 parts of other shares" in text
    with pytest.raises(PreparationError) as caught:
        merge(dest)
    assert "4 of 6 parts are missing (0, 2, 3, 5)" in str(caught.value)
    assert "Run --part 1/3, --part 3/3 again" in str(caught.value)
    share(database, dest, 3, 3)
    share(database, dest, 1, 3)
    assert "2 parts with 8 records are finished, 2 of them before; so are all" in share(
        database, dest, 1, 3
    )
    assert not dest.exists()
    assert str(merge(dest)) == whole[1].replace(str(whole[0]), str(dest))
    assert content(dest) == content(whole[0])
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    with pytest.raises(PreparationError, match="no parts there"):
        merge(dest)


def test_a_run_without_shares_finishes_them(
    database: Path, whole: tuple[Path, str], tmp_path: Path
) -> None:
    share(database, tmp_path / "s", 3, 3)
    run_on(database, tmp_path / "s")
    assert content(tmp_path / "s") == content(whole[0])


def test_shares_of_different_tables_do_not_go_together(database: Path, tmp_path: Path) -> None:
    share(database, tmp_path / "s", 1, 2)
    other = wfdb_folder.list_records(database, "test")
    prepare_share(other, tmp_path / "s", 2, 2, part_records=4)
    with pytest.raises(PreparationError, match="prepared from other tables.*--restart"):
        merge(tmp_path / "s")


def test_no_such_share(database: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="share 3 of 2"):
        share(database, tmp_path / "s", 3, 2)
    assert list(tmp_path.iterdir()) == []


def test_a_merge_killed_while_it_moves_a_part_asks_for_that_part(
    database: Path, whole: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest = tmp_path / "s"
    for number in (1, 2):
        share(database, dest, number, 2)

    def half(handle: int, source: int, target: int, count: int) -> None:
        os.pwrite(handle, b"half moved" * 100, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("selfmis_plugin.preparation.assembly.move", half)
        with pytest.raises(KeyboardInterrupt):
            merge(dest)
    with pytest.raises(PreparationError, match=r"1 of 6 parts are missing \(2\). Run --part 1/2"):
        merge(dest)
    with pytest.raises(PreparationError, match="1 of 6 parts are missing"):
        merge(dest)
    share(database, dest, 1, 2)
    merge(dest)
    assert content(dest) == content(whole[0])


def test_two_shares_at_once_and_the_same_one_twice(
    database: Path, whole: tuple[Path, str], tmp_path: Path
) -> None:
    dest = tmp_path / "s"
    threads = [
        threading.Thread(target=share, args=(database, dest, number, 2)) for number in (1, 2, 1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    merge(dest)
    assert content(dest) == content(whole[0])


def test_two_runs_at_once_do_not_hurt_each_other(
    database: Path, whole: tuple[Path, str], tmp_path: Path
) -> None:
    dest = tmp_path / "s"

    def reader(path: Path) -> Recording:
        if path.name == "r09":
            for second in (lambda: run_on(database, dest, reader=reader), lambda: merge(dest)):
                with pytest.raises(PreparationError, match="another run is at work there"):
                    second()
        return read_recording(path)

    run_on(database, dest, reader=reader)
    assert content(dest) == content(whole[0])


def test_shares_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(130):
        write_record(tmp_path / "db" / f"r{number:03d}", random_record(5, seed=number))

    def run(*arguments: str) -> int:
        return prepare.main([*arguments, "--dest", str(tmp_path / "s")])

    command = ("wfdb-folder", str(tmp_path / "db"), "--workers", "1")
    assert run(*command, "--part", "2/2") == 0
    assert "share 2 of 2: 1 parts with 64 records" in capsys.readouterr().out
    assert run("merge") == 1
    assert "2 of 3 parts are missing (0, 2). Run --part 1/2 again" in capsys.readouterr().err
    assert run(*command, "--part", "1/2", "--restart") == 1
    assert "throw away what the other shares" in capsys.readouterr().err
    assert run(*command, "--part", "1/2") == 0
    assert run("merge") == 0
    assert "130 records read, 130 stored" in capsys.readouterr().out
    shared = content(tmp_path / "s")
    assert run("merge") == 1
    assert run(*command, "--overwrite") == 0
    assert content(tmp_path / "s") == shared


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "1/0", "a/b", "-1/2", "1/2/3"])
def test_wrong_shares_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        prepare.main(["wfdb-folder", str(tmp_path), "--dest", "s", f"--part={text}"])
    assert caught.value.code == 2


# Overwriting --------------------------------------------------------------------------------------


def test_overwriting_keeps_what_is_the_users(
    database: Path, whole: tuple[Path, str], tmp_path: Path
) -> None:
    dest = write_store(tmp_path / "s", {"test": 2})
    (dest / "women.tsv").write_text(".\n00000\t5000\n")
    (dest / "notes").mkdir()
    (dest / "notes" / "a.txt").write_text("mine")
    with pytest.raises(StoreError, match="is there already"):
        run_on(database, dest)
    assert not parts_folder(dest).exists()
    summary = run_on(database, dest, overwrite=True)
    assert "note: kept from the store that was replaced: notes, women.tsv" in summary
    assert (dest / "women.tsv").read_text() == ".\n00000\t5000\n"
    assert (dest / "notes" / "a.txt").read_text() == "mine"
    assert not (dest / "test.tsv").exists()
    own = {name: (dest / name).read_bytes() for name in content(whole[0])}
    assert own == content(whole[0])
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_the_old_store_stays_until_the_new_one_is_whole(database: Path, tmp_path: Path) -> None:
    dest = write_store(tmp_path / "s", {"test": 2})
    before = content(dest)
    with pytest.raises(KeyboardInterrupt):
        run_on(database, dest, overwrite=True, reader=_Stops("r20"))
    assert content(dest) == before


# The rest -----------------------------------------------------------------------------------------


def test_parts_begin_at_pages_and_are_of_one_size_for_any_workers() -> None:
    assert [part_size(n) for n in (0, 1, 5000, 21_799, 100_000, 800_035)] == [
        64, 64, 64, 320, 1024, 1024,
    ]  # fmt: skip
    assert all(part_size(n) * 120_000 % 4096 == 0 for n in range(0, 10**6, 997))


def test_the_progress_is_by_records_and_says_the_rate(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped(database, tmp_path / "s")
    capsys.readouterr()
    run_on(database, tmp_path / "s")
    bar = capsys.readouterr().err
    assert "16/23" in bar and "23/23" in bar and "records/s" in bar


def test_a_file_system_without_locks_will_do(
    database: Path, whole: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    run_on(database, tmp_path / "s")
    assert content(tmp_path / "s") == content(whole[0])


def test_a_file_system_that_wants_the_cache_will_do(
    database: Path, whole: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, written = os.open, os.pwrite
    direct: set[int] = set()

    def opening(path: str, flags: int, *more: int, **others: int | None) -> int:
        handle = opened(path, flags, *more, **others)
        (direct.add if flags & getattr(os, "O_DIRECT", 0) else direct.discard)(handle)
        return handle

    def writing(handle: int, content: Sequence[int], offset: int) -> int:
        if handle in direct:
            raise OSError(errno.EINVAL, "Invalid argument")
        return written(handle, content, offset)

    monkeypatch.setattr("os.open", opening)
    monkeypatch.setattr("os.pwrite", writing)
    listing = wfdb_folder.list_records(database)
    prepare_database(listing, tmp_path / "s", part_records=64)
    assert content(tmp_path / "s") == content(whole[0])


def test_the_plan_says_how_the_parts_were_prepared(database: Path, tmp_path: Path) -> None:
    stopped(database, tmp_path / "s")
    plan = json.loads((parts_folder(tmp_path / "s") / "plan.json").read_text())
    assert plan["described"]["leads"] == list(STANDARD_LEADS)
    assert plan["described"]["database"] == "wfdb-folder"
    assert preparation.kept(tmp_path / "none") == "nothing was prepared yet"
