"""One reading of a WFDB record, whichever command asks: people's headers, and right values."""

from __future__ import annotations

import json
import os
import shutil
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import wfdb

from selfmis_plugin.cli.main import main
from selfmis_plugin.data.leads import STANDARD_LEADS, standard_lead
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.data.store import Store
from selfmis_plugin.predict.opening import open_strip_file
from selfmis_plugin.predict.strips import find_channels
from selfmis_plugin.preparation.recordings.opening import open_recording
from selfmis_plugin.preparation.wfdb.fast_reader import read_plain_record
from selfmis_plugin.preparation.wfdb.reader import read_recording
from tests.checkpoint_files import write_classifier

CASES = Path(__file__).parents[1] / "cases"
#: Microvolts with which most of the cases begin, to a microvolt.
FIRST = [-23.551, -14.572, -23.493, -37.267, -23.541]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("model") / "c.pt")


def case(name: str, tmp_path: Path) -> Path:
    folder = tmp_path / "case"
    shutil.copytree(CASES / f"wfdb_{name}", folder)
    return folder


def prepared(folder: Path, *options: str) -> Store:
    dest = folder.with_name("store")
    arguments = [str(folder), "--dest", str(dest), "--workers", "1", *options]
    assert main(["prepare", "wfdb-folder", *arguments]) == 0
    return Store.open(dest)


def predicted(model: Path, *files: Path) -> tuple[int, dict[str, Any]]:
    out = files[0].parent / "p.json"
    arguments = ["--quality", "0", "--json", str(out), *map(str, files)]
    status = main(["predict", "--model", str(model), *arguments])
    return status, json.loads(out.read_text()) if out.is_file() else {}


def scored(said: dict[str, Any]) -> list[int]:
    return [sum(not w["refused"] for w in file["windows"]) for file in said["files"]]


def whole(path: Path, channel: str = "I") -> np.ndarray:
    """All of a channel as ``predict`` reads it."""
    recording = open_strip_file(path)
    names, _ = find_channels(recording, ["I"]) if channel == "I" else ([channel], [])
    return np.concatenate([block.signals[0] for block in recording.blocks(names, 7.3)])


@pytest.mark.parametrize(
    "name", ["frame_rate_one", "length_omitted", "micro_utf8", "year_alone", "no_description"]
)
def test_a_plain_strip_is_read_by_predict(name: str, model: Path, tmp_path: Path) -> None:
    folder = case(name, tmp_path)
    header = next(p for p in sorted(folder.glob("*.hea")) if p.stem != "good")
    recording = open_strip_file(header)
    assert list(recording.rates.values()) == [500]
    values = whole(header)
    assert len(values) == 5000
    np.testing.assert_allclose(values[:5], FIRST, atol=1)
    status, said = predicted(model, header)
    assert status == 0 and scored(said) == [1]


@pytest.mark.parametrize("name", ["frame_rate_one", "length_omitted", "micro_utf8", "year_alone"])
def test_and_prepared_with_the_same_values(name: str, tmp_path: Path) -> None:
    folder = case(name, tmp_path)
    (header,) = folder.glob("*.hea")
    store = prepared(folder, "--leads", "I")
    assert len(store) == 1
    np.testing.assert_allclose(store.read([0], ["I"])[0, 0], whole(header), atol=0.51)


def test_frames_of_a_second_equal_wfdb(tmp_path: Path) -> None:
    folder = case("frame_rate_one", tmp_path)
    reference = wfdb.rdrecord(str(folder / "d"), smooth_frames=False).e_p_signal[0]
    np.testing.assert_allclose(whole(folder / "d.hea"), reference * 1000, atol=1e-9)


def test_a_gap_longer_than_a_block(model: Path, tmp_path: Path, capsys: Any) -> None:
    folder = case("gap_longer_than_a_block", tmp_path)
    status, said = predicted(model, folder / "a.hea")
    assert status == 0 and scored(said) == [2]
    (file,) = said["files"]
    assert len(file["windows"]) == 14
    assert [w["start"] for w in file["windows"] if not w["refused"]] == [0, 130]
    reference = wfdb.rdrecord(str(folder / "a")).p_signal[:, 0] * 1000
    np.testing.assert_allclose(whole(folder / "a.hea"), reference, atol=1e-9, equal_nan=True)
    with pytest.raises(RecordError, match="a gap, and no segment, fills the 30,000 samples"):
        read_recording(folder / "a.hea")


