"""Folders of ECG files in any mixture of formats, and that no name gets out of them."""

from __future__ import annotations

import csv
import datetime
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import edfio
import numpy as np
import numpy.typing as npt
import pytest
import scipy.io
from matplotlib.text import Text

from selfmis_plugin.cli.main import main
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.store import Store
from selfmis_plugin.synthetic import simulate
from tests.checkpoint_files import write_classifier
from tests.device_files import RATE, STEP, WRITERS, write_aecg, write_muse
from tests.wfdb_files import write_record

MARK = "Mustermann"
#: Files of one recording, and more that are none or cannot be read.
COUNT = len(WRITERS) + 5


@pytest.fixture(scope="module")
def steps() -> npt.NDArray[np.int16]:
    signal = simulate(7, patient=1, infarctions=()).signal.astype(np.float64)
    return np.rint(signal / STEP).astype(np.int16)


def write_folder(root: Path, steps: npt.NDArray[np.int16], mark: str) -> list[str]:
    """The one recording in every format, with a mark in every field and name; paths in order."""
    (root / mark).mkdir(parents=True)
    for number, (format, write) in enumerate(WRITERS.items()):
        leads = STANDARD_LEADS[:6] if "Kardia" in format else STANDARD_LEADS
        write(root / mark / f"{number}-{mark}", steps[: len(leads)], leads, mark)
    write_record(root / f"{mark}-w", steps.astype(np.int64) * STEP)
    header = root / f"{mark}-w.hea"
    header.write_text(header.read_text() + f"#{mark}\n")
    millivolts = steps * STEP / 1000
    signals = [
        edfio.EdfSignal(row, RATE, label=lead, physical_dimension="mV", physical_range=(-32, 32))
        for lead, row in zip(STANDARD_LEADS, millivolts, strict=True)
    ]
    edfio.Edf(signals, patient=edfio.Patient(name=mark, code=mark)).write(root / f"{mark}.edf")
    table = np.column_stack([np.arange(steps.shape[1]) / RATE, millivolts.T])
    names = ["time (s)", *(f"{lead} (mV)" for lead in STANDARD_LEADS)]
    np.savetxt(root / f"{mark}.csv", table, "%.3f", ",", header=",".join(names), comments="")
    scipy.io.savemat(root / f"{mark}.mat", {"feats": millivolts, "curr_sample_rate": RATE})
    np.save(root / f"{mark}.npy", steps.T)
    files = [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]
    return sorted(name for name in files if not name.endswith(".dat"))


def prepare(root: Path, dest: Path, *options: str) -> int:
    call = ["prepare", "ecg_files", str(root), "--dest", str(dest), "--workers", "1"]
    said = ["--rate", "500", "--channels", ",".join(STANDARD_LEADS)]
    return main([*call, *said, *options])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, steps: npt.NDArray[np.int16]) -> Path:
    root = tmp_path_factory.mktemp("files") / "in"
    write_folder(root, steps, MARK)
    return root


@pytest.fixture(scope="module")
def paths(folder: Path) -> list[str]:
    files = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    return sorted(name for name in files if not name.endswith(".dat"))


def write_labels(path: Path, rows: list[list[str]], head: str) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head.split(","))
        writer.writerows(rows)
    return path


