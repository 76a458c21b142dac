"""``selfmis prepare``: databases, refusals, summaries, and independence of the workers."""

from __future__ import annotations

import ast
import csv
import functools
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfmis_plugin.cli import prepare
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.store import Store, read_manifest
from selfmis_plugin.preparation.databases import (
    known_databases,
    mimic_iv_ecg,
    ptbxl,
    wfdb_folder,
)
from selfmis_plugin.preparation.listing import DatabaseError
from selfmis_plugin.preparation.run import prepare_database
from selfmis_plugin.preparation.wfdb.reader import read_recording
from selfmis_plugin.utils.parallel import ordered_map
from tests.wfdb_files import random_record, write_record

REPOSITORY = Path(__file__).resolve().parents[2]


def run(*arguments: object, status: int = 0) -> None:
    assert prepare.main([str(argument) for argument in arguments]) == status


def refused(store: Path) -> dict[str, str]:
    with (store / "refused.tsv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows[0] == ["source", "reason"]
    return dict(rows[1:])


def content(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(store.iterdir())}


# PTB-XL -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ptbxl_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PTB-XL of a few records: every fold, one without diagnosis, some broken."""
    root = tmp_path_factory.mktemp("ptbxl")
    (root / "scp_statements.csv").write_text(
        ",description,diagnostic,form,rhythm\n"
        "NORM,normal,1.0,,\nIMI,inferior,1.0,,\nNDT,T,1.0,1.0,\nPVC,beat,,1.0,\nSR,sinus,,,1.0\n"
    )
    rows = []
    for fold in range(1, 11):
        rows.append([fold, f"{100 + fold}.0", "{'IMI': 0.0, 'SR': 0.0}", fold])
    rows += [
        [11, "101.0", "{'SR': 0.0, 'PVC': 100.0}", 1],
        [12, "102.0", "{}", 2],
        [13, "103.0", "{'NORM': 100.0, 'XYZ': 5}", 3],
        [14, "104.0", "__import__('os').system('touch hacked')", 4],
        [15, "105.0", "{'NORM': 100.0}", 11],
        [16, "106.0", "{'NORM': 100.0}", 6],
        [13, "103.0", "{'NORM': 100.0}", 3],
    ]
    lines = ["ecg_id,patient_id,age,scp_codes,strat_fold,filename_lr,filename_hr"]
    for ecg_id, patient, codes, fold in rows:
        name = f"00000/{ecg_id:05d}"
        lines.append(
            f'{ecg_id},{patient},60,"{codes}",{fold},records100/{name}_lr,records500/{name}_hr'
        )
        if ecg_id != 16:
            digital = random_record(seed=ecg_id)
            write_record(root / f"records500/{name}_hr", digital)
    (root / "ptbxl_database.csv").write_text("\n".join(lines) + "\n")
    return root


def test_ptbxl(ptbxl_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("ptbxl", ptbxl_root, "--dest", tmp_path / "s", "--workers", 1)
    store = Store.open(tmp_path / "s")
    table = store.records.set_index("record_id")
    assert table.index.tolist() == [f"{k:05d}" for k in (*range(1, 11), 13)]
    assert table["split"].tolist() == ["train"] * 8 + ["valid", "test", "train"]
    assert table["strat_fold"].tolist() == [*range(1, 11), 3]
    assert table.loc["00001", "patient_id"] == "101"
    assert table.loc["00001", "source"] == "records500/00000/00001_hr"
    assert table.loc["00001", "labels"] == ["IMI", "SR"]
    assert table.loc["00013", "labels"] == ["NORM", "XYZ"]
    assert np.array_equal(store.signals[10], random_record(seed=13))
    assert store.info.database == "ptbxl"
    assert store.info.label_sets["diagnostic"] == ("NORM", "IMI", "NDT")
    assert store.info.label_sets["all"] == ("NORM", "IMI", "NDT", "PVC", "SR")
    assert store.targets([0, 10], store.info.label_sets["diagnostic"]).tolist() == [
        [0, 1, 0], [1, 0, 0],
    ]  # fmt: skip

    reasons = refused(tmp_path / "s")
    assert "is not a dictionary" in reasons["records500/00000/00014_hr"]
    assert "fold 11" in reasons["records500/00000/00015_hr"]
    assert "00016_hr.hea: no such file" in reasons["records500/00000/00016_hr"]
    assert "record 00013 is listed twice" in reasons["records500/00000/00013_hr"]
    assert not list(tmp_path.rglob("hacked")) and not (Path.cwd() / "hacked").exists()
    summary = capsys.readouterr().out
    assert "15 records read, 11 stored" in summary
    assert "train 9, valid 1, test 1" in summary
    assert "refused: 4 (bad table row 2, missing header 1, record twice 1)" in summary
    assert "left out: 2 (no diagnostic statement 2)" in summary


def test_real_ptbxl_tables(real_data: Path) -> None:
    root = real_data / "ptbxl"
    listing = ptbxl.list_records(root)
    sets = listing.label_sets
    assert (len(sets["diagnostic"]), len(sets["all"])) == (44, 71)
    assert sets["diagnostic"][:3] == ("NDT", "NST_", "DIG") and sets["diagnostic"][-1] == "2AVB"
    assert sets["infarction"] == INFARCTION_TYPES
    assert set(INFARCTION_TYPES) < set(sets["diagnostic"])

    # Counted anew with the csv module.
    with (root / "ptbxl_database.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with (root / "scp_statements.csv").open(encoding="utf-8", newline="") as file:
        diagnostic = {row[""] for row in csv.DictReader(file) if row["diagnostic"] == "1.0"}
    kept = [row for row in rows if diagnostic & set(ast.literal_eval(row["scp_codes"]))]
    records = list(listing.records)
    assert [int(record.record_id) for record in records] == [int(row["ecg_id"]) for row in kept]
    assert listing.total == len(records)
    assert listing.left_out == {"no diagnostic statement": len(rows) - len(kept)}
    for record, row in zip(records, kept, strict=True):
        fold = int(row["strat_fold"])
        assert record.problem is None
        assert record.split == ("train" if fold < 9 else "valid" if fold == 9 else "test")
        assert record.labels == tuple(ast.literal_eval(row["scp_codes"]))
        assert record.patient_id == row["patient_id"].removesuffix(".0")
        assert record.source == row["filename_hr"]


def test_ptbxl_with_only_the_low_rate_says_so(tmp_path: Path, ptbxl_root: Path) -> None:
    for name in ("ptbxl_database.csv", "scp_statements.csv"):
        shutil.copy(ptbxl_root / name, tmp_path)
    write_record(tmp_path / "records100/00000/00003_lr", random_record(1000), rate=100)
    with pytest.raises(DatabaseError, match="only the 100 Hz signals.*--source-rate 100"):
        ptbxl.list_records(tmp_path)
    with pytest.raises(DatabaseError, match="only the 500 Hz signals.*--source-rate 500"):
        ptbxl.list_records(ptbxl_root, 100)
    run("ptbxl", tmp_path, "--dest", tmp_path / "s", "--source-rate", 100, "--workers", 1)
    (record,) = Store.open(tmp_path / "s").records.to_dict("records")
    assert record["source"] == "records100/00000/00003_lr"
    assert record["repaired"] == "resampled from 100 Hz"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("ptbxl_database.csv", None, "no such file"),
        ("scp_statements.csv", None, "no such file"),
        ("ptbxl_database.csv", "ecg_id,age\n1,2\n", "lacks the columns patient_id, scp_codes"),
        ("ptbxl_database.csv", "", "cannot be read as CSV"),
        ("ptbxl_database.csv", "\x00\x01\n", "lacks the columns"),
        ("scp_statements.csv", "", "cannot be read as CSV"),
        ("scp_statements.csv", ",form\nNORM,1\n", "lacks the column diagnostic; found form"),
        ("scp_statements.csv", ",diagnostic\nSR,0\n", "no statement has diagnostic == 1"),
    ],
)
def test_wrong_ptbxl_tables_stop_with_the_files_name(
    tmp_path: Path,
    ptbxl_root: Path,
    name: str,
    text: str | None,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for table in ("ptbxl_database.csv", "scp_statements.csv"):
        shutil.copy(ptbxl_root / table, tmp_path)
    (tmp_path / name).unlink()
    if text is not None:
        (tmp_path / name).write_text(text)
    run("ptbxl", tmp_path, "--dest", tmp_path / "s", status=1)
    error = capsys.readouterr().err
    assert name in error and message in error
    assert not (tmp_path / "s").exists()


# MIMIC-IV-ECG -------------------------------------------------------------------------------------

#: MIMIC's order: aVF before aVL.
MIMIC_LEADS = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")


@pytest.fixture(scope="module")
def mimic_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mimic")
    lines = ["subject_id,study_id,file_name,ecg_time,path"]
    for number, patient in enumerate([10, 10, 11, 12, 13, 13, 12, 14]):
        study = 40_000_000 + number
        path = f"files/p{patient}/s{study}/{study}"
        lines.append(f"{patient},{study},{study},2180-07-23 08:44:00,{path}")
        digital = random_record(seed=number)
        digital[0, :number] = -32768
        write_record(root / path, digital, leads=MIMIC_LEADS, gain="200.0")
    (root / "record_list.csv").write_text("\n".join(lines) + "\n")
    return root


def test_mimic(mimic_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("mimic_iv_ecg", mimic_root, "--dest", tmp_path / "s", "--workers", 1, "--valid-records", 3)
    store = Store.open(tmp_path / "s")
    assert store.info.database == "mimic-iv-ecg"
    assert store.records["split"].tolist() == ["train"] * 5 + ["valid"] * 3
    assert store.records["record_id"].tolist() == [f"4000000{k}" for k in range(8)]
    assert store.records["patient_id"].tolist() == ["10", "10", "11", "12", "13", "13", "12", "14"]
    assert store.records["labels"].tolist() == [[]] * 8
    digital = random_record(seed=3)
    assert np.array_equal(store.read([3], ["aVL"])[0, 0], digital[5] * 5)
    assert np.array_equal(store.read([3], ["aVF"])[0, 0], digital[4] * 5)
    assert store.records["repaired"].tolist()[3] == "3 missing samples set to zero"
    assert read_manifest(tmp_path / "s" / "valid.tsv").record_ids == [
        "40000005", "40000006", "40000007",
    ]  # fmt: skip
    assert not (tmp_path / "s" / "test.tsv").exists()
    summary = capsys.readouterr().out
    assert "2 patients have records in train (2) and in valid" in summary
    assert "repaired: 7 (missing samples 7)" in summary


def test_mimic_split_by_patient(mimic_root: Path) -> None:
    listing = mimic_iv_ecg.list_records(mimic_root, 3, split_by_patient=True)
    records = list(listing.records)
    assert listing.total == len(records) == 6
    train = {record.patient_id for record in records if record.split == "train"}
    valid = {record.patient_id for record in records if record.split == "valid"}
    assert (train, valid) == ({"10", "11"}, {"12", "13", "14"})
    assert listing.left_out == {"train record of a patient in valid": 2}
    assert listing.notes == ()


def test_mimics_validation_is_the_papers_by_default(tmp_path: Path) -> None:
    rows = [f"{k},{k + 10**7},{k},t,files/{k}" for k in range(12_000)]
    (tmp_path / "record_list.csv").write_text(
        "\n".join(["subject_id,study_id,file_name,ecg_time,path", *rows])
    )
    options = ["mimic-iv-ecg", str(tmp_path), "--dest", "unused"]
    parser = prepare.argparse.ArgumentParser()
    prepare.add_arguments(parser)
    listing = mimic_iv_ecg.DATABASE.list_records(tmp_path, parser.parse_args(options))
    splits = [record.split for record in listing.records]
    assert splits == ["train"] * 7_000 + ["valid"] * 5_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject_id,study_id\n1,2\n", "lacks the columns path; found subject_id, study_id"),
        ("subject_id,study_id,path\n1,2,files/x\n", "has 1 rows, so 5000 validation records"),
        ('subject_id,study_id,path\n1,2,"x\n', "cannot be read as CSV"),
        ("subject_id,study_id,path\n1,2,3,4,5\n1\n1,2,3,4,5,6,7\n", "cannot be read as CSV"),
    ],
)
def test_a_wrong_mimic_list_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "record_list.csv").write_text(text)
    with pytest.raises(DatabaseError, match=f"record_list.csv: {message}"):
        mimic_iv_ecg.list_records(tmp_path)


