"""``selfmis prepare physionet2021``: codes, sources, splits, and PTB-XL's own folds."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from selfmis_plugin.cli import prepare
from selfmis_plugin.data.store import Store, read_manifest
from selfmis_plugin.preparation.databases.physionet2021 import (
    INFARCTION,
    SCORED,
    list_records,
    parse_notes,
)
from selfmis_plugin.preparation.listing import DatabaseError
from tests.wfdb_files import random_record, write_record

REPOSITORY = Path(__file__).resolve().parents[2]


def write_challenge_record(
    path: Path,
    dx: str | None = "426783006",
    sex: str = "Male",
    samples: int = 5000,
    space: str = " ",
) -> Path:
    """Write a header over a MATLAB 4 file of one int16 matrix, as the Challenge has them."""
    digital = random_record(samples, seed=sum(path.name.encode())).astype(np.int16)
    header = write_record(path, digital, offset=24)
    path.with_suffix(".dat").unlink()
    scipy.io.savemat(path.with_suffix(".mat"), {"val": digital}, format="4")
    notes = [f"#{space}Age: 60", f"#{space}Sex: {sex}"]
    notes += [f"#{space}Dx: {dx}"] if dx is not None else []
    text = header.read_text().replace(".dat", ".mat") + "\n".join(notes) + "\n"
    header.write_text(text)
    return header


@pytest.fixture(scope="module")
def challenge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A download of three sources in the layout of PhysioNet."""
    root = tmp_path_factory.mktemp("challenge")
    georgia = root / "training/georgia"
    write_challenge_record(georgia / "g1/E00001", "284470004,164865005,284470004")
    write_challenge_record(georgia / "g1/E00002", "63593006, 17338001", "Female", space="")
    write_challenge_record(georgia / "g2/E01000", "Unknown")
    write_challenge_record(georgia / "g2/E01001", "sinus")
    (georgia / "g2/E01002.mat").write_bytes(b"without header")
    write_challenge_record(root / "training/ningbo/g1/JS00003", None)
    for number in range(1, 5):
        sex = "Female" if number % 2 else "Male"
        write_challenge_record(root / f"training/ptb-xl/g1/HR{number:05d}", "67741000119109", sex)
    (root / "index.html").write_text("not a record")
    return root


