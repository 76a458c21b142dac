"""The record store and its manifests."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfmis_plugin import __version__
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.store import (
    Store,
    StoreError,
    StoreWriter,
    read_manifest,
    write_manifest,
)

SETS = {"diagnostic": ("NORM", "IMI", "AMI"), "infarction": ("IMI", "AMI")}
SIGNALS = np.random.default_rng(0).integers(-30000, 30000, (7, 12, 5000)).astype(np.int16)
SPLITS = ("train", "train", "valid", "test", "train", "valid", "train")


def row(number: int, **more: object) -> dict[str, object]:
    return {
        "record_id": f"r{number}",
        "patient_id": f"p{number // 2}",
        "source": f"files/r{number}",
        "split": SPLITS[number],
        "labels": [("NORM", "SR"), ("IMI",), ("AMI", "IMI"), (), ("NORM",), ("SR",), ()][number],
        "strat_fold": None if number == 3 else number,
        **more,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with StoreWriter(tmp_path / "s", database="ptbxl", label_sets=SETS) as writer:
        for number, signal in enumerate(SIGNALS):
            writer.append(signal, row(number))
        writer.refuse("files/bad", "bad.hea: lacks\tV1\n")
    return tmp_path / "s"


def test_what_is_written_is_read(folder: Path) -> None:
    store = Store.open(folder)
    assert np.array_equal(store.signals, SIGNALS)
    assert len(store) == store.info.records == 7
    assert store.info.leads == STANDARD_LEADS
    assert store.info.label_sets == SETS
    assert (store.info.sample_rate, store.info.seconds, store.info.samples) == (500, 10, 5000)
    assert (store.info.units, store.info.filter, store.info.created_with) == (
        "uV", "none", __version__,
    )  # fmt: skip
    table = store.records
    assert table["record_id"].tolist() == [f"r{k}" for k in range(7)]
    assert table["patient_id"].tolist()[-1] == "p3"
    assert table["split"].tolist() == list(SPLITS)
    assert table["labels"].tolist()[:4] == [["NORM", "SR"], ["IMI"], ["AMI", "IMI"], []]
    assert table["lead_mask"].tolist() == [0xFFF] * 7
    assert table["strat_fold"].isna().tolist() == [k == 3 for k in range(7)]
    assert table["strat_fold"].dropna().tolist() == [0, 1, 2, 4, 5, 6]


def test_the_files_have_the_agreed_form(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "records.parquet", "refused.tsv", "signals.i16", "store.json",
        "test.tsv", "train.tsv", "valid.tsv",
    ]  # fmt: skip
    raw = np.fromfile(folder / "signals.i16", dtype="<i2").reshape(7, 12, 5000)
    assert np.array_equal(raw, SIGNALS)
    values = json.loads((folder / "store.json").read_text())
    assert values["format"] == "selfmis-store" and values["version"] == 1
    assert values["dtype"] == "int16" and values["database"] == "ptbxl"
    assert (folder / "valid.tsv").read_text() == ".\nr2\t5000\nr5\t5000\n"
    # One line per record, whatever the reason's text.
    assert (folder / "refused.tsv").read_text() == (
        "source\treason\nfiles/bad\tbad.hea: lacks V1\n"
    )
    assert len(pd.read_parquet(folder / "records.parquet")) == 7


def test_only_splits_with_records_have_a_manifest(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s", database="x") as writer:
        writer.append(SIGNALS[0], {"record_id": "a"})
    assert [path.name for path in (tmp_path / "s").glob("t*.tsv")] == ["train.tsv"]


def test_reading_leads_and_rows(folder: Path) -> None:
    store = Store.open(folder)
    assert np.array_equal(store.read([5, 0, 5]), SIGNALS[[5, 0, 5]])
    got = store.read(np.array([6, 1]), ["V6", "i", "avR"])
    assert got.dtype == np.int16
    assert np.array_equal(got, SIGNALS[[6, 1]][:, [11, 0, 3]])
    assert store.read([]).shape == (0, 12, 5000)
    assert store.read([], ["I"]).shape == (0, 1, 5000)


def test_what_is_read_is_a_copy_and_the_map_is_read_only(folder: Path) -> None:
    store = Store.open(folder)
    store.read([0])[:] = 0
    assert np.array_equal(store.signals[0], SIGNALS[0])
    with pytest.raises(ValueError):
        store.signals[0, 0, 0] = 1


def test_one_lead_reads_only_its_bytes(folder: Path) -> None:
    # Lead II of record 3 alone: everything else in the file may be anything.
    store = Store.open(folder)
    changed = np.memmap(folder / "signals.i16", dtype="<i2", mode="r+", shape=SIGNALS.shape)
    changed[:] = 0
    changed[3, 1] = SIGNALS[3, 1]
    changed.flush()
    assert np.array_equal(store.read([3], ["II"])[0, 0], SIGNALS[3, 1])


def test_wrong_rows_and_leads_are_named(folder: Path) -> None:
    store = Store.open(folder)
    with pytest.raises(StoreError, match="no row 7; it has 7 records"):
        store.read([0, 7])
    with pytest.raises(StoreError, match="no row -1"):
        store.read([-1])
    with pytest.raises(StoreError, match="whole numbers"):
        store.read([0.5])
    with pytest.raises(StoreError, match="no lead 'V7'; it has I, II"):
        store.read([0], ["V7"])


def test_rows_of(folder: Path) -> None:
    store = Store.open(folder)
    assert store.rows_of(["r6", "r0"]).tolist() == [6, 0]
    assert store.rows_of(["r1"]).dtype == np.int64
    assert store.rows_of([]).tolist() == []
    with pytest.raises(StoreError, match="no record 'x', 'y'"):
        store.rows_of(["x", "r0", "y"])
    with pytest.raises(StoreError, match="and 3 more"):
        store.rows_of([f"x{k}" for k in range(8)])


def test_targets(folder: Path) -> None:
    store = Store.open(folder)
    targets = store.targets([2, 0, 3], SETS["diagnostic"])
    assert targets.dtype == np.float32
    assert targets.tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 0]]
    with pytest.raises(StoreError, match="unknown labels 'SR'; label sets .* diagnostic"):
        store.targets([0], ["SR"])


def test_a_pickled_store_reads_the_same(folder: Path) -> None:
    store = Store.open(folder)
    assert len(store.signals) == len(store.records) == 7  # opened before pickling
    text = pickle.dumps(store)
    assert len(text) < 5_000
    copy = pickle.loads(text)
    assert np.array_equal(copy.read([4], ["V3"]), store.read([4], ["V3"]))
    assert copy.rows_of(["r4"]).tolist() == [4]


def test_a_store_survives_a_change_of_the_working_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(folder.parent)
    store = Store.open("s")
    monkeypatch.chdir(tmp_path / "s")
    assert np.array_equal(store.read([1])[0], SIGNALS[1])


# Damaged stores -----------------------------------------------------------------------------------


def test_no_store_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such folder"):
        Store.open(tmp_path / "none")
    with pytest.raises(StoreError, match=r"not a store \(no store.json\)"):
        Store.open(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "not a store's description"),
        ({"version": 2}, "store version 2.*understands version 1.*prepare it again"),
        ({"units": "mV"}, "int16 in mV"),
        ({"dtype": "float32"}, "samples are float32"),
        ({"leads": None}, "lacks leads"),
        ({"samples": "many"}, "wrong kind"),
        ({"label_sets": ["NORM"]}, "wrong kind"),
        ({"records": 8}, "840000 bytes, expected 960000"),
        ({"samples": 4999}, "840000 bytes, expected"),
        ({"leads": []}, "wrong kind.*leads"),
    ],
)
def test_wrong_descriptions_are_refused(
    folder: Path, change: dict[str, object], message: str
) -> None:
    path = folder / "store.json"
    values = json.loads(path.read_text())
    values.update(change)
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
    with pytest.raises(StoreError, match=message):
        Store.open(folder)


def test_damaged_files_are_named_with_the_way_out(folder: Path, tmp_path: Path) -> None:
    def damaged(name: str, content: bytes | None) -> str:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        if content is None:
            (copy / name).unlink()
        else:
            (copy / name).write_bytes(content)
        with pytest.raises(StoreError, match="prepare it again with `selfmis prepare") as caught:
            Store.open(copy)
        assert name in str(caught.value)
        return str(caught.value)

    assert "is missing" in damaged("signals.i16", None)
    assert "3 bytes" in damaged("signals.i16", b"abc")
    assert "cannot be read" in damaged("records.parquet", b"abc")
    assert "cannot be read" in damaged("records.parquet", None)
    assert "not valid JSON" in damaged("store.json", b"{")
    table = pq.read_table(folder / "records.parquet").slice(0, 3)
    pq.write_table(table, tmp_path / "short.parquet")
    assert "3 rows, expected 7" in damaged(
        "records.parquet", (tmp_path / "short.parquet").read_bytes()
    )


# Writing ------------------------------------------------------------------------------------------


def test_wrong_records_are_refused_and_the_writer_goes_on(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s", database="x") as writer:
        writer.append(SIGNALS[0], row(0))
        for signal, values, message in [
            (SIGNALS[1], row(0), "'r0' is there twice"),
            (SIGNALS[1][:3], row(1), r"int16 of shape \(12, 5000\)"),
            (SIGNALS[1].astype(np.int32), row(1), "int16"),
            (SIGNALS[1], row(1, split="dev"), "split 'dev'"),
            (SIGNALS[1], row(1, lead_mask=1 << 12), "bits beyond"),
            (SIGNALS[1], row(1, record_id="a\tb"), "tab or a line break"),
            (SIGNALS[1], row(1, record_id="a\n"), "tab or a line break"),
            (SIGNALS[1], row(1, record_id="a\u2028b"), "tab or a line break"),
            (SIGNALS[1], row(1, record_id=""), "empty"),
            (SIGNALS[1], row(1, record_id="\udcff"), "not valid text"),
            (SIGNALS[1], row(1, colour="red"), "no colour"),
            (SIGNALS[1], {"split": "train"}, "needs a record_id"),
        ]:
            with pytest.raises(StoreError, match=message):
                writer.append(signal, values)
        writer.append(SIGNALS[1], row(1))
    assert np.array_equal(Store.open(tmp_path / "s").signals, SIGNALS[:2])


def test_after_an_error_nothing_is_left(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        StoreWriter(tmp_path / "s", database="x") as writer,
    ):
        writer.append(SIGNALS[0], row(0))
        assert not (tmp_path / "s").exists()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_an_empty_store_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no record"), StoreWriter(tmp_path / "s", database="x"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_overwritten_only_on_request(folder: Path) -> None:
    with pytest.raises(StoreError, match="is there already.*--overwrite"):
        StoreWriter(folder, database="x")
    with StoreWriter(folder, database="new", overwrite=True) as writer:
        writer.append(SIGNALS[3], row(3))
        assert Store.open(folder).info.records == 7  # until the new one is whole
    assert Store.open(folder).info.database == "new"
    assert not (folder / "train.tsv").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["s"]


def test_overwriting_fails_without_harm(folder: Path) -> None:
    with (
        pytest.raises(RuntimeError),
        StoreWriter(folder, database="new", overwrite=True) as writer,
    ):
        writer.append(SIGNALS[3], row(3))
        raise RuntimeError
    assert np.array_equal(Store.open(folder).signals, SIGNALS)


def test_what_is_no_store_is_never_overwritten(tmp_path: Path) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter1.tex").write_text("words")
    for dest in (precious, precious / "chapter1.tex"):
        with pytest.raises(StoreError, match="is not a store"):
            StoreWriter(dest, database="x", overwrite=True)
    assert (precious / "chapter1.tex").read_text() == "words"


def test_a_store_made_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match="is there already"),
        StoreWriter(tmp_path / "s", database="slow") as slow,
    ):
        slow.append(SIGNALS[0], row(0))
        with StoreWriter(tmp_path / "s", database="quick") as quick:
            quick.append(SIGNALS[1], row(1))
    assert Store.open(tmp_path / "s").info.database == "quick"
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


KILLED = """
import os, signal, sys
import numpy as np
from selfmis_plugin.data.store import StoreWriter
with StoreWriter(sys.argv[1], database="x") as writer:
    writer.append(np.zeros((12, 5000), np.int16), {"record_id": "a"})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_leaves_no_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    process = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "s")], check=False)
    assert process.returncode == -9
    assert not (tmp_path / "s").exists()
    # What lies about is named to the next run, which is not hindered by it.
    with caplog.at_level(logging.WARNING), StoreWriter(tmp_path / "s", database="x") as writer:
        writer.append(SIGNALS[0], row(0))
    assert "left over from a run that was killed" in caplog.text
    assert len(Store.open(tmp_path / "s")) == 1