def test_paths_in_a_list_stay_in_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "db"
    write_record(tmp_path / "outside", random_record())
    write_record(root / "a", random_record())
    rows = ["1,1,../outside", f"1,2,{tmp_path / 'outside'}", "1,3,x/../../outside", "1,,a", "1,4,a"]
    (root / "record_list.csv").write_text("\n".join(["subject_id,study_id,path", *rows]))
    run("mimic-iv-ecg", root, "--dest", tmp_path / "s", "--workers", 1, "--valid-records", 0)
    assert Store.open(tmp_path / "s").records["record_id"].tolist() == ["4"]
    assert "file outside folder 3" in capsys.readouterr().out
    assert "study_id or path is empty" in refused(tmp_path / "s")["a"]


# Any folder ---------------------------------------------------------------------------------------


def test_a_folders_last_records_can_be_for_validation(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_record(tmp_path / "in" / name, random_record(50))
    listing = wfdb_folder.list_records(tmp_path / "in", valid_records=1)
    assert [(r.record_id, r.split) for r in listing.records] == [
        ("a", "train"),
        ("b", "train"),
        ("c", "valid"),
    ]
    for wrong in (-1, 3):
        with pytest.raises(DatabaseError, match="--valid-records"):
            wfdb_folder.list_records(tmp_path / "in", valid_records=wrong)


def test_real_folder(real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = real_data / "challenge2021"
    run("wfdb_folder", root, "--dest", tmp_path / "s", "--workers", 2, "--split", "test")
    store = Store.open(tmp_path / "s")
    names = sorted(path.stem for path in root.glob("*.hea"))
    assert store.records["record_id"].tolist() == names and len(names) == 25
    assert read_manifest(tmp_path / "s" / "test.tsv").record_ids == names
    assert set(store.records["repaired"]) == {""}
    assert "25 records read, 25 stored" in capsys.readouterr().out


def test_a_folder_is_searched_in_order_and_segments_are_no_records(tmp_path: Path) -> None:
    for name in ("b/2", "b/10", "a/x", "top"):
        write_record(tmp_path / name, random_record(50))
    write_record(tmp_path / "b/long_1", random_record(50))
    (tmp_path / "b/long.hea").write_text("# master\nlong/1 12 500 50\nlong_1 50\n")
    listing = wfdb_folder.list_records(tmp_path)
    assert [record.source for record in listing.records] == ["top", "a/x", "b/10", "b/2", "b/long"]
    assert listing.total == 5


@pytest.mark.parametrize("name", ["r", "r.hea"])
def test_a_single_record_may_be_given(tmp_path: Path, name: str) -> None:
    write_record(tmp_path / "r", random_record())
    write_record(tmp_path / "other", random_record())
    run("wfdb-folder", tmp_path / name, "--dest", tmp_path / "s", "--workers", 1)
    assert Store.open(tmp_path / "s").records["record_id"].tolist() == ["r"]


def test_bad_records_are_listed_and_do_not_stop_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "db"
    write_record(root / "a_good", random_record())
    write_record(root / "b_lead", random_record(leads=11), leads=STANDARD_LEADS[:11])
    truncated = write_record(root / "c_short", random_record()).with_suffix(".dat")
    truncated.write_bytes(truncated.read_bytes()[:-2])
    outside = write_record(root / "d_outside", random_record())
    outside.write_text(outside.read_text().replace("d_outside.dat", "../db/a_good.dat"))
    write_record(root / "e_units", random_record(), units="mmHg")
    write_record(root / "f_gone", random_record()).with_suffix(".dat").unlink()
    (root / "g_noise.hea").write_bytes(b"\x00\xff\n")
    odd = write_record(root / "h_odd", random_record())
    odd.write_text(odd.read_text().replace(".dat 16 ", ".dat 516 "))  # it is no FLAC file
    write_record(root / "z_good", random_record(seed=1), rate=250)

    run("wfdb-folder", root, "--dest", tmp_path / "s", "--workers", 1)
    store = Store.open(tmp_path / "s")
    assert store.records["record_id"].tolist() == ["a_good", "z_good"]
    reasons = refused(tmp_path / "s")
    expected = {
        "b_lead": "lacks V6",
        "c_short": "c_short.dat: 119998 bytes found, 120000 expected",
        "d_outside": "d_outside.hea: names the signal file '../db/a_good.dat'",
        "e_units": "e_units.hea: lead I is in 'mmHg'",
        "f_gone": "f_gone.dat: no such file",
        "g_noise": "g_noise.hea: ",
        "h_odd": "h_odd.hea: wfdb cannot read it",
    }
    assert reasons.keys() == expected.keys()
    for source, reason in expected.items():
        assert reason in reasons[source] and source in reasons[source]
    summary = capsys.readouterr().out
    assert "9 records read, 2 stored" in summary
    assert "refused: 7" in summary and "missing lead 1" in summary
    assert "repaired: 1 (resampled 1, cropped 1)" in summary
    assert str(tmp_path / "s" / "refused.tsv") in summary


def test_required_leads_are_a_choice(tmp_path: Path) -> None:
    root = tmp_path / "db"
    write_record(root / "one", random_record(leads=1), leads=["i"])
    write_record(root / "two", random_record(leads=2), leads=["V1", "II"])
    run("wfdb-folder", root, "--dest", tmp_path / "s", "--workers", 1, "--leads", "I")
    store = Store.open(tmp_path / "s")
    assert store.records["record_id"].tolist() == ["one"]
    assert store.records["lead_mask"].tolist() == [1]
    assert np.array_equal(store.signals[0, 0], random_record(leads=1)[0])
    assert not store.signals[0, 1:].any()
    assert "lacks I" in refused(tmp_path / "s")["two"]


@pytest.mark.parametrize("arguments", [["--leads", "I,VX"], ["--leads", ""], ["--workers", "0"]])
def test_wrong_options_are_refused(tmp_path: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        prepare.main(["wfdb-folder", str(tmp_path), "--dest", str(tmp_path / "s"), *arguments])
    assert caught.value.code == 2


def test_when_every_record_is_refused_the_reasons_remain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "db"
    for name in ("a", "b"):
        write_record(root / name, random_record(), units="C")
    run("wfdb-folder", root, "--dest", tmp_path / "s", "--workers", 1, status=1)
    assert not (tmp_path / "s").exists()
    text = (tmp_path / "s.refused.tsv").read_text()
    assert text.startswith("source\treason\na\ta.hea: lead I is in 'C'")
    assert len(text.splitlines()) == 3
    error = capsys.readouterr().err
    assert "none of 2 records can be used" in error and "s.refused.tsv" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["db", "s.refused.tsv"]


@pytest.mark.parametrize("name", ["empty", "none"])
def test_empty_and_absent_folders_are_errors(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    run("wfdb-folder", tmp_path / name, "--dest", tmp_path / "s", status=1)
    assert str(tmp_path / name) in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_overwriting_needs_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_record(tmp_path / "db" / "r", random_record())
    arguments = ("wfdb-folder", tmp_path / "db", "--dest", tmp_path / "s", "--workers", 1)
    run(*arguments)
    run(*arguments, "--split", "valid", status=1)
    assert "is there already" in capsys.readouterr().err
    run(*arguments, "--overwrite", "--split", "valid")
    assert (tmp_path / "s" / "valid.tsv").exists()
    run("wfdb-folder", tmp_path / "db", "--dest", tmp_path / "db", "--overwrite", status=1)
    assert "is not a store" in capsys.readouterr().err
    assert (tmp_path / "db" / "r.dat").exists()


# Workers, interruption, a full disk ---------------------------------------------------------------


def test_the_store_does_not_depend_on_the_workers(tmp_path: Path) -> None:
    root = tmp_path / "db"
    for number in range(40):
        rate = (500, 257, 1000)[number % 3]
        path = root / f"r{number:02d}"
        header = write_record(path, random_record(3000 + 100 * number, seed=number), rate=rate)
        if number % 7 == 3:
            header.with_suffix(".dat").unlink()
    stores = []
    for workers in (1, 2):
        dest = tmp_path / f"s{workers}"
        prepare_database(wfdb_folder.list_records(root), dest, workers=workers)
        stores.append(content(dest))
    assert stores[0] == stores[1]
    assert len(stores[0]["signals.i16"]) == 34 * 12 * 5000 * 2


def _double(value: int) -> int:
    if value < 0:
        raise ValueError(f"no {value}")
    return 2 * value


@pytest.mark.parametrize("workers", [1, 2])
def test_ordered_map(workers: int) -> None:
    assert list(ordered_map(_double, range(100), workers, 100, "d")) == list(range(0, 200, 2))
    assert list(ordered_map(_double, [], workers, 0, "d")) == []
    with pytest.raises(ValueError, match="no -1"):
        list(ordered_map(_double, [1, -1, 2], workers, 3, "d"))


def test_ordered_map_reads_no_further_than_a_little_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for value in range(10_000):
            taken.append(value)
            yield value

    results = ordered_map(_double, items(), 2, 10_000, "d")
    assert next(results) == 0
    assert len(taken) < 200
    results.close()
    with pytest.raises(ValueError, match="at least 1"):
        next(ordered_map(_double, [1], 0, 1, "d"))


@pytest.fixture
def heeding_ctrl_c() -> Iterator[None]:
    """A shell lets what it starts in the background ignore Ctrl-C, tests too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeding_ctrl_c")
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_an_interrupted_run_says_how_to_go_on(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        write_record(tmp_path / "db" / name, random_record())

    def reader(path: Path) -> object:
        if path.name == "c":
            os.kill(os.getpid(), signal.SIGTERM if how == "SIGTERM" else signal.SIGINT)
        return read_recording(path)

    interrupted = functools.partial(prepare_database, reader=reader)
    monkeypatch.setattr("selfmis_plugin.preparation.run.prepare_database", interrupted)
    before = signal.getsignal(signal.SIGTERM)
    run("wfdb-folder", tmp_path / "db", "--dest", tmp_path / "s", "--workers", 1, status=130)
    error = capsys.readouterr().err
    assert "interrupted; 0 of 3 records are prepared and kept in" in error
    assert "the same command goes on from there" in error
    assert not (tmp_path / "s").exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_bug_in_a_reader_costs_one_record(tmp_path: Path) -> None:
    for name in "abc":
        write_record(tmp_path / "db" / name, random_record())

    def reader(path: Path) -> object:
        if path.name == "b":
            raise ZeroDivisionError("odd")
        return read_recording(path)

    listing = wfdb_folder.list_records(tmp_path / "db")
    summary = prepare_database(listing, tmp_path / "s", reader=reader)
    assert (summary.read, summary.stored) == (3, 2)
    assert refused(tmp_path / "s") == {"b": "b: ZeroDivisionError: odd"}


def _small_files() -> None:
    # Stands in for a full disk: writing beyond 250 kB fails.
    resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000))


def test_a_full_disk_is_an_error_with_the_way_on(tmp_path: Path) -> None:
    for number in range(4):
        write_record(tmp_path / "db" / f"r{number}", random_record())
    process = subprocess.run(
        [sys.executable, "manifests/wfdb_folder.py", tmp_path / "db", "--dest", tmp_path / "s",
         "--workers", "1"],
        cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": _path()}, preexec_fn=_small_files,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 1, process.stderr
    assert "File too large" in process.stderr and "Traceback" not in process.stderr
    assert "the same command goes on" in process.stderr
    assert not (tmp_path / "s").exists()


# The scripts --------------------------------------------------------------------------------------


def _path() -> str:
    return os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))


@pytest.mark.parametrize("script", ["ptbxl", "mimic_iv_ecg"])
def test_scripts(script: str, ptbxl_root: Path, mimic_root: Path, tmp_path: Path) -> None:
    root = {"ptbxl": ptbxl_root, "mimic_iv_ecg": mimic_root}[script]
    more = ["--valid-records", "2"] if script == "mimic_iv_ecg" else ["--workers", "1"]
    process = subprocess.run(
        [sys.executable, REPOSITORY / "manifests" / f"{script}.py", root, "--dest", "s", *more],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": _path()}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert "stored in" in process.stdout
    assert "100%" in process.stderr  # the progress bar
    assert len(Store.open(tmp_path / "s")) == {"ptbxl": 11, "mimic_iv_ecg": 8}[script]


def test_every_database_has_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(known_databases()) >= {"ptbxl", "mimic-iv-ecg", "wfdb-folder", "physionet2021"}
    with pytest.raises(SystemExit) as caught:
        prepare.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for name in (*known_databases(), "synthetic"):
        assert name in text
    with pytest.raises(SystemExit) as caught:
        prepare.main(["nonsense"])
    assert caught.value.code == 2


def test_preparing_needs_no_pytorch() -> None:
    code = "import sys, selfmis_plugin.cli.prepare; assert 'torch' not in sys.modules"
    process = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": _path()}, check=False
    )
    assert process.returncode == 0


def test_tables_keep_ids_as_text(tmp_path: Path) -> None:
    write_record(tmp_path / "db" / "007", random_record())
    (tmp_path / "db" / "record_list.csv").write_text("subject_id,study_id,path\n00012,007,007\n")
    run("mimic-iv-ecg", tmp_path / "db", "--dest", tmp_path / "s", "--workers", 1,
        "--valid-records", 0)  # fmt: skip
    table = pd.read_parquet(tmp_path / "s" / "records.parquet")
    assert table[["record_id", "patient_id"]].to_numpy().tolist() == [["007", "00012"]]