def write_table(path: Path, sexes: str = "101", folds: tuple[int, ...] = (3, 9, 10)) -> Path:
    lines = ["ecg_id,patient_id,age,sex,strat_fold"]
    for ecg_id, (sex, fold) in enumerate(zip(sexes, folds, strict=True), start=1):
        lines.append(f"{ecg_id},{700 + ecg_id}.0,60,{sex},{fold}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_codes_are_the_labels(challenge: Path, tmp_path: Path) -> None:
    dest = tmp_path / "s"
    script = [sys.executable, str(REPOSITORY / "manifests/physionet2021.py"), str(challenge)]
    done = subprocess.run(
        [*script, "--dest", str(dest), "--workers", "1"], capture_output=True, text=True, check=True
    )
    store = Store.open(dest)
    records = store.records.set_index("record_id")
    assert records.index.tolist() == [
        *("E00001", "E00002", "E01000", "JS00003", "HR00001", "HR00002", "HR00003", "HR00004"),
    ]  # fmt: skip
    assert records.loc["E00001", "labels"] == ["284470004", "164865005", "284470004|63593006"]
    assert records.loc["E00002", "labels"] == [
        "63593006", "17338001", "284470004|63593006", "427172004|17338001",
    ]  # fmt: skip
    assert records.loc["E01000", "labels"] == records.loc["JS00003", "labels"] == []
    assert records.loc["E00001", "source"] == "training/georgia/g1/E00001"
    assert records["patient_id"].tolist() == records.index.tolist()
    assert store.info.label_sets["snomed"] == (
        "17338001", "63593006", "164865005", "284470004", "67741000119109",
    )  # fmt: skip
    scored = store.targets([0, 1], store.info.label_sets["scored"])
    assert [np.flatnonzero(row).tolist() for row in scored] == [[15], [15, 18]]
    assert store.targets([0, 1], store.info.label_sets["infarction"]).tolist() == [
        [1, 0, 0, 0], [0, 0, 0, 0],
    ]  # fmt: skip
    digital = random_record(5000, seed=sum(b"E00001")).astype(np.int16)
    assert np.array_equal(store.signals[0], digital)
    assert "refused: 1 (bad diagnosis 1)" in done.stdout and "Dx 'sinus'" in done.stdout
    assert "left out: 1 (signal file without header 1)" in done.stdout
    assert "4 records are PTB-XL's" in done.stdout


def test_scored_classes_are_those_of_the_challenge() -> None:
    """Thirty codes in twenty-six classes, four of them of two codes; infarction is not scored."""
    codes = [code for name in SCORED for code in name.split("|")]
    assert len(SCORED) == 26 and len(set(codes)) == len(codes) == 30
    assert all(re.fullmatch(r"\d+", code) for code in (*codes, *INFARCTION))
    assert not set(codes) & set(INFARCTION)


def test_splits_are_drawn_from_names(tmp_path: Path) -> None:
    for number in range(300):
        header = write_challenge_record(tmp_path / f"all/georgia/g1/E{number:05d}", samples=1)
        if number % 3 == 0:
            part = tmp_path / "part" / header.name
            part.parent.mkdir(exist_ok=True)
            part.write_text(header.read_text())
    options = {"valid_fraction": 0.2, "test_fraction": 0.3}
    splits = {r.record_id: r.split for r in list_records(tmp_path / "all", **options).records}
    part = {r.record_id: r.split for r in list_records(tmp_path / "part", **options).records}
    assert part == {name: splits[name] for name in part}
    counts = Counter(splits.values())
    assert abs(counts["valid"] - 60) < 30 and abs(counts["test"] - 90) < 35
    other = list_records(tmp_path / "all", split_seed=1, **options).records
    assert {r.record_id: r.split for r in other} != splits
    alone = list_records(tmp_path / "all", valid_fraction=0, test_fraction=0).records
    assert {r.split for r in alone} == {"train"}


def test_one_source_and_chosen_sources(challenge: Path) -> None:
    def names(root: Path, *sources: str) -> list[str]:
        return [r.record_id for r in list_records(root, sources=sources).records]

    georgia = ["E00001", "E00002", "E01000", "E01001"]
    assert names(challenge / "training/georgia") == georgia
    assert names(challenge / "training", "georgia") == georgia
    assert names(challenge, "ningbo", "georgia") == [*georgia, "JS00003"]
    assert names(challenge / "training/georgia/g1") == georgia[:2]
    with pytest.raises(DatabaseError, match="no source cpsc; folders there: .*ningbo, ptb-xl"):
        names(challenge, "cpsc")


def test_ptbxl_records_keep_their_folds(challenge: Path, tmp_path: Path) -> None:
    listing = list_records(challenge, ptbxl_table=write_table(tmp_path / "t.csv"))
    records = {r.record_id: r for r in listing.records}
    found = [(r.patient_id, r.split, r.strat_fold) for n, r in records.items() if n[:2] == "HR"]
    assert found == [
        ("ptbxl-701", "train", 3),
        ("ptbxl-702", "valid", 9),
        ("ptbxl-703", "test", 10),
    ]
    assert records["E00001"].patient_id == "E00001" and records["E00001"].strat_fold is None
    assert listing.left_out["PTB-XL record that its table does not have"] == 1
    assert listing.total == len(records) == 8 and listing.notes == ()


def test_a_table_of_other_records_is_refused(challenge: Path, tmp_path: Path) -> None:
    wrong = write_table(tmp_path / "wrong.csv", sexes="011")
    with pytest.raises(DatabaseError, match="sex differs in 2 of 3"):
        list_records(challenge, ptbxl_table=wrong)
    empty = write_table(tmp_path / "empty.csv", "", ())
    with pytest.raises(DatabaseError, match="lists no record that is here"):
        list_records(challenge, ptbxl_table=empty)
    bad = write_table(tmp_path / "bad.csv", "1", (11,))
    with pytest.raises(DatabaseError, match="bad.csv, ecg_id 1: fold 11"):
        list_records(challenge, ptbxl_table=bad)


def test_folders_of_something_else_are_refused(tmp_path: Path, capsys) -> None:
    def error(*arguments: object) -> str:
        command = ["physionet2021", str(tmp_path), "--dest", str(tmp_path / "s")]
        assert prepare.main([*command, *map(str, arguments)]) == 1
        return capsys.readouterr().err

    assert "no record in it" in error()
    write_record(tmp_path / "a", random_record(10))
    assert "none of 1 headers has a line of diagnoses" in error()
    assert "must leave a part" in error("--valid-fraction", 0.6, "--test-fraction", 0.4)


@pytest.mark.parametrize("text", ["# Dx: 1640000\n", "#Dx:1640000\n", "#DX : 1640000 , \r\n"])
def test_both_spellings_of_the_line(text: str) -> None:
    assert parse_notes(f"R 12 500 5000\n# Sex: Female\n{text}", "R").labels == ("1640000",)


def test_real_records(real_data: Path, tmp_path: Path) -> None:
    """Counted anew from the headers' text."""
    root = real_data / "challenge2021"
    options = ["--dest", str(tmp_path / "s"), "--workers", "1"]
    assert prepare.main(["physionet2021", str(root), *options]) == 0
    store = Store.open(tmp_path / "s")
    expected: Counter[str] = Counter()
    for header in root.glob("*.hea"):
        line = next(x for x in header.read_text().splitlines() if x.startswith("# Dx:"))
        expected.update(line.split(":")[1].strip().split(","))
    labels = store.info.label_sets["snomed"]
    positives = store.targets(np.arange(len(store)), labels).sum(axis=0)
    assert dict(zip(labels, positives.tolist(), strict=True)) == expected
    listed = [read_manifest(path).record_ids for path in (tmp_path / "s").glob("t[re]*.tsv")]
    assert len(store) == 25 and 0 < sum(map(len, listed)) <= 25