def test_one_damaged_header_is_refused_and_the_rest_stored(tmp_path: Path, capsys: Any) -> None:
    folder = case("header_5000_digits", tmp_path)
    for path in (CASES / "wfdb_year_alone").iterdir():
        shutil.copy(path, folder)
    os.mkfifo(folder / "x.hea")
    os.mkfifo(folder / "pipe.dat")
    (folder / "pipe.hea").write_text("pipe 1 500 5000\npipe.dat 16 1000/mV 16 0 0 0 0 I\n")
    foreign = os.fsencode(folder) + b"/caf\xe9"
    os.mkdir(foreign)
    for path in (CASES / "wfdb_year_alone").iterdir():
        shutil.copy(path, os.path.join(os.fsdecode(foreign), path.name))
    store = prepared(folder, "--leads", "I")
    assert list(store.records["source"]) == ["m"]
    refused = (store.path / "refused.tsv").read_text()
    for named in (
        "zz.hea",
        "x.hea: is not a file",
        "pipe.dat",
        "caf\\xe9/m: its name is not UTF-8",
    ):
        assert named in refused


@pytest.mark.parametrize(
    ("name", "leads"), [("lead_di", ["I", "II", "III"]), ("lead_in_words", ["I", "II"])]
)
def test_leads_by_other_names(name: str, leads: list[str], tmp_path: Path) -> None:
    store = prepared(case(name, tmp_path), "--leads", "I")
    mask = int(store.records["lead_mask"].iloc[0])
    assert [lead for k, lead in enumerate(STANDARD_LEADS) if mask >> k & 1] == leads


@pytest.mark.parametrize(
    ("name", "lead"),
    [
        ("I", "I"), ("i", "I"), (" Lead I ", "I"), ("ECG lead II", "II"), ("EKG_V1", "V1"),
        ("DI", "I"), ("DII", "II"), ("D3", "III"), ("ECG avr", "aVR"), ("Ableitung I", "I"),
        ("Derivación II", "II"), ("LEAD: V6", "V6"), ("leadI", "I"), ("MLII", None), ("MLI", None),
        ("V7", None), ("lead", None), ("ecg", None), ("D4", None), ("", None), ("I" * 99, None),
        ("lead " * 10**6, None), ("PLETH", None), ("aVR+aVL", None),
    ],
)  # fmt: skip
def test_what_a_lead_is_called(name: str, lead: str | None) -> None:
    assert standard_lead(name) == lead


def test_a_file_without_a_name_does_not_cost_the_others(model: Path, tmp_path: Path) -> None:
    folder = case("no_description", tmp_path)
    status, said = predicted(model, folder / "f.hea", folder / "good.hea")
    assert status == 0 and scored(said) == [1, 1]
    assert "taken for lead I" in " ".join(said["files"][0]["notes"])


@pytest.mark.parametrize("name", ["no_signal_lines", "signal_without_name"])
def test_a_header_with_less_than_it_announces(
    name: str, model: Path, tmp_path: Path, capsys: Any
) -> None:
    folder = case(name, tmp_path)
    good = CASES / "wfdb_no_description" / "good.hea"
    status, said = predicted(model, folder / "r.hea", good)
    assert scored(said)[-1] == 1
    if status:
        assert "r.hea" in capsys.readouterr().err


def test_a_record_called_after_its_file(tmp_path: Path) -> None:
    folder = case("record_name_with_mat", tmp_path)
    store = prepared(folder)
    expected = scipy.io.loadmat(folder / "E1.mat")["val"]
    np.testing.assert_array_equal(store.read([0])[0], expected)


def test_samples_per_frame_in_segments(model: Path, tmp_path: Path) -> None:
    folder = case("samples_per_frame_in_segments", tmp_path)
    assert list(open_strip_file(folder / "k.hea").rates.values()) == [500]
    parts = [
        wfdb.rdrecord(str(folder / f"k{n}"), smooth_frames=False).e_p_signal[0] for n in (1, 2)
    ]
    np.testing.assert_allclose(whole(folder / "k.hea"), np.concatenate(parts) * 1000, atol=1e-9)
    status, said = predicted(model, folder / "k.hea")
    assert status == 0 and not any("125" in note for note in said["files"][0]["notes"])


