"""The synthetic cohort: physics of the leads, files as wfdb reads them, tables, folds, writing."""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from selfmis_plugin.cli.synthetic import add_arguments, run
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.origin import COHORT_VERSIONS, LATEST_COHORT, found_origins
from selfmis_plugin.synthetic import CohortError, simulate, write_cohort
from selfmis_plugin.synthetic.changes_v2 import WALLS
from selfmis_plugin.synthetic.heart import Patient
from selfmis_plugin.synthetic.hearts_v1 import REGIONS
from selfmis_plugin.synthetic.leadfield import DOWER
from selfmis_plugin.synthetic.record import patient_generator
from selfmis_plugin.synthetic.statements import DIAGNOSTIC, STATEMENTS
from selfmis_plugin.synthetic.versions import LATEST, VERSIONS, draw_patient
from selfmis_plugin.synthetic.wfdb16 import digitise, write_record

RECORDS = 420
SEED = 3

#: What the code wrote before there was a second version (seed 7): tables, then whole folders, and
#: every seventh sample.
TABLES_OF_VERSION_1 = {
    "ptbxl": "254b2a10cc8d5bf0a8854a4df42cfb1c64b0cb0d9b5bcee82185f69fb4c139fc",
    "mimic-iv-ecg": "15e6aa637f1f834d9a04e6b61167722d8accd386ef28efacd96c2eeee4003f05",
    "ecgid": "923d815f29ab9226df0ced122e135cedf1c4aeb30b5b318d8587938a64d7456c",
}
COHORTS_OF_VERSION_1 = {
    "ptbxl": "1ccf4714c23b2ee62f74dd4e4196487456a932b3d2e16ae137dd796c3ca188a9",
    "mimic-iv-ecg": "aab22aa2f54a416ac7861b3edf2c8e90e70be6d90ff45238687fc525473bec4d",
    "ecgid": "88786c1cdf8622130b6b0670c85af33281bfff85b0e42503cba986a008bedce7",
}
GOLDEN = Path(__file__).parents[1] / "golden" / "cohort_v1"


@pytest.fixture(scope="module")
def ptbxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohorts") / "ptbxl"
    write_cohort(folder, "ptbxl", RECORDS, SEED)
    return folder


@pytest.fixture(scope="module")
def table(ptbxl: Path) -> pd.DataFrame:
    frame = pd.read_csv(ptbxl / "ptbxl_database.csv")
    frame["codes"] = [ast.literal_eval(text) for text in frame["scp_codes"]]
    return frame


@pytest.fixture(scope="module")
def mimic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohorts") / "mimic"
    write_cohort(folder, "mimic-iv-ecg", 60, SEED)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def limb_errors(leads: dict[str, np.ndarray]) -> dict[str, float]:
    one, two = leads["I"].astype(float), leads["II"].astype(float)
    expected = {
        "III": two - one,
        "aVR": -(one + two) / 2,
        "aVL": one - two / 2,
        "aVF": two - one / 2,
    }
    return {name: float(np.abs(leads[name] - value).max()) for name, value in expected.items()}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), patient=st.integers(0, 10**6), visit=st.integers(0, 3))
def test_leads_of_any_record_obey_einthoven_and_goldberger(
    seed: int, patient: int, visit: int
) -> None:
    record = simulate(seed, patient, visit)
    assert record.signal.shape == (12, 5000)
    assert np.isfinite(record.signal).all()
    leads = dict(zip(STANDARD_LEADS, record.signal, strict=True))
    assert max(limb_errors(leads).values()) < 1e-2  # microvolts in float32
    rounded = dict(zip(STANDARD_LEADS, np.rint(record.signal), strict=True))
    errors = limb_errors(rounded)
    assert errors["III"] <= 1.5 and max(errors.values()) <= 1.5
    assert 100 < np.ptp(record.signal, axis=1).max() < 12_000
    assert 40 <= record.heart_rate <= 140