def test_a_disk_that_is_too_small_is_said_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING),
        StoreWriter(tmp_path / "s", database="x", expected_records=10**10) as writer,
    ):
        writer.append(SIGNALS[0], row(0))
    assert "may need 1200000.0 GB" in caplog.text


# Manifests ----------------------------------------------------------------------------------------


def test_manifest_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "lists" / "train.tsv"
    path.parent.mkdir()
    write_manifest(path, ["a", "b/c d"], [5000, 4000], root="../store")
    manifest = read_manifest(path)
    assert manifest.record_ids == ["a", "b/c d"]
    assert manifest.samples.tolist() == [5000, 4000] and manifest.samples.dtype == np.int64
    assert manifest.root == tmp_path / "store"
    assert manifest.path == path
    write_manifest(path, [], [], root="/data/store")
    assert read_manifest(path).root == Path("/data/store")


def test_a_stores_own_manifests_name_the_store(folder: Path) -> None:
    manifest = read_manifest(folder / "train.tsv")
    assert manifest.root == folder
    assert Store.open(manifest.root).rows_of(manifest.record_ids).tolist() == [0, 1, 4, 6]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line must name the root"),
        ("\na\t5\n", "first line must name the root"),
        (".\na\t5\nb 5\n", r"line 3: expected record_id<TAB>samples, found 'b 5'"),
        (".\na\tmany\n", "line 2"),
        (".\na\t5\t6\n", "line 2"),
        (".\n\t5\n", "line 2"),
    ],
)
def test_wrong_manifests_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.tsv"
    path.write_text(text)
    with pytest.raises(StoreError, match=message):
        read_manifest(path)