def test_any_mixture_becomes_one_store(
    tmp_path: Path, folder: Path, paths: list[str], steps: npt.NDArray[np.int16],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert len(paths) == COUNT
    id_list = tmp_path / "ids.csv"
    options = ("--leads", "I,II", "--split", "test", "--id-list", str(id_list))
    assert prepare(folder, tmp_path / "store", *options, "--valid-fraction", "0.2") == 1
    assert "--valid-fraction would not be used" in capsys.readouterr().err
    assert prepare(folder, tmp_path / "store", *options, "--units", str(STEP)) == 0
    said = capsys.readouterr().out
    # What a file says goes before what the user does: the array alone says nothing.
    assert prepare(folder, tmp_path / "store2", *options) == 0
    store = Store.open(tmp_path / "store2")
    assert stat.S_IMODE(id_list.stat().st_mode) == 0o600
    with id_list.open(encoding="utf-8", newline="") as file:
        listed = {row["record_id"]: row["file"] for row in csv.DictReader(file)}
    assert list(listed.values()) == paths and list(listed) == [f"{k:05d}" for k in range(1, 15)]
    records = store.records
    (array,) = [number for number, path in listed.items() if path.endswith(".npy")]
    assert list(records["record_id"]) == [number for number in listed if number != array]
    assert "unknown unit" in (tmp_path / "store2/refused.tsv").read_text()
    microvolts = steps.astype(np.int64) * STEP
    whole = Store.open(tmp_path / "store")
    np.testing.assert_array_equal(np.asarray(whole.signals[int(array) - 1]), microvolts)
    np.testing.assert_array_equal(np.delete(whole.signals, int(array) - 1, axis=0), store.signals)
    for row, number in enumerate(records["record_id"]):
        leads = 6 if listed[number].endswith(f"/8-{MARK}") else 12
        np.testing.assert_array_equal(np.asarray(store.signals[row])[:leads], microvolts[:leads])
    assert "14 records read, 14 stored" in said and "test 14" in said
    assert set(records["split"]) == {"test"} and list(records["patient_id"]) == list(
        records["record_id"]
    )


HEADS = {
    "file,labels,patient": lambda k: [("AMI;IMI", "AMI", "")[k % 3], f"{MARK}-{k // 2}"],
    "file,AMI,IMI,patient": lambda k: [
        *(("1", "1"), ("1", "0"), ("", "0"))[k % 3], f"{MARK}-{k // 2}"
    ],
}  # fmt: skip


@pytest.mark.parametrize("head", HEADS)
def test_labels_patients_and_splits_of_a_table(
    tmp_path: Path, folder: Path, paths: list[str], head: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # By the path, or by the name where it is the only one; one file has no row, one row no file.
    rows = [
        [path if k % 2 else os.path.basename(path), *HEADS[head](k)]
        for k, path in enumerate(paths[1:], start=1)
    ]
    rows.append(["nowhere.xml", *rows[0][1:]])
    table = write_labels(tmp_path / "labels.csv", rows, head)
    options = ("--leads", "I", "--units", "mV", "--labels", str(table))
    assert prepare(folder, tmp_path / "store", *options) == 0
    said = capsys.readouterr().out
    assert "left out: 1 (no row in the table 1)" in said
    assert "1 rows of labels.csv name no file in the folder" in said
    store = Store.open(tmp_path / "store")
    records = store.records
    assert len(records) == COUNT - 1
    wanted = [["AMI", "IMI"], ["AMI"], []]
    for record, labels in zip(records["record_id"], records["labels"], strict=True):
        assert list(labels) == wanted[(int(record) - 1) % 3]
    assert store.info.label_sets == {"labels": ("AMI", "IMI"), "infarction": ("AMI", "IMI")}
    # The patients' numbers are none of the table's.
    whose = dict(zip(records["record_id"], records["patient_id"], strict=True))
    assert whose["00003"] == whose["00004"] != whose["00005"] == whose["00006"]
    assert all(re.fullmatch(r"patient-\d{5}", name) for name in whose.values())
    splits = records.groupby("patient_id")["split"].nunique()
    assert (splits == 1).all() and set(records["split"]) == {"train", "valid", "test"}


@pytest.mark.parametrize("head", ["file,labels", "file,any infarction"])
def test_a_label_of_a_derived_ones_name_is_refused(
    tmp_path: Path, folder: Path, paths: list[str], head: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "AMI; Any infarction" if head == "file,labels" else "1"
    table = write_labels(tmp_path / "labels.csv", [[path, said] for path in paths], head)
    assert prepare(folder, tmp_path / "store", "--leads", "I", "--labels", str(table)) == 1
    error = capsys.readouterr().err
    assert f"{table}: a label is called" in error and "call it otherwise" in error
    assert not (tmp_path / "store").exists()


def test_ids_of_the_users_own(
    tmp_path: Path, folder: Path, paths: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [[path, f"case {k}", f"person {k // 3}"] for k, path in enumerate(paths)]
    table = write_labels(tmp_path / "ids.csv", rows, "file,id,patient")
    options = ("--leads", "I", "--units", "mV")
    assert prepare(folder, tmp_path / "a", *options, "--ids", str(table)) == 0
    records = Store.open(tmp_path / "a").records
    assert list(records["record_id"]) == [row[1] for row in rows]
    assert list(records["patient_id"]) == [row[2] for row in rows]
    assert prepare(folder, tmp_path / "b", *options, "--ids", "filename") == 0
    names = list(Store.open(tmp_path / "b").records["record_id"])
    assert names[0] == f"{MARK}-w" and f"{MARK}/0-{MARK}" in names and f"{MARK}.csv" in names
    short = write_labels(tmp_path / "short.csv", rows[1:], "file,id,patient")
    capsys.readouterr()
    assert prepare(folder, tmp_path / "c", *options, "--ids", str(short)) == 1
    assert "has no row for 1 of 14 files" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("head", "row", "said"),
    [
        ("file,AMI", ["{}", "maybe"], "row 2: column AMI is a label, and holds neither 1 nor 0"),
        ("file,labels,split", ["{}", "AMI", "dev"], "row 2: split must be one of train"),
        ("file,AMI,sex", ["{}", "1", "diverse"], "row 2: sex must be one of female, male, f, m"),
        ("file,labels,age", ["{}", "AMI", "131"], "row 2: age must be years, 0 to 130, or empty"),
        ("name,labels", ["{}", "AMI"], "lacks the columns file"),
        ("file,labels", ["other.xml", "AMI"], "none of its files is below"),
    ],
)
def test_a_table_that_cannot_be_used(
    tmp_path: Path, folder: Path, paths: list[str], capsys: pytest.CaptureFixture[str],
    head: str, row: list[str], said: str,
) -> None:  # fmt: skip
    table = write_labels(tmp_path / "t.csv", [[cell.format(paths[0]) for cell in row]], head)
    assert prepare(folder, tmp_path / "store", "--labels", str(table)) == 1
    assert said in capsys.readouterr().err and not (tmp_path / "store").exists()


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory, steps: npt.NDArray[np.int16]) -> Path:
    root = tmp_path_factory.mktemp("four") / "in"
    root.mkdir()
    for number in range(1, 5):
        np.save(root / f"{number}.npy", steps[:1].T)
    return root


def prepare_four(four: Path, dest: Path, head: str, rows: list[str], *options: str) -> int:
    table = write_labels(dest.parent / "t.csv", [row.split(",") for row in rows], head)
    call = ["prepare", "ecg_files", str(four), "--dest", str(dest), "--workers", "1"]
    call += ["--rate", "500", "--units", str(STEP), "--channels", "I", "--leads", "I"]
    return main([*call, "--labels", str(table), *options])


@pytest.mark.parametrize(
    ("head", "rows", "options", "said"),
    [
        # One patient in two splits, whether all rows have one or not.
        ("file,labels,split,patient", ["1.npy,IMI,train,a", "2.npy,NORM,test,a"], (),
         "rows 2 and 3 are of one patient, and in the splits train and test"),
        ("file,labels,split,patient",
         ["1.npy,IMI,test,a", "2.npy,NORM,,a", "3.npy,NORM,train,a"], (), "rows 2 and 4 are of"),
        # What would not be used.
        ("file,labels,split", ["1.npy,IMI,train"], ("--split", "test"), "--split test would not"),
        ("file,labels,split", ["1.npy,IMI,train"], ("--test-fraction", "0.5"), "would not be used"),
        ("file,labels,patient_id", ["1.npy,IMI,a"], (),
         "column patient_id would not be used beside the column labels: call it patient"),
        ("file,labels,gender", ["1.npy,IMI,f"], (), "column gender would not be used"),
        ("file,labels,IMI", ["1.npy,NORM,1"], (), "column IMI would not be used"),
        ("file,labels,Labels", ["1.npy,NORM,IMI"], (), "2 columns are called labels"),
        ("file,IMI,Subject", ["1.npy,1,a"], (), "neither 1 nor 0; call it patient, or take it out"),
        # One label in two spellings.
        ("file,labels", ["1.npy,imi"], (), "'imi' and 'IMI' differ by their letters' case alone"),
        ("file,Norm,NORM", ["1.npy,1,0"], (), "'NORM' and 'Norm' differ by"),
    ],
)  # fmt: skip
def test_a_table_of_which_something_would_be_lost_is_refused(
    four: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    head: str, rows: list[str], options: tuple[str, ...], said: str,
) -> None:  # fmt: skip
    assert prepare_four(four, tmp_path / "store", head, rows, *options) == 1
    assert said in capsys.readouterr().err and not (tmp_path / "store").exists()


def test_a_label_that_holds_others_is_refused(
    four: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_labels(tmp_path / "t.csv", [["1.npy", "IMI, x"], ["2.npy", "x"]], "file,labels")
    assert prepare(four, tmp_path / "store", "--labels", str(table)) == 1
    assert "the label 'IMI, x' holds others, apart by commas" in capsys.readouterr().err


def test_there_is_no_file_to_show_beside_a_record(
    four: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        prepare_four(four, tmp_path / "store", "file,labels", ["1.npy,x"], "--split", "test") == 0
    )
    shown = ["show", str(tmp_path / "store"), "--record", "00001"]
    assert main([*shown, "--raw", str(four), "--out", str(tmp_path / "p.png")]) == 1
    assert "--raw cannot be used" in capsys.readouterr().err and not (tmp_path / "p.png").exists()


def test_a_patients_records_follow_the_row_that_says_the_split(
    four: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["1.npy,IMI,test,a", "2.npy,NORM,,a", "3.npy,IMI,,b", "4.npy,NORM,train,b"]
    head = "File,Labels,Split,PATIENT,"
    assert prepare_four(four, tmp_path / "store", head, [f"{row}," for row in rows]) == 0
    records = Store.open(tmp_path / "store").records
    assert list(records["split"]) == ["test", "test", "train", "train"]
    assert "labels of 4 files: IMI 2, NORM 2" in capsys.readouterr().out
    # Where every row says it, nobody is drawn.
    said = [f"{k}.npy,IMI,{'train' if k < 3 else 'test'},{'aabb'[k - 1]}" for k in range(1, 5)]
    assert prepare_four(four, tmp_path / "said", head[:-1], said) == 0
    assert list(Store.open(tmp_path / "said").records["split"]) == ["train"] * 2 + ["test"] * 2
    # Shares are of all patients, with those whose split is said.
    rows = ["1.npy,IMI,test,a", "2.npy,NORM,,b", "3.npy,IMI,,c", "4.npy,NORM,,d"]
    shares = ("--test-fraction", "0.25", "--valid-fraction", "0.25")
    assert prepare_four(four, tmp_path / "drawn", head[:-1], rows, *shares) == 0
    drawn = list(Store.open(tmp_path / "drawn").records["split"])
    assert drawn[0] == "test" and sorted(drawn[1:]) == ["train", "train", "valid"]


def test_ids_say_what_of_their_table_would_not_be_used(
    four: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [[f"{k}.npy", f"case{k}", "a", "IMI"] for k in range(1, 5)]
    table = write_labels(tmp_path / "t.csv", rows, "file,id,patient_id,labels")
    options = ("--units", str(STEP), "--channels", "I", "--leads", "I", "--split", "test")
    assert prepare(four, tmp_path / "store", "--ids", str(table), *options) == 1
    assert "column patient_id would not be used" in capsys.readouterr().err
    both = write_labels(tmp_path / "b.csv", rows, "file,id,patient,labels")
    tables = ("--ids", str(both), "--labels", str(both))
    assert prepare(four, tmp_path / "store", *tables, *options) == 0
    assert set(Store.open(tmp_path / "store").records["patient_id"]) == {"a"}
    other = write_labels(tmp_path / "o.csv", [["1.npy", "IMI", "b"]], "file,labels,patient")
    alone = write_labels(tmp_path / "i.csv", [row[:3] for row in rows], "file,id,patient")
    tables = ("--ids", str(alone), "--labels", str(other))
    assert prepare(four, tmp_path / "other", *tables, *options) == 1
    assert "row 2 of --labels names another patient than --ids" in capsys.readouterr().err


def of_a_woman(root: Path, steps: npt.NDArray[np.int16]) -> list[str]:
    """Files that say that they are of a woman of 71 years, one of 93, and one of nobody."""
    root.mkdir()
    path = write_aecg(root / "a.xml", steps, STANDARD_LEADS)
    sex, born = '<administrativeGenderCode code="F"/>', '<birthTime value="19480301"/>'
    end = "</subjectDemographicPerson>"
    path.write_text(path.read_text().replace(end, f"{sex}{born}{end}"))
    write_record(root / "b", steps.astype(np.int64) * STEP)
    header = root / "b.hea"
    header.write_text(header.read_text() + "# Age: 93\n# Sex: Female\n")
    signals = [
        edfio.EdfSignal(row, RATE, label=lead, physical_dimension="mV", physical_range=(-32, 32))
        for lead, row in zip(STANDARD_LEADS, steps * STEP / 1000, strict=True)
    ]
    patient = edfio.Patient(sex="F", birthdate=datetime.date(1948, 3, 1))
    recording = edfio.Recording(startdate=datetime.date(2020, 1, 2))
    edfio.Edf(signals, patient=patient, recording=recording).write(root / "c.edf")
    np.save(root / "d.npy", steps.T)
    return ["a.xml", "b.hea", "c.edf", "d.npy"]


def test_sex_and_age_are_those_of_the_files_unless_the_table_says_them(
    tmp_path: Path, steps: npt.NDArray[np.int16], capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "in"
    names = of_a_woman(root, steps)

    def persons(store: str, *options: str) -> list[tuple[object, object]]:
        said = ("--units", str(STEP), "--split", "test")
        assert prepare(root, tmp_path / store, *said, *options) == 0
        records = Store.open(tmp_path / store).records.astype(object)
        return [
            (sex if isinstance(sex, str) else None, None if np.isnan(age) else age)
            for sex, age in zip(records["sex"], records["age"], strict=True)
        ]

    own = [("female", 71), ("female", 90), ("female", 71), (None, None)]
    assert persons("plain") == own
    cells = [["M", ""], ["", "56.5"], ["male", "95"], ["Female", "0"]]
    rows = [[name, "AMI", *cell] for name, cell in zip(names, cells, strict=True)]
    for head in ("file,labels,sex,age", "file,AMI,sex,age"):
        table = [[row[0], row[1] if "labels" in head else "1", *row[2:]] for row in rows]
        labels = write_labels(tmp_path / f"{head}.csv", table, head)
        assert persons(head, "--labels", str(labels)) == [
            ("male", 71), ("female", 56.5), ("male", 90), ("female", 0),
        ]  # fmt: skip
        assert Store.open(tmp_path / head).info.label_sets["labels"] == ("AMI",)
    # What one evaluates by.
    checkpoint = write_classifier(tmp_path / "c.pt", labels=("AMI", "IMI"))
    arguments = ["--checkpoint", str(checkpoint), "--data", str(tmp_path / head), "--by", "sex,age"]
    assert main(["evaluate", *arguments]) == 0
    assert "by age, each group" in capsys.readouterr().out


def test_a_real_file_of_a_hospital_says_sex_and_age(tmp_path: Path, real_data: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    shutil.copy(real_data / "formats/aecg_fda.xml", root)
    assert main(["prepare", "ecg_files", str(root), "--dest", str(tmp_path / "s"), "--split",
                 "test", "--leads", "I"]) == 0  # fmt: skip
    (record,) = Store.open(tmp_path / "s").records.to_dict("records")
    assert (record["sex"], record["age"]) == ("male", 46)


@pytest.mark.parametrize("option", ["--labels", "--ids"])
def test_a_table_that_is_not_there_is_asked_for_by_its_option(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    typo = tmp_path / "typo.csv"
    assert prepare(folder, tmp_path / "store", option, str(typo)) == 1
    error = capsys.readouterr().err
    assert f"{typo}: no such file; give the table with {option}" in error


def texts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Whatever can be read in the files of a folder, those in archives too, and their names."""
    for path in folder.rglob("*"):
        yield path.name, path.name.encode()
        if path.is_file():
            yield path.name, path.read_bytes()
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    yield from ((path.name, archive.read(name)) for name in archive.namelist())
        if path.suffix == ".parquet":
            import pandas as pd

            yield path.name, pd.read_parquet(path).to_csv().encode()


def test_no_name_gets_out(
    tmp_path: Path, steps: npt.NDArray[np.int16], capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Neither of files nor of what is in them: not into stores, pictures, pages or messages."""
    root, out = tmp_path / "in", tmp_path / "out"
    mark = "Zzyzxname"
    paths = write_folder(root, steps, mark)
    # Damaged, sealed, without leads, without numbers, without its signals, and no ECG at all.
    write_aecg(root / f"{mark}-cut.xml", steps, STANDARD_LEADS, mark)
    (root / f"{mark}-cut.xml").write_bytes((root / f"{mark}-cut.xml").read_bytes()[:5000])
    (root / f"{mark}-sealed.csv").write_bytes(b"Salted__" + mark.encode() * 9)
    write_muse(root / f"{mark}-other.xml", steps[:1], [mark], mark)
    (root / f"{mark}-words.csv").write_text(f"{mark},{mark} (mV)\n{mark},{mark}\n" * 50)
    header = f"{mark}-bad 1 500 5000\n{mark}.nowhere 16 200 16 0 {mark}\n"
    (root / f"{mark}-bad.hea").write_text(header)
    (root / f"{mark}.pdf").write_bytes(b"%PDF" + mark.encode())
    rows = [[path, "AMI" if k % 2 else "", f"{mark}{k}"] for k, path in enumerate(paths)]
    table = write_labels(tmp_path / "labels.csv", rows, "file,labels,patient")
    model = write_classifier(tmp_path / "c.pt", labels=("NORM", "AMI", "IMI"))
    out.mkdir()
    monkeypatch.chdir(out)
    drawn: list[str] = []
    set_text = Text.set_text
    monkeypatch.setattr(
        Text, "set_text", lambda self, text: drawn.append(text) or set_text(self, text)
    )

    def told(*call: str) -> str:
        status = main(list(call))
        said = "".join(capfd.readouterr())
        assert status == 0, said
        assert mark not in said
        for encoding in ("utf-8", "utf-16-le"):
            found = [name for name, text in texts(out) if mark.encode(encoding) in text]
            assert not found
        return said

    call = ["prepare", "ecg_files", str(root), "--rate", "500", "--units", "mV", "--leads", "I,II"]
    call += ["--channels", ",".join(STANDARD_LEADS), "--split", "test"]
    said = told(*call, "--dest", "store", "--workers", "2")
    assert "14 stored" in said and "refused: 5" in said and "encrypted or packed file 1" in said
    told(*call, "--dest", "store", "--labels", str(table), "--overwrite", "--workers", "1")
    records = Store.open("store").records
    assert set(records["labels"].map(tuple)) == {("AMI",), ()}
    # What a run that is not finished keeps.
    told(*call, "--dest", "parts", "--part", "1/2")
    told("show", "store", "--out", "overview.svg")
    told("show", "store", "--record", records["record_id"][0], "--out", "record.svg")
    judged = ["--data", "store", "--draws", "20"]
    told("evaluate", "--checkpoint", str(model), *judged, "--json", "e.json", "--predictions",
         "p.parquet")  # fmt: skip
    told("report", "--checkpoint", str(model), *judged, "--dest", "report")
    told("embed", "--checkpoint", str(model), "--data", "store", "--split", "test", "--out",
         "m.parquet")  # fmt: skip
    pictured = " ".join(map(str, drawn))
    assert records["record_id"][0] in pictured and mark not in pictured
    assert any(mark.encode() in text for _, text in texts(root))  # where it would be seen