@pytest.mark.parametrize("version", VERSIONS)
def test_statements_of_forced_infarctions(version: int) -> None:
    for kind in INFARCTION_TYPES:
        record = simulate(0, 5, infarctions=(kind,), version=version)
        assert set(record.statements) & set(INFARCTION_TYPES) == {kind}
        assert "NORM" not in record.statements
    healthy = simulate(0, 5, infarctions=(), version=version)
    assert not set(healthy.statements) & set(INFARCTION_TYPES)
    with pytest.raises(ValueError, match="XMI"):
        simulate(0, infarctions=("XMI",), version=version)
    with pytest.raises(ValueError, match="layout"):
        simulate(0, layout="holter", version=version)


@pytest.mark.parametrize("kind", INFARCTION_TYPES)
@pytest.mark.parametrize("version", VERSIONS)
def test_old_infarct_turns_qrs_and_acute_infarct_lifts_st(version: int, kind: str) -> None:
    """Group means, in the leads, against the same patients without the infarct."""
    wall = {1: REGIONS[kind], 2: WALLS[kind].direction}[version]
    region = DOWER @ np.asarray(wall, dtype=np.float32)
    lost, lifted, rest = [], [], []
    for patient in range(160):
        heart = draw(8, patient, version, (kind,))
        infarct = heart.infarctions[0]
        if infarct.stage == "Stadium I":
            lifted.append(heart.st_vector)
        elif infarct.stage == "Stadium III":
            lost.append((heart.qrs.vectors * heart.qrs.widths[:, None]).sum(axis=0))
            rest.append(heart.st_vector)
    healthy = [draw(8, patient, version, ()) for patient in range(160)]
    usual = np.mean(
        [(heart.qrs.vectors * heart.qrs.widths[:, None]).sum(axis=0) for heart in healthy], axis=0
    )
    away = DOWER @ (np.mean(lost, axis=0) - usual)
    assert away @ region < 0
    toward = DOWER @ (np.mean(lifted, axis=0) - np.mean(rest, axis=0))
    assert toward @ region / (np.linalg.norm(toward) * np.linalg.norm(region)) > 0.7


def draw(seed: int, patient: int, version: int, infarctions: tuple[str, ...]) -> Patient:
    return draw_patient(patient_generator(seed, "ptbxl", patient), version, infarctions)


def test_version_one_is_made_as_it_was_before_there_was_another(tmp_path: Path) -> None:
    """Tables to the byte, and signals; where another processor sums otherwise, to a microvolt."""
    golden = np.load(GOLDEN / "signals.npz")
    for layout, records in (("ptbxl", 6), ("mimic-iv-ecg", 4), ("ecgid", 4)):
        folder = tmp_path / layout
        write_cohort(folder, layout, records, 7, version=1)
        held = contents(folder)
        signals = [name for name in sorted(held) if name.endswith(".dat")]
        text = {name for name in held if not name.endswith((".dat", ".hea"))}
        tables = hashlib.sha256(b"".join(held[name] for name in sorted(text))).hexdigest()
        assert tables == TABLES_OF_VERSION_1[layout]
        whole = hashlib.sha256()
        for name in sorted(held, key=Path):
            whole.update(name.encode() + held[name])
        if whole.hexdigest() != COHORTS_OF_VERSION_1[layout]:
            mine = np.stack([np.frombuffer(held[name], "<i2")[::7] for name in signals])
            assert np.abs(mine.astype(int) - golden[layout]).max() <= 1
    assert json.loads((tmp_path / "ptbxl" / "cohort.json").read_text())["version"] == 1