def test_manifests_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.tsv: no such file: give the folder"):
        read_manifest(tmp_path / "none.tsv")
    with pytest.raises(StoreError, match="cannot be read"):
        read_manifest(tmp_path)
    with pytest.raises(StoreError, match="2 records but 1 lengths"):
        write_manifest(tmp_path / "m.tsv", ["a", "b"], [1])
    with pytest.raises(StoreError, match="tab or a line break"):
        write_manifest(tmp_path / "m.tsv", ["a\tb"], [1])


def text_that_is_none(count: int) -> pa.Array:
    raw = pa.array([b"\xff\xfe"] * count, pa.binary())
    return pa.StringArray.from_buffers(count, *raw.buffers()[1:])


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("record_id", text_that_is_none, "UTF8"),
        (
            "labels",
            lambda n: pa.ListArray.from_arrays(list(range(n + 1)), text_that_is_none(n)),
            "UTF8",
        ),
        ("record_id", lambda n: pa.nulls(n, pa.string()), "record_id has 7 empty"),
        ("labels", lambda n: pa.array([[None]] * n, pa.list_(pa.string())), "labels has empty"),
        ("labels", lambda n: pa.array(["NORM"] * n), "records.parquet"),
        ("lead_mask", lambda n: pa.array(["all"] * n), "records.parquet"),
        ("lead_mask", lambda n: pa.array([1 << 40] * n), "beyond the 12 leads"),
        ("lead_mask", lambda n: pa.array([-1] * n), "beyond the 12 leads"),
        ("strat_fold", lambda n: pa.array([2.5] * n), "records.parquet"),
    ],
)
def test_a_damaged_table_of_records_is_named(
    folder: Path, column: str, values: Callable[[int], pa.Array], said: str
) -> None:
    path = folder / "records.parquet"
    table = pq.read_table(path)
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, values(len(table))), path)
    with pytest.raises(StoreError, match=said) as caught:
        Store.open(folder).records  # noqa: B018
    assert str(path) in str(caught.value)


def test_a_manifest_of_more_samples_than_a_number_has_is_refused(tmp_path: Path) -> None:
    for digits in ("9" * 30, "9" * 5000):
        (tmp_path / "train.tsv").write_text(f".\nx\t{digits}\n")
        with pytest.raises(StoreError, match=r"train\.tsv, line 2"):
            read_manifest(tmp_path / "train.tsv")
