"""ECG-ID: its layout, its two copies of lead I, its order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

from selfmis_plugin.cli.main import main
from selfmis_plugin.data.store import Store, read_manifest
from selfmis_plugin.metrics.beats import average_beats
from selfmis_plugin.preparation.databases.ecgid import list_records
from selfmis_plugin.preparation.listing import DatabaseError
from selfmis_plugin.synthetic import write_cohort


def write_recording(root: Path, name: str, digital: np.ndarray, day: str = "07.12.2004") -> None:
    """Write a recording as ECG-ID's headers are: no unit, no baseline, a blank line."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".dat").write_bytes(digital.T.astype("<i2").tobytes())
    lines = [f"{path.name} 2 500 {digital.shape[1]}"]
    lines += [
        f"{path.name}.dat 16 200 12 0 {row[0]} {int(row.sum()) % 65536} 0 {signal}"
        for row, signal in zip(digital, ("ECG I", "ECG I filtered"), strict=True)
    ]
    lines += ["", "# Age: 25", "# Sex: male", f"# ECG date: {day}"]
    path.with_suffix(".hea").write_text("\n".join(lines) + "\n", encoding="ascii")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    root = tmp_path / "ecgid"
    for number, name in enumerate(
        ("Person_01/rec_1", "Person_01/rec_2", "Person_01/rec_10", "Person_02/rec_1")
    ):
        digital = np.random.default_rng(number).integers(-300, 300, (2, 10_000))
        write_recording(root, name, digital)
    (root / "RECORDS").write_text("Person_01/rec_1\n", encoding="ascii")
    (root / "Person_01" / "rec_1.atr").write_bytes(b"")
    return root


@pytest.mark.parametrize("signal", ["raw", "filtered"])
def test_middle_ten_seconds_of_the_signal_asked_for(
    database: Path, tmp_path: Path, signal: str
) -> None:
    dest = tmp_path / "store"
    arguments = ["prepare", "ecgid", str(database), "--dest", str(dest), "--workers", "1"]
    assert main([*arguments, "--signal", signal]) == 0
    store = Store.open(dest)
    assert list(store.records["record_id"]) == [
        "Person_01/rec_1", "Person_01/rec_2", "Person_01/rec_10", "Person_02/rec_1",
    ]  # fmt: skip
    assert list(store.records["patient_id"]) == ["Person_01"] * 3 + ["Person_02"]
    assert set(store.records["lead_mask"]) == {1}
    assert len(read_manifest(dest / "test.tsv").record_ids) == 4
    raw = np.fromfile(database / "Person_01" / "rec_2.dat", dtype="<i2").reshape(-1, 2).T
    middle = raw[["raw", "filtered"].index(signal), 2500:7500]
    # 200 steps to the millivolt: one is 5 microvolts.
    np.testing.assert_array_equal(store.signals[1, 0], 5 * middle)
    assert not store.signals[:, 1:].any()


def test_days_are_numbered_and_no_date_is_kept(tmp_path: Path) -> None:
    root, dest = tmp_path / "ecgid", tmp_path / "store"
    days = {"1": "03.02.2005", "2": "07.12.2004", "3": "3.2.2005", "4": "31.02.2005", "5": "none"}
    for number, day in days.items():
        digital = np.random.default_rng(int(number)).integers(-300, 300, (2, 10_000))
        write_recording(root, f"Person_01/rec_{number}", digital, day)
    assert main(["prepare", "ecgid", str(root), "--dest", str(dest), "--workers", "1"]) == 0
    sessions = Store.open(dest).records["session"].astype(object)
    assert [None if pd.isna(day) else day for day in sessions] == [2, 1, 2, None, None]
    assert not any(b"2005" in path.read_bytes() for path in dest.glob("*.parquet"))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"Person_01/rec_1\.hea"):
        list_records(tmp_path)


def test_synthetic_persons_are_recorded_several_times(tmp_path: Path) -> None:
    write_cohort(tmp_path / "wfdb", "ecgid", records=40, seed=3)
    first = wfdb.rdrecord(str(tmp_path / "wfdb" / "Person_01" / "rec_1"))
    assert first.sig_name == ["ECG I", "ECG I filtered"] and first.fs == 500
    listing = list_records(tmp_path / "wfdb")
    patients = [record.patient_id for record in listing.records]
    assert len(patients) == 40 and 8 <= len(set(patients)) < 25
    dest = tmp_path / "store"
    assert main(["prepare", "ecgid", str(tmp_path / "wfdb"), "--dest", str(dest)]) == 0
    assert len(Store.open(dest)) == 40
    # Beats of one person are more alike than those of two, and never the same.
    beats = average_beats(Store.open(dest).signals[:, 0], 500)
    alike = np.corrcoef(beats)
    same = np.equal.outer(patients, patients) & ~np.eye(40, dtype=bool)
    assert np.median(alike[same]) > np.median(alike[~same & ~np.eye(40, dtype=bool)])
    assert alike[same].max() < 0.9999