def test_versions_differ_and_say_which_they_are(tmp_path: Path) -> None:
    assert set(VERSIONS) == set(COHORT_VERSIONS) and LATEST == LATEST_COHORT == 2
    first, second = simulate(3, 1, version=1), simulate(3, 1)
    assert not np.array_equal(first.signal, second.signal)
    shown = str(write_cohort(tmp_path / "latest", "ptbxl", 5, 1))
    assert "seed 1, version 2, written" in shown
    assert "seed 1, version 1, " in str(write_cohort(tmp_path / "first", "ptbxl", 5, 1, version=1))
    with pytest.raises(CohortError, match="another cohort"):
        write_cohort(tmp_path / "latest", "ptbxl", 5, 1, version=1)
    with pytest.raises(CohortError, match="version=3: there is no such cohort, give one of 1, 2"):
        write_cohort(tmp_path / "third", "ptbxl", 5, 1, version=3)
    with pytest.raises(ValueError, match="version 0 of the synthetic cohort"):
        simulate(1, version=0)
    # Stores and checkpoints of version 1 do not name it.
    assert str(found_origins(tmp_path / "latest")[0]) == (
        "synthetic (SelfMIS synthetic cohort, version 2, ptbxl layout, 5 records, seed 1)"
    )
    assert str(found_origins(tmp_path / "first")[0]) == (
        "synthetic (SelfMIS synthetic cohort, ptbxl layout, 5 records, seed 1)"
    )


def test_hearts_of_version_two_are_sized_as_those_of_ptbxl() -> None:
    """Limits of normal that textbooks give, and what tells an infarct, as group means."""
    healthy = [simulate(2, patient) for patient in range(160)]
    healthy = [record for record in healthy if "NORM" in record.statements]
    assert 30 < len(healthy) < 80
    axes = np.array([record.axis for record in healthy])
    assert 20 < np.median(axes) < 60 and np.mean((axes > -45) & (axes < 105)) > 0.85
    assert all(np.abs(record.signal.mean(axis=1)).max() < 1 for record in healthy)
    durations = np.array([record.patient.qrs_duration for record in healthy])
    assert 0.08 < durations.mean() < 0.1
    old, young = ([r for r in healthy if (r.patient.age > 55) == late] for late in (True, False))
    # The axis turns to the left with age.
    assert np.median([r.axis for r in old]) < np.median([r.axis for r in young])
    high = {
        kind: np.median(
            [simulate(2, p, infarctions=kinds).signal.max(axis=1) for p in range(40)], axis=0
        )
        for kind, kinds in {"none": (), "ASMI": ("ASMI",), "IMI": ("IMI",)}.items()
    }
    lead = STANDARD_LEADS.index
    assert high["ASMI"][lead("V3")] < 0.6 * high["none"][lead("V3")]
    assert high["IMI"][lead("aVF")] < 0.8 * high["none"][lead("aVF")]
    assert high["IMI"][lead("V3")] > high["ASMI"][lead("V3")]


def test_visits_share_a_heart_and_layouts_share_no_patient() -> None:
    first, again, later = simulate(4, 2), simulate(4, 2), simulate(4, 2, visit=1)
    np.testing.assert_array_equal(first.signal, again.signal)
    assert first.patient.infarctions == later.patient.infarctions
    np.testing.assert_array_equal(first.patient.qrs.vectors, later.patient.qrs.vectors)
    assert not np.array_equal(first.signal, later.signal)
    for other in (simulate(4, 2, layout="mimic-iv-ecg"), simulate(4, 3), simulate(5, 2)):
        assert not np.array_equal(first.patient.body.field, other.patient.body.field)