def test_a_length_that_is_no_number_takes_no_memory(model: Path, tmp_path: Path) -> None:
    folder = case("segment_memory", tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(RecordError, match="a0.hea: number of samples 'AVR'"):
            open_strip_file(folder / "r.hea")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    assert main(["predict", "--model", str(model), str(folder / "r.hea")]) == 1


def test_a_segment_without_leads_lacks_them(tmp_path: Path) -> None:
    folder = case("segment_without_leads", tmp_path)
    signal = prepared(folder, "--leads", "I").read([0], ["I"])[0, 0]
    expected = wfdb.rdrecord(str(folder / "c"), channel_names=["I"]).p_signal[2500:7500, 0] * 1000
    assert (signal[:2500] == 0).all() and np.isnan(expected[:2500]).all()
    np.testing.assert_allclose(signal[2500:], expected[2500:], atol=0.51)


def test_two_signals_of_one_name_are_named(model: Path, tmp_path: Path, capsys: Any) -> None:
    folder = case("two_signals_one_name", tmp_path)
    status, _ = predicted(model, folder / "g.hea")
    assert status == 1 and "two signals are named I" in capsys.readouterr().err
    single = ["--single", "I", "--multi", "I=I", "--dest", str(tmp_path / "r")]
    single += ["--valid-fraction", "0", "--test-fraction", "0"]
    assert main(["prepare", "recordings", str(folder), *single]) == 1
    assert "two signals are named I" in (tmp_path / "r.refused.tsv").read_text()


def test_two_spellings_of_one_lead_are_named(tmp_path: Path, model: Path, capsys: Any) -> None:
    folder = case("lead_in_words", tmp_path)
    header = folder / "h.hea"
    header.write_text(header.read_text().replace("ECG lead II", "DI"))
    assert predicted(model, header)[0] == 1
    assert "'Lead I' and 'DI' are both lead I" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "r 1 -500 5000", "r 1 nan 5000", "r 1 500 1e3", "r 1 500 AVR", "r 1 " + "9" * 5000,
        "r " + "9" * 5000 + " 500 5000", "r/" + "9" * 5000 + " 1 500 5000", "r", "r 0 500 5000",
        "r 1 1e-300 5000", "r 1 500 " + "9" * 18, "r/1 1 500 99999999999999999",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_quickly_by_every_door(line: str, tmp_path: Path) -> None:
    header = tmp_path / "r.hea"
    header.write_text(f"{line}\nr.dat 16 1000/mV 16 0 0 0 0 I\n")
    (tmp_path / "r.dat").write_bytes(bytes(10_000))
    began = time.process_time()
    for read in (read_recording, open_recording):
        with pytest.raises(RecordError, match=r"r\.(hea|dat)"):
            read(header)
    assert time.process_time() - began < 1
    assert read_plain_record(header) is None


@pytest.mark.parametrize("change", ["units", "rate"])
def test_a_segments_own_unit_counts_and_its_other_rate_is_refused(
    change: str, tmp_path: Path
) -> None:
    folder = case("samples_per_frame_in_segments", tmp_path)
    second = folder / "k2.hea"
    if change == "rate":
        second.write_text(second.read_text().replace(" 125 ", " 250 "))
        for read in (read_recording, open_recording):
            with pytest.raises(RecordError, match=r"k2\.hea: is not a segment of k\.hea"):
                read(folder / "k.hea")
        return
    before = whole(folder / "k.hea")
    second.write_text(second.read_text().replace("/mV", "/uV"))
    after = whole(folder / "k.hea")
    np.testing.assert_allclose(after[:5000], before[:5000])
    np.testing.assert_allclose(after[5000:] * 1000, before[5000:])
    np.testing.assert_allclose(read_recording(folder / "k.hea").microvolts[0], after)


@pytest.mark.parametrize("reads", [read_recording, read_plain_record])
def test_a_name_of_thousands_of_signs_is_not_shown_whole(reads: Any, tmp_path: Path) -> None:
    """Found by fuzzing: a header in which a number had run into the name of its file."""
    name = 5000 * "9"
    (tmp_path / "r.hea").write_text(f"r 1 500 60\n{name} 16 1000 16 0 0 0 0 I\n")
    try:
        reads(tmp_path / "r")
    except RecordError as error:
        assert len(error.reason) < 2000 and error.reason.startswith("999")
        assert error.reason.endswith("999: no such file, though r.hea names it")
    else:
        assert reads is read_plain_record  # which leaves such headers to the other
