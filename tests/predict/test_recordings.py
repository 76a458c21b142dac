"""Own recordings: formats, channels, windows, selection, splits and the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfmis_plugin.cli.main import main
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import resample
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.data.store import Store, read_manifest
from selfmis_plugin.preparation.listing import DatabaseError
from selfmis_plugin.preparation.recordings.channels import parse_channels
from selfmis_plugin.preparation.recordings.long_recording import LongRecording, ReadingOptions
from selfmis_plugin.preparation.recordings.opening import open_recording
from selfmis_plugin.preparation.recordings.sources import find_sources
from selfmis_plugin.preparation.recordings.subject_splits import SubjectSplits
from selfmis_plugin.preparation.recordings.windows import cut_windows
from tests.wearables import (
    CHANNELS,
    MULTI,
    REFERENCE,
    wearable_recording,
    write_csv,
    write_edf,
    write_wfdb,
)

CHOICE = ["--single", "CH20", "--multi", MULTI]


def read(recording: LongRecording, names: tuple[str, ...], seconds: float) -> list[np.ndarray]:
    """Return each channel whole; the blocks must follow each other."""
    blocks = list(recording.blocks(recording.names_of(names), seconds))
    assert [block.continues for block in blocks] == [False] + [True] * (len(blocks) - 1)
    return [np.concatenate(parts) for parts in zip(*(b.signals for b in blocks), strict=True)]


def text_file(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.fixture(scope="module")
def signals() -> np.ndarray:
    return wearable_recording(1, noise=(10, 20, 30))


@pytest.mark.parametrize("seconds", [1.7, 60])
@pytest.mark.parametrize("kind", ["csv", "edf", "wfdb"])
def test_formats_hold_the_same(
    tmp_path: Path, signals: np.ndarray, kind: str, seconds: float
) -> None:
    write = {"csv": write_csv, "edf": write_edf, "wfdb": write_wfdb}[kind]
    path = write(tmp_path / f"r.{kind}", signals)
    recording = open_recording(path)
    assert set(CHANNELS) <= set(recording.rates)
    assert set(recording.rates.values()) == {500}
    # In another order than the file's, and whatever the case.
    found = read(recording, ("ch20", "CH2"), seconds)
    for got, channel in zip(found, ("CH20", "CH2"), strict=True):
        assert np.abs(got - signals[CHANNELS.index(channel)]).max() <= 0.51


@pytest.mark.parametrize(
    "settings",
    [
        {"preamble": "Device: X, Y\nGain,-5,5\n\n", "trailing": ",,"},
        {"separator": ";", "preamble": "# made 2024-01-01\n"},
        {"separator": "\t", "trailing": "\t"},
        {"unit": " [µV]"},
        {"unit": "", "preamble": "\ufeff"},
    ],
)
def test_layouts_of_text_files(tmp_path: Path, settings: dict[str, str]) -> None:
    values = np.random.default_rng(0).integers(-900, 900, (5, 700)).astype(float)
    path = write_csv(tmp_path / "r.csv", values, rate=128, **settings)  # type: ignore[arg-type]
    options = ReadingOptions(microvolts_per_unit=None if settings.get("unit", "x") else 1.0)
    recording = open_recording(path, options)
    assert recording.rates["CH20"] == 128
    assert np.array_equal(read(recording, ("CH20", "CH3"), 2), values[[4, 2]])


def test_rows_that_grow_longer_and_cells_that_are_no_numbers(tmp_path: Path) -> None:
    rows = [f"{k / 200:.3f},{k},{2 * k}" for k in range(600)]
    rows[100] += ",,x"
    rows[200] = "1.000,---,400"
    rows[300] = "1.500"
    path = text_file(tmp_path / "r.csv", "t,A (uV),B (uV)\n" + "\n".join(rows) + "\n")
    first, second = read(open_recording(path), ("A", "B"), 1)
    assert len(first) == 600
    assert np.array_equal(np.flatnonzero(np.isnan(first)), [200, 300])
    assert np.array_equal(np.flatnonzero(np.isnan(second)), [300])
    assert first[299] == 299 and second[599] == 1198


def test_decimal_commas_units_line_and_latin1(tmp_path: Path) -> None:
    rows = "\n".join(f"{4 * k};{k},5;{k}" for k in range(1000))
    text = f"Recorder\n\nTime;Arm;Chest\nms;mV;µV\n{rows}\n"
    arm, chest = read(
        open_recording(text_file(tmp_path / "r.txt", text, "latin-1")), ("Arm", "Chest"), 60
    )
    assert np.allclose(arm, (np.arange(1000) + 0.5) * 1000)
    assert np.array_equal(chest, np.arange(1000))


@pytest.mark.parametrize(
    ("times", "rate"),
    [
        (lambda k: f"{k / 360:.4f}", 360),
        (lambda k: f"{k * 1000 / 128:.0f}", 128),  # milliseconds, rounded
        (lambda k: f"{1700000000000 + k * 4}", 250),
        (lambda k: f"2024-03-01T12:00:{k // 250:02d}.{k % 250 * 4:03d}", 250),
        (lambda k: f"{k // 25 * 0.1:.1f}", 250),  # packets of 25 samples with one time
        (lambda k: f"{k / 333.33:.6f}", 333.33),
    ],
)
def test_rates_from_times(tmp_path: Path, times: object, rate: float) -> None:
    rows = "\n".join(f"{times(k)},{k},{-k}" for k in range(5000))  # type: ignore[operator]
    path = text_file(tmp_path / "r.csv", f"Timestamp,A (uV),B (uV)\n{rows}\n")
    recording = open_recording(path)
    assert recording.rates["A"] == pytest.approx(rate, rel=1e-4)
    assert np.array_equal(read(recording, ("A",), 3)[0], np.arange(5000))


def test_a_lost_packet_is_missing(tmp_path: Path) -> None:
    kept = np.delete(np.arange(2500), np.s_[1000:1025])
    rows = "\n".join(f"{k // 25 * 0.1:.1f},{k},{k}" for k in kept)
    path = text_file(tmp_path / "r.csv", f"time_s,A (uV),B (uV)\n{rows}\n")
    found = read(open_recording(path), ("A",), 2)[0]
    assert np.array_equal(np.flatnonzero(np.isnan(found)), np.arange(1000, 1025))
    assert np.array_equal(found[~np.isnan(found)], kept)


@pytest.mark.parametrize("seconds", [0.9, 60])
def test_gaps_in_time(tmp_path: Path, seconds: float) -> None:
    index = np.arange(5000)
    kept = np.delete(index, np.r_[700:710, 2000:3500])  # 0.04 s and 6 s
    rows = "\n".join(f"{k / 250:.3f},{k},{k}" for k in kept)
    path = text_file(tmp_path / "r.csv", f"time [s],A (uV),B (uV)\n{rows}\n")
    blocks = list(open_recording(path).blocks(("A",), seconds))
    breaks = [k for k, block in enumerate(blocks) if not block.continues]
    assert len(breaks) == 2
    before = np.concatenate([b.signals[0] for b in blocks[: breaks[1]]])
    after = np.concatenate([b.signals[0] for b in blocks[breaks[1] :]])
    assert np.array_equal(np.flatnonzero(np.isnan(before)), np.arange(700, 710))
    assert np.array_equal(before[~np.isnan(before)], np.delete(index[:2000], np.s_[700:710]))
    assert np.array_equal(after, index[3500:])
    assert blocks[breaks[1]].start == pytest.approx(14.0)
    starts = [w.start for w in cut_windows(open_recording(path), ("A",), 2, 2)]
    assert starts == pytest.approx([0, 2, 4, 6, 14, 16, 18])


def test_edf_channels_of_different_rates(tmp_path: Path, signals: np.ndarray) -> None:
    path = write_edf(tmp_path / "r.edf", signals, rates=(250, 500, 500, 500, 125))
    recording = open_recording(path)
    assert (recording.rates["CH1"], recording.rates["CH20"]) == (250, 125)
    windows = list(cut_windows(recording, ("CH20", "CH1", "CH2"), 10, 4))
    assert [window.start for window in windows] == [0, 4, 8, 12, 16, 20]
    for window in windows:
        first = round(window.start * 500)
        for signal, channel, step in zip(window.signals, (4, 0, 1), (4, 2, 1), strict=True):
            expected = signals[channel, first : first + 5000 : step]
            assert np.abs(signal - expected).max() <= 0.5


class Ramp(LongRecording):
    """Channels whose samples are their numbers, in blocks of odd lengths."""

    def __init__(self, rates: dict[str, float], seconds: float, cuts: list[float]) -> None:
        super().__init__(Path("ramp"), rates)
        self.seconds, self.cuts = seconds, cuts

    def blocks(self, names, seconds):  # type: ignore[no-untyped-def]
        from selfmis_plugin.preparation.recordings.long_recording import Block

        edges = [0.0, *sorted(c * self.seconds for c in self.cuts), self.seconds]
        for start, stop in zip(edges, edges[1:], strict=False):
            yield Block(
                start,
                tuple(
                    np.arange(round(start * self.rates[n]), round(stop * self.rates[n])) * 1.0
                    for n in names
                ),
                continues=start > 0 or start == edges[1] != 0,
            )


@given(
    cuts=st.lists(st.floats(0.01, 0.99), max_size=6),
    step=st.sampled_from([0.5, 3.3, 5.0, 10.0]),
    rates=st.tuples(st.sampled_from([100.0, 128.0, 333.33]), st.sampled_from([250.0, 1000.0])),
    seconds=st.floats(5, 40),
)
@settings(deadline=None, max_examples=60)
def test_windows_do_not_depend_on_blocks(
    cuts: list[float], step: float, rates: tuple[float, float], seconds: float
) -> None:
    names = dict(zip("ab", rates, strict=True))
    windows = list(cut_windows(Ramp(names, seconds, cuts), ("a", "b"), 10, step))
    assert len(windows) in (
        int((seconds - 10) // step + 1) if seconds >= 10 else 0,
        # A window's last sample may lie in the recording's last, rounded one.
        int((seconds - 10 + 0.02) // step + 1) if seconds >= 9.98 else 0,
        max(0, int((seconds - 10 - 0.02) // step + 1)) if seconds >= 10 else 0,
    )
    for number, window in enumerate(windows):
        for signal, rate in zip(window.signals, rates, strict=True):
            first = round(number * step * rate)
            assert np.array_equal(signal, np.arange(first, first + np.ceil(10 * rate)))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "", "a.csv: is empty"),
        ("a.edf", "", "a.edf: is empty"),
        ("a.csv", "some,words\nonly,words\n", "no rows of two or more numbers"),
        ("a.csv", "1,2\n3,4\n5,6\n", "no line with the names"),
        ("a.csv", "A (uV),B (uV)\n1,2\n3,4\n5,6\n", "--rate"),
        ("a.csv", "time,A (uV),B\n0,1,2\n0,3,4\n0,5,6\n", "does not advance"),
        ("a.csv", "time,A (uV),B (uV)\n0,1,2\n.06,3,4\n.12,5,6\n", "no ECG's rate"),
        ("a.csv", "time,A,B (uV)\n0,1,2\n.01,3,4\n.02,5,6\n", "--units"),
        ("a.csv", "time,A (uV),A (uV)\n0,1,2\n.01,3,4\n.02,5,6\n", "two columns named A"),
        ("a.csv", "time,B (uV),C (uV)\n0,1,2\n.01,3,4\n.02,5,6\n", "no channel A; it has B, C"),
        (
            "a.csv",
            "time,A (uV),C (uV)\n0,1,2\n.01,3,4\n.02,5,6\n.01,5,6\n",
            "runs backwards at row 4",
        ),
        ("a.edf", "0       x", "cannot be read as EDF: it is cut short, damaged"),
        ("a.hea", "a 1 500 100\na.dat 16 1000/mV 16 0 0 0 0 A\n", "a.dat: no such file"),
        ("a.hea", "nonsense", "not a record line"),
        ("a.xyz", "words", "convert it"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    tmp_path: Path, name: str, content: str, reason: str
) -> None:
    path = text_file(tmp_path / name, content)
    with pytest.raises(RecordError) as caught:
        read(open_recording(path), ("A",), 60)
    assert reason in str(caught.value) and name in str(caught.value)


@pytest.mark.parametrize(
    "choice",
    [
        ("", "I=A"), ("S", "I"), ("S", "I=A,I=B"), ("S", "X1=A"), ("S", "I="),
        ("S", "I=A", "aVR"), ("S", "I=A", ""), ("S", "I=A", "a,b"),
    ],
)  # fmt: skip
def test_channels_that_cannot_be(choice: tuple[str, ...]) -> None:
    with pytest.raises(DatabaseError):
        parse_channels(*choice)


def test_channels_are_mapped_by_name() -> None:
    channels = parse_channels("CH20", "v5=CH4, I=Left arm", "band")
    assert channels.multi == (("V5", "CH4"), ("I", "Left arm"))
    assert channels.channels == ("CH20", "CH4", "Left arm")
    assert channels.store_leads == (*STANDARD_LEADS, "band")


def test_subjects_and_activities(tmp_path: Path) -> None:
    for name in ("s1/rest/a.csv", "s1/walk/a.csv", "s2/rest/b.edf", "c.csv", "s1/rest/.x.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_sources(tmp_path)
    assert {s.path: s.subject for s in found.recordings} == {
        "c.csv": "c", "s1/rest/a.csv": "s1", "s1/walk/a.csv": "s1", "s2/rest/b.edf": "s2",
    }  # fmt: skip
    found = find_sources(tmp_path, "{subject}/{activity}/*")
    assert {s.path: (s.subject, s.activity) for s in found.recordings if not s.problem} == {
        "s1/rest/a.csv": ("s1", "rest"), "s1/walk/a.csv": ("s1", "walk"),
        "s2/rest/b.edf": ("s2", "rest"),
    }  # fmt: skip
    assert [s.path for s in found.recordings if s.problem] == ["c.csv"]
    table = text_file(
        tmp_path / "t.txt", "file,subject,activity\nc.csv,p9,run\nd.csv,p9,run\n../x,p,q\nc.csv,,"
    )
    found = find_sources(tmp_path, table=table)
    assert [(s.subject, s.activity) for s in found.recordings if not s.problem] == [("p9", "run")]
    kinds = [s.problem.kind for s in found.recordings if s.problem]
    assert kinds == ["no such file", "file outside folder", "listed twice"]
    for pattern in ("{activity}/*", "{subject}/{subject}", "{subject}/{x}/*"):
        with pytest.raises(DatabaseError, match="group"):
            find_sources(tmp_path, pattern)
    with pytest.raises(DatabaseError, match="not both"):
        find_sources(tmp_path, "{subject}/*", table)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatabaseError, match="no recording"):
        find_sources(tmp_path / "empty")


def test_files_of_one_stem_have_names_of_their_own(tmp_path: Path) -> None:
    for name in ("a.csv", "a.edf", "b.csv"):
        (tmp_path / name).touch()
    assert [s.name for s in find_sources(tmp_path).recordings] == ["a.csv", "a.edf", "b"]


@given(
    count=st.integers(3, 40), valid=st.floats(0, 0.3), test=st.floats(0, 0.3),
    seed=st.integers(0, 9),
)  # fmt: skip
@settings(deadline=None)
def test_shares_of_subjects(count: int, valid: float, test: float, seed: int) -> None:
    subjects = [f"s{k}" for k in range(count)]
    splits = SubjectSplits(valid, test, seed=seed).assign(subjects)
    assert splits.keys() == set(subjects)
    assert splits == SubjectSplits(valid, test, seed=seed).assign(reversed(subjects))
    sizes = {name: list(splits.values()).count(name) for name in ("train", "valid", "test")}
    assert sizes["train"] >= 1
    for name, share in (("valid", valid), ("test", test)):
        assert sizes[name] == (max(1, round(share * count)) if share else 0)


def test_named_subjects() -> None:
    splits = SubjectSplits(None, 0, valid_subjects=("b",)).assign("abcd")
    assert splits == {"a": "train", "b": "valid", "c": "train", "d": "train"}
    assert SubjectSplits(0, 0, test_subjects="x").assign("ab", known="abx") == {
        "a": "train", "b": "train",
    }  # fmt: skip
    with pytest.raises(DatabaseError, match="no recording of subject x"):
        SubjectSplits(test_subjects=("x",)).assign("ab")
    with pytest.raises(DatabaseError, match="for validation and for test"):
        SubjectSplits(test_subjects=("x",), valid_subjects=("x", "y"))
    with pytest.raises(DatabaseError, match="none to train on"):
        SubjectSplits(0.1, 0.1).assign("ab")
    with pytest.raises(DatabaseError, match="--valid-fraction 0.5 would not be used"):
        SubjectSplits(0.5, 0, valid_subjects=("b",))


class Prepared:
    """Recordings of three subjects at rest and walking, in three formats, and their store."""

    def __init__(self, folder: Path) -> None:
        self.root, self.dest = folder / "recordings", folder / "store"
        self.rest: dict[str, np.ndarray] = {}
        for number, subject in enumerate(("anna", "ben", "cleo")):
            self.rest[subject] = rest = wearable_recording(number)
            walk = wearable_recording(number, (10, 400, 400))
            walk[4, 500:2000] = 12.0  # flat within the first window
            walk[4, 12_500:13_000] += 9000  # off within the last
            rest[2, 10_000:15_000] = np.clip(rest[2, 10_000:15_000], -20, 20)
            for activity, signals in (("rest", rest), ("walk", walk)):
                path = self.root / subject / activity
                if number == 0:
                    write_csv(path / "r.csv", signals, preamble="Device: X\n\n", trailing=",")
                elif number == 1:
                    write_edf(path / "r.edf", signals)
                else:
                    write_wfdb(path / "r", signals)
        text_file(self.root / "ben/rest/broken.edf", "0")
        text_file(self.root / "ben/rest/other.csv", "time,A (mV)\n0,1\n.01,2\n.02,3\n")
        self.arguments = [
            "prepare", "recordings", str(self.root), *CHOICE, "--overlap", "5",
            "--group", "{subject}/{activity}/*", "--valid-subjects", "cleo",
            "--test-subjects", "anna", "--reference-share", "0.75",
        ]  # fmt: skip
        assert main([*self.arguments, "--dest", str(self.dest)]) == 0
        self.store = Store.open(self.dest)
        self.report = json.loads((self.dest / "report/report.json").read_text())
        self.windows = pd.read_csv(self.dest / "report/windows.csv", keep_default_na=False)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(tmp_path_factory.mktemp("own"))


def test_the_store_holds_reference_and_wearable(prepared: Prepared) -> None:
    store = prepared.store
    assert store.info.leads == (*STANDARD_LEADS, "wearable")
    absent = [lead for lead in STANDARD_LEADS if lead not in REFERENCE.values()]
    assert not store.read(np.arange(len(store)), absent).any()
    present = sum(1 << STANDARD_LEADS.index(lead) for lead in REFERENCE.values()) + (1 << 12)
    masks = store.records["lead_mask"]
    without_v1 = present - (1 << STANDARD_LEADS.index("V1"))
    assert set(masks) == {present, without_v1}
    for row in np.flatnonzero(masks == without_v1):
        assert not store.read([row], ["V1"]).any()
        assert "V1 left out: CH3 is clipped" in store.records["repaired"][row]


def test_windows_are_the_recording_without_its_offset(prepared: Prepared) -> None:
    records = prepared.store.records
    for subject, signals in prepared.rest.items():
        rows = records[(records["patient_id"] == subject) & records["source"].str.contains("rest")]
        assert len(rows) >= 8
        for row, record_id in zip(rows.index, rows["record_id"], strict=True):
            start = (int(record_id.split("/")[-1]) - 1) * 2500
            for lead, channel in (("II", 1), ("V5", 3), ("wearable", 4)):
                expected = signals[channel, start : start + 5000]
                expected = expected - np.median(expected)
                got = prepared.store.read([row], [lead])[0, 0]
                assert np.abs(got - expected).max() <= 1.51


def test_no_subject_is_on_two_sides(prepared: Prepared) -> None:
    records = prepared.store.records
    assert records.groupby("patient_id")["split"].nunique().max() == 1
    assert dict(zip(records["patient_id"], records["split"], strict=True)) == {
        "anna": "test", "ben": "train", "cleo": "valid",
    }  # fmt: skip
    for split in ("train", "valid", "test"):
        listed = read_manifest(prepared.dest / f"{split}.tsv").record_ids
        assert listed == records["record_id"][records["split"] == split].tolist()


def test_broken_files_are_refused_and_stop_nothing(prepared: Prepared) -> None:
    refused = (prepared.dest / "refused.tsv").read_text()
    assert "ben/rest/broken.edf\tben/rest/broken.edf: cannot be read as EDF" in refused
    assert "ben/rest/other.csv\t" in refused
    assert "ben" in set(prepared.store.records["patient_id"])


def test_the_report_adds_up(prepared: Prepared) -> None:
    windows, report = prepared.windows, prepared.report
    kept = windows[windows["reason"] == ""]
    assert kept["record_id"].tolist() == prepared.store.records["record_id"].tolist()
    assert report["all"]["kept"] == len(prepared.store)
    for name in ("recordings", "subjects", "activities"):
        parts = report[name].values()
        assert sum(part["windows"] for part in parts) == report["all"]["windows"] == len(windows)
        for part in (*parts, report["all"]):
            assert part["kept"] + sum(part["refused"].values()) == part["windows"]
            assert sum(part["splits"].values()) == part["kept"]
    assert (kept["figure"] >= report["threshold"]).all()
    assert (windows["figure"][windows["reason"] == "quality"] < report["threshold"]).all()
    walk = report["activities"]["walk"]
    assert walk["refused"]["flat"] == 3 and walk["refused"]["off"] >= 3
    assert report["activities"]["rest"]["kept"] >= 30 > walk["kept"]
    pictures = {path.name for path in (prepared.dest / "report").glob("*.png")}
    assert pictures == {"quality.png", "windows-rest.png", "windows-walk.png"}


def test_the_store_does_not_depend_on_workers(prepared: Prepared, tmp_path: Path) -> None:
    dest = tmp_path / "again"
    assert main([*prepared.arguments, "--dest", str(dest), "--workers", "2"]) == 0
    for name in ("signals.i16", "train.tsv", "refused.tsv", "report/windows.csv"):
        assert (dest / name).read_bytes() == (prepared.dest / name).read_bytes()
    assert list(tmp_path.iterdir()) == [dest]  # nothing is left beside it


def test_a_higher_threshold_keeps_a_part_of_it(prepared: Prepared, tmp_path: Path) -> None:
    dest = tmp_path / "strict"
    arguments = [*prepared.arguments, "--dest", str(dest), "--quality"]
    threshold = str(prepared.windows["figure"][prepared.windows["reason"] == ""].quantile(0.2))
    assert main([*arguments, threshold]) == 0
    strict = set(Store.open(dest).records["record_id"])
    assert strict < set(prepared.store.records["record_id"])
    assert main([*arguments, "0.99"]) == 1  # it is there already, and made otherwise
    assert main([*arguments, "auto", "--overwrite"]) == 0
    report = json.loads((dest / "report/report.json").read_text())
    assert 0.5 <= report["threshold"] <= 0.8
    assert "found from" in report["threshold_from"]


@pytest.mark.parametrize("rate", [100, 250, 2000])
def test_other_rates_are_resampled(tmp_path: Path, rate: int) -> None:
    signals = wearable_recording(2, (10, 10), rate=rate)
    write_csv(tmp_path / "in/a.csv", signals, rate=rate, time=False)
    dest = tmp_path / "store"
    arguments = ["prepare", "recordings", str(tmp_path / "in"), "--dest", str(dest), *CHOICE]
    shares = ["--valid-fraction", "0", "--test-fraction", "0"]
    assert main([*arguments, *shares, "--rate", str(rate)]) == 0
    store = Store.open(dest)
    assert len(store) == 2
    source = np.rint(signals[4, : 10 * rate])
    expected = resample(source - np.median(source), rate, 500)
    got = store.read([0], ["wearable"])[0, 0]
    assert np.abs(got - expected).max() <= 0.51


def test_nothing_kept_leaves_the_report_and_no_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).normal(0, 300, (5, 10_000))
    write_csv(tmp_path / "in/a.csv", noise)
    dest = tmp_path / "store"
    arguments = ["prepare", "recordings", str(tmp_path / "in"), "--dest", str(dest), *CHOICE]
    arguments += ["--valid-fraction", "0", "--test-fraction", "0"]
    assert main(arguments) == 1
    assert "no window can be used; of 2 windows" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in", "store.refused.tsv", "store.report",
    ]  # fmt: skip
    report = json.loads((tmp_path / "store.report/report.json").read_text())
    assert report["all"]["kept"] == 0
    (tmp_path / "in/a.csv").write_text("nothing\n")
    assert main(arguments) == 1
    assert "no window can be used; of 0 windows" in capsys.readouterr().err
    good = wearable_recording(1, (10,))
    for subject in ("b", "c"):
        write_csv(tmp_path / f"in/{subject}.csv", noise)
    write_csv(tmp_path / "in/a.csv", good)
    assert main([*arguments[:-4], "--valid-subjects", "a", "--test-fraction", "0"]) == 1
    assert "leave none to train on" in capsys.readouterr().err
    report = json.loads((tmp_path / "store.report/report.json").read_text())
    assert report["subjects"]["a"]["kept"] == 1


def test_a_wrong_command_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").touch()
    base = ["prepare", "recordings", str(tmp_path), "--dest", str(tmp_path / "store")]
    for extra in (
        ["--single", "A", "--multi", "I"],
        [*CHOICE, "--overlap", "10"],
        [*CHOICE, "--quality", "2"],
        [*CHOICE, "--reference-share", "0"],
        [*CHOICE, "--valid-fraction", "1"],
    ):
        assert main([*base, *extra]) == 1
        assert "selfmis prepare recordings: " in capsys.readouterr().err
    for extra in (["--rate", "-1"], ["--units", "kg"], ["--quality", "best"]):
        with pytest.raises(SystemExit):
            main([*base, *CHOICE, *extra])