def test_wfdb_reads_ptbxl_records_exactly(ptbxl: Path, table: pd.DataFrame) -> None:
    names = ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"]
    written = set()
    for row in table.iloc[:40].itertuples():
        record = wfdb.rdrecord(ptbxl / row.filename_hr, physical=False)
        assert (record.fs, record.sig_len, record.sig_name) == (500, 5000, names)
        assert record.adc_gain == [1000.0] * 12 and record.units == ["mV"] * 12
        assert record.fmt == ["16"] * 12 and record.baseline == [0] * 12
        assert record.calc_checksum() == record.checksum
        assert record.init_value == record.d_signal[0].tolist()
        leads = dict(zip(STANDARD_LEADS, record.d_signal.T, strict=True))
        assert max(limb_errors(leads).values()) <= 1.5
        written.add(record.d_signal.tobytes())
    assert len(written) == 40
    # The files hold what the public simulation gives, rounded to microvolts.
    simulated = {
        np.rint(simulate(SEED, patient).signal).T.astype("<i2").tobytes() for patient in range(4)
    }
    held = {(ptbxl / f"{name}.dat").read_bytes() for name in table["filename_hr"]}
    assert simulated <= held


def test_wfdb_reads_mimic_records_exactly(mimic: Path) -> None:
    listed = pd.read_csv(mimic / "record_list.csv")
    assert list(listed.columns) == ["subject_id", "study_id", "file_name", "ecg_time", "path"]
    assert (
        len(listed) == 60
        and listed["study_id"].is_unique
        and listed["subject_id"].is_monotonic_increasing
    )
    assert listed["subject_id"].nunique() < 60
    order = ["I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6"]
    for row in listed.itertuples():
        subject, study = str(row.subject_id), str(row.study_id)
        assert row.path == f"files/p{subject[:4]}/p{subject}/s{study}/{study}"
        record = wfdb.rdrecord(mimic / row.path, physical=False)
        assert (record.sig_name, record.sig_len, record.adc_gain) == (order, 5000, [200.0] * 12)
        assert record.base_datetime == pd.Timestamp(row.ecg_time).to_pydatetime()
        assert record.comments == [f"<subject_id>: {subject}"]
        assert record.calc_checksum() == record.checksum
        assert max(limb_errors(dict(zip(order, record.d_signal.T, strict=True))).values()) <= 1.5
    first = wfdb.rdrecord(mimic / listed["path"][0]).p_signal.T
    swapped = simulate(SEED, 0, layout="mimic-iv-ecg").signal[
        [0, 1, 2, 3, 5, 4, 6, 7, 8, 9, 10, 11]
    ]
    np.testing.assert_allclose(first * 1e3, swapped, atol=2.51)


@settings(max_examples=20, deadline=None)
@given(
    signal=st.lists(
        st.lists(st.integers(-40_000, 40_000), min_size=6, max_size=6), min_size=1, max_size=4
    ),
    gain=st.sampled_from([200.0, 1000.0, 2000.0]),
)
def test_writer_agrees_with_wfdb(
    tmp_path_factory: pytest.TempPathFactory, signal: list[list[int]], gain: float
) -> None:
    digital = digitise(np.asarray(signal, dtype=np.float32), gain)
    expected = np.clip(np.rint(np.asarray(signal) * gain / 1e3), -32767, 32767)
    np.testing.assert_array_equal(digital, expected)
    folder = tmp_path_factory.mktemp("writer")
    names = [f"L{index}" for index in range(len(digital))]
    write_record(folder / "mine", digital, names, 500, gain, "10:11:12 01/02/2150", ("note",))
    read = wfdb.rdrecord(folder / "mine", physical=False)
    np.testing.assert_array_equal(read.d_signal.T, digital)
    wfdb.wrsamp(
        "theirs",
        fs=500,
        units=["mV"] * len(names),
        sig_name=names,
        d_signal=digital.T.astype(np.int64),
        fmt=["16"] * len(names),
        adc_gain=[gain] * len(names),
        baseline=[0] * len(names),
        write_dir=str(folder),
    )
    assert (folder / "mine.dat").read_bytes() == (folder / "theirs.dat").read_bytes()
    assert wfdb.rdheader(folder / "theirs").checksum == read.checksum
    with pytest.raises(ValueError, match="lead names"):
        write_record(folder / "bad", digital, [*names, "more"], 500, gain)


def test_tables_have_the_columns_of_ptbxl(ptbxl: Path, table: pd.DataFrame) -> None:
    statements = pd.read_csv(ptbxl / "scp_statements.csv", index_col=0)
    assert len(statements) == 71 and statements.index.is_unique
    assert int((statements["diagnostic"] == 1).sum()) == 44 == len(DIAGNOSTIC)
    assert set(INFARCTION_TYPES) <= set(statements.index[statements["diagnostic"] == 1])
    assert table["ecg_id"].tolist() == list(range(1, RECORDS + 1))
    assert table["recording_date"].is_monotonic_increasing
    assert table["patient_id"].dtype == float and table["validated_by_human"].dtype == bool
    assert table.loc[table["strat_fold"] > 8, "validated_by_human"].all()
    assert {code for codes in table["codes"] for code in codes} <= set(statements.index)
    assert table["filename_hr"][0] == "records500/00000/00001_hr"


def test_tables_match_the_real_ones(ptbxl: Path, table: pd.DataFrame, real_data: Path) -> None:
    real = pd.read_csv(real_data / "ptbxl" / "ptbxl_database.csv")
    assert list(real.columns) == list(table.columns.drop("codes"))
    theirs = pd.read_csv(real_data / "ptbxl" / "scp_statements.csv", index_col=0)
    mine = pd.read_csv(ptbxl / "scp_statements.csv", index_col=0)
    assert list(mine.columns) == list(theirs.columns)
    columns = [
        "description",
        "diagnostic",
        "form",
        "rhythm",
        "diagnostic_class",
        "diagnostic_subclass",
    ]
    pd.testing.assert_frame_equal(mine[columns], theirs[columns])
    for column in ("heart_axis", "infarction_stadium1", "device"):
        assert set(table[column].dropna()) <= set(real[column].dropna())


def test_folds_are_by_patient_and_stratified(table: pd.DataFrame) -> None:
    assert (table.groupby("patient_id")["strat_fold"].nunique() == 1).all()
    assert table["patient_id"].nunique() < RECORDS
    sizes = table.drop_duplicates("patient_id")["strat_fold"].value_counts()
    assert sorted(sizes.index) == list(range(1, 11)) and sizes.max() - sizes.min() <= 1
    # Every type with at least ten patients is in every fold.
    common = 0
    for kind in INFARCTION_TYPES:
        has = table[[kind in codes for codes in table["codes"]]]
        first = has[
            [
                next(code for code in codes if code in INFARCTION_TYPES) == kind
                for codes in has["codes"]
            ]
        ]
        if first["patient_id"].nunique() >= 10:
            common += 1
            assert set(has["strat_fold"]) == set(range(1, 11))
    assert common >= 5


def test_prevalence(table: pd.DataFrame) -> None:
    infarcted = np.mean([bool(set(codes) & set(INFARCTION_TYPES)) for codes in table["codes"]])
    assert 0.38 < infarcted < 0.54
    counts = {row.code: sum(row.code in codes for codes in table["codes"]) for row in STATEMENTS}
    for code in INFARCTION_TYPES:
        assert counts[code] >= 8, code
    for code in (
        "NORM",
        "CLBBB",
        "CRBBB",
        "IRBBB",
        "LAFB",
        "LPFB",
        "LVH",
        "RVH",
        "LAO/LAE",
        "1AVB",
        "NDT",
        "ISC_",
    ):
        assert 0.008 * RECORDS < counts[code] < 0.4 * RECORDS, code
    for code in (
        "SR",
        "SBRAD",
        "STACH",
        "AFIB",
        "PVC",
        "LVOLT",
        "HVOLT",
        "LOWT",
        "INVT",
        "QWAVE",
        "LPR",
    ):
        assert counts[code] > 0, code
    for codes in table["codes"]:
        assert not ("NORM" in codes and len(set(codes) & set(DIAGNOSTIC)) > 1)


def test_same_bytes_at_any_number_of_workers(tmp_path: Path) -> None:
    for layout in ("ptbxl", "mimic-iv-ecg"):
        alone, pair = tmp_path / f"{layout}-1", tmp_path / f"{layout}-2"
        one = write_cohort(alone, layout, 200, 9, workers=1)
        two = write_cohort(pair, layout, 200, 9, workers=2)
        assert contents(alone) == contents(pair)
        assert (one.patients, one.positives) == (two.patients, two.positives)
    other = write_cohort(tmp_path / "other", "ptbxl", 200, 10)
    assert other.positives != write_cohort(tmp_path / "ptbxl-1", "ptbxl", 200, 9).positives


def test_a_summary_is_to_be_read(tmp_path: Path) -> None:
    shown = str(write_cohort(tmp_path / "cohort", "mimic-iv-ecg", 12, 2))
    assert shown.startswith(f"{tmp_path / 'cohort'}: mimic-iv-ecg, 12 records of ")
    assert re.search(r"^  ALMI \d+  AMI \d+  ", shown, re.MULTILINE)
    assert "{" not in shown and "CohortSummary" not in shown


def test_a_finished_cohort_is_kept_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    dest = tmp_path / "new" / "cohort"
    first = write_cohort(dest, "ptbxl", 5, 1)
    marker = dest / "ptbxl_database.csv"
    stamp = marker.stat().st_mtime_ns
    again = write_cohort(dest, "ptbxl", 5, 1)
    assert again.already_there and not first.already_there
    assert (again.patients, again.positives) == (first.patients, first.positives)
    assert marker.stat().st_mtime_ns == stamp
    for changed, said in (
        ({"records": 6}, "records 5 there, 6 wanted"),
        ({"seed": 2, "records": 7}, "records 5 there, 7 wanted; seed 1 there, 2 wanted"),
        ({"layout": "mimic-iv-ecg"}, "layout ptbxl there, mimic-iv-ecg wanted"),
    ):
        arguments = {"layout": "ptbxl", "records": 5, "seed": 1, **changed}
        with pytest.raises(CohortError, match=rf"holds another cohort \({said}\): name another"):
            write_cohort(dest, **arguments)  # type: ignore[arg-type]
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    with pytest.raises(CohortError, match="not empty"):
        write_cohort(foreign, "ptbxl", 5, 1)
    with pytest.raises(CohortError, match="is a file"):
        write_cohort(foreign / "thesis.txt", "ptbxl", 5, 1)
    assert (foreign / "thesis.txt").read_text() == "mine"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert write_cohort(empty, "ptbxl", 1, 1).records == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "foreign", "new"]
    assert [path.name for path in dest.parent.iterdir()] == ["cohort"]


def test_nothing_is_left_of_a_failed_cohort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(OSError, match="disk full"):
        write_cohort(tmp_path / "cohort", "ptbxl", 5, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [{"layout": "holter"}, {"records": 0}, {"seed": -1}, {"workers": 0}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    arguments = {"layout": "ptbxl", "records": 5, "seed": 1, "workers": 1, **wrong}
    with pytest.raises(CohortError, match=str(next(iter(wrong)))):
        write_cohort(tmp_path / "cohort", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "cohort").exists()


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    dest = tmp_path / "cohort"
    arguments = [str(dest), "--layout", "ptbxl", "--records", "12", "--seed", "2", "--workers", "1"]
    assert run(parser.parse_args(arguments)) == 0
    shown = capsys.readouterr().out
    assert "12 records" in shown and all(kind in shown for kind in INFARCTION_TYPES)
    assert json.loads((dest / "cohort.json").read_text())["records"] == 12
    assert run(parser.parse_args(arguments)) == 0
    assert "already there" in capsys.readouterr().out
    assert run(parser.parse_args([str(dest), "--records", "13"])) == 1
    assert "another cohort" in capsys.readouterr().err
