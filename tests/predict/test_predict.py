"""Predictions of single recordings, in whatever file they come."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import edfio
import numpy as np
import pandas as pd
import pytest
import scipy.io
from matplotlib.image import imread
from scipy.special import expit

import selfmis_plugin
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.person import Person
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.metrics.calibrated import PersonLine
from selfmis_plugin.metrics.operating_point import OperatingPoint
from selfmis_plugin.predict.opening import open_strip_file
from selfmis_plugin.predict.picture import draw_prediction
from selfmis_plugin.predict.prediction import Prediction
from selfmis_plugin.predict.strips import Strip, StripWindow
from selfmis_plugin.predict.words import recording_lines
from selfmis_plugin.preparation.record import prepare_recording
from selfmis_plugin.preparation.recordings.long_recording import ReadingOptions
from selfmis_plugin.preparation.wfdb.reader import read_recording
from tests.checkpoint_files import write_classifier, write_towers
from tests.strip_files import ENGLISH, GERMAN, lead_one, write_watch
from tests.wfdb_files import write_record


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("model") / "c.pt")


def read_back(path: Path, options: ReadingOptions | None = None) -> tuple[np.ndarray, float, str]:
    recording = open_strip_file(path, options)
    (name,) = recording.rates
    parts = [block.signals[0] for block in recording.blocks([name], 7)]
    return np.concatenate(parts), recording.rates[name], name


@pytest.mark.parametrize(("head", "comma"), [(ENGLISH, False), (GERMAN, True), (GERMAN, False)])
def test_an_ecg_of_a_watch_is_read_in_any_language(tmp_path: Path, head: str, comma: bool) -> None:
    signal = lead_one(30, 512)
    values, rate, name = read_back(write_watch(tmp_path / "ecg.csv", signal, head, comma))
    assert (rate, name) == (512, "I")
    np.testing.assert_allclose(values, signal, atol=6e-4)


def test_other_files_of_one_column(tmp_path: Path) -> None:
    signal = lead_one(10, 300) / 1000
    path = tmp_path / "kardia.csv"
    path.write_text("ECG (mV)\n" + "".join(f"{value:.6f}\n" for value in signal))
    with pytest.raises(RecordError, match="kardia.csv: says no rate.*--rate"):
        read_back(path)
    values, rate, name = read_back(path, ReadingOptions(rate=300))
    assert (rate, name) == (300, "ECG")
    np.testing.assert_allclose(values, signal * 1000, atol=1e-3)
    path.write_text("".join(f"{value:.6f}\n" for value in signal))
    with pytest.raises(RecordError, match="no unit"):
        read_back(path, ReadingOptions(rate=300))
    path.write_text("ECG (mV)\n1.5\n2.5\n3.5\nstop\n")
    with pytest.raises(RecordError, match="value 4 is 'stop'"):
        read_back(path, ReadingOptions(rate=300))
    # Columns of whole numbers apart by commas are no decimal commas.
    path.write_text("time_ms,I (uV)\n" + "".join(f"{2 * k},{k % 50}\n" for k in range(1000)))
    values, rate, name = read_back(path)
    assert (rate, name, values[49]) == (500, "I", 49)


def test_all_formats_say_the_same(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = np.rint(lead_one(30))
    write_record(tmp_path / "w", whole[None].astype(np.int64), leads=["I"])
    write_watch(tmp_path / "a.csv", whole, ENGLISH.replace("512", "500"))
    rows = [f"{k / 500:.3f};{value / 1000:.3f}" for k, value in enumerate(whole)]
    (tmp_path / "t.csv").write_text("time (s);ecg (mV)\n" + "\n".join(rows) + "\n")
    edf = edfio.EdfSignal(
        whole, 500, label="ECG I", physical_dimension="uV", physical_range=(-32768, 32767)
    )
    edfio.Edf([edf]).write(tmp_path / "e.edf")
    files = [tmp_path / name for name in ("w.hea", "a.csv", "t.csv", "e.edf")]
    out = tmp_path / "p.json"
    arguments = ["predict", "--model", str(checkpoint), "--json", str(out), "--all-labels"]
    assert main([*arguments, *map(str, files)]) == 0
    printed = capsys.readouterr().out
    assert "its only channel, ecg, is taken for lead I" in printed
    assert "For research, not for diagnosis." in printed and "No thresholds" in printed
    result = json.loads(out.read_text())
    first, *others = result["files"]
    assert [window["start"] for window in first["windows"]] == [0, 10, 20]
    assert list(first["labels"]) == ["AMI", "IMI", "PMI", "NORM"]
    expected = selfmis_plugin.load_model(checkpoint).predict(whole / 1000, 500, "mV", "I")
    for label, one in first["labels"].items():
        assert one["threshold"] is None and one["above_threshold"] is None
        by_window = [window["probabilities"][label] for window in first["windows"]]
        assert one["probability"] == pytest.approx(np.mean(by_window))
        assert (one["low"], one["high"]) == (min(by_window), max(by_window))
        assert one["probability"] == pytest.approx(expected.results[label].probability, abs=1e-6)
        for other in others:
            assert other["labels"][label]["probability"] == pytest.approx(
                one["probability"], abs=1e-5
            )


def test_types_above_their_thresholds_are_marked_in_the_picture(checkpoint: Path) -> None:
    model = selfmis_plugin.load_model(checkpoint)
    prediction = model.predict(lead_one(20), 500, "uV", "I")
    columns = {label: prediction.logits[:, k] for k, label in enumerate(prediction.labels)}

    def point(logit: float) -> OperatingPoint:
        return OperatingPoint(float(logit), 0.9, 0.5, 5, 50)

    points = {
        "PMI": point(columns["PMI"].min() - 1),
        "AMI": point(columns["AMI"].max() + 1),
        "NORM": point(columns["NORM"].min() - 1),
    }

    def said(prediction: Prediction) -> tuple[list[str], list[str]]:
        texts = [text.get_text() for text in draw_prediction(prediction, ("I",), 500).axes[0].texts]
        titles = [text for text in texts if text.startswith("from ")]
        return titles, [text for text in texts if "AMI 0." in text]

    titles, lines = said(dataclasses.replace(prediction, points=points))
    marked = "(\u25b2 above threshold: posterior infarction)"
    assert len(lines) == 2 and all(title.endswith(marked) for title in titles)
    for text in lines:
        # First of the infarction types, which are the ones that stand there; IMI has no threshold.
        assert re.match(r"PMI 0\.\d+ \u25b2   ", text) and text.count("\u25b2") == 1
        assert "NORM" not in text
    assert not any("\u25b2" in text for part in said(prediction) for text in part)
    # A line has no room for the words of all.
    points |= {name: point(columns[name].min() - 1) for name in ("AMI", "IMI")}
    titles, lines = said(dataclasses.replace(prediction, points=points))
    assert all(text.count("\u25b2") == 3 for text in lines)
    names = "(anterior|inferior|posterior)"
    assert re.search(f"infarctions above threshold: {names}, {names} and 1 more\\)$", titles[0])


def test_a_real_record_gets_what_evaluation_of_a_store_gives(
    tmp_path: Path, checkpoint: Path, real_data: Path
) -> None:
    """The signal of :func:`prepare_recording`, which stores hold, and of the network that
    ``selfmis evaluate`` runs, against the file itself."""
    model = selfmis_plugin.load_model(checkpoint)
    compared = 0
    for header in sorted((real_data / "challenge2021").glob("*.hea")):
        recording = read_recording(header.with_suffix(""))
        if recording.microvolts.shape[1] != 10 * recording.rate:
            continue  # a store holds the middle of a longer one
        stored = prepare_recording(recording, header.name).signal[:1]
        strip = model.cut(open_strip_file(header), quality=0)
        assert len(strip.windows) == 1
        if not np.isfinite(recording.microvolts[0]).all():
            continue
        np.testing.assert_array_equal(strip.windows[0].signal, stored)
        compared += 1
    assert compared >= 5


def test_windows_cover_a_recording(checkpoint: Path) -> None:
    model = selfmis_plugin.load_model(checkpoint)
    whole = lead_one(60) / 1000

    def starts(samples: int) -> list[float]:
        return [w.start for w in model.predict(whole[:samples], 500).strip.windows]

    assert starts(15_000) == [0, 10, 20]
    assert starts(14_990) == [0, 10, pytest.approx(19.98)]
    assert starts(12_400) == [0, 10]
    assert starts(12_500) == [0, 10, 15]
    short = model.predict(whole[:3000], 500).strip
    assert short.notes == ("padded with zeros from 6.0 s",)
    assert short.windows[0].signal.shape == (1, 5000)
    assert short.windows[0].signal[0, :3000].any() and not short.windows[0].signal[0, 3000:].any()
    with pytest.raises(RecordError, match=r"4\.0 s .* too short: a strip needs 5 s"):
        model.predict(whole[:2000], 500)


def test_an_interruption_begins_new_windows(tmp_path: Path, checkpoint: Path) -> None:
    times = np.concatenate([np.arange(6000), np.arange(6000) + 60_000]) / 500
    values = np.concatenate([lead_one(12), lead_one(12)])
    rows = [f"{t:.3f},{v:.1f}" for t, v in zip(times, values, strict=True)]
    path = tmp_path / "gap.csv"
    path.write_text("time (s),I (uV)\n" + "\n".join(rows) + "\n")
    strip = selfmis_plugin.load_model(checkpoint).cut(open_strip_file(path))
    assert [window.start for window in strip.windows] == [0, 120]
    (note,) = [note for note in strip.notes if "half a window" in note]
    assert note.endswith(": 2.0 s before interruptions and the last 2.0 s")


def test_bad_windows_are_refused_and_the_others_scored(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    good = lead_one(10)
    clipped = np.clip(3 * good, -np.abs(good).max() / 3, np.abs(good).max() / 3)
    noise = rng.normal(0, 300, 5000)
    path = write_watch(
        tmp_path / "ecg.csv",
        np.concatenate([good, np.zeros(5000), clipped, noise]),
        ENGLISH.replace("512", "500"),
    )
    out, png = tmp_path / "p.json", tmp_path / "p.png"
    arguments = ["predict", "--model", str(checkpoint), "--json", str(out), "--png", str(png)]
    assert main([*arguments, str(path)]) == 0
    printed = capsys.readouterr().out
    assert "1 of 4 windows scored" in printed and "from 10 s not scored: flat" in printed
    refused = [window["refused"] for window in json.loads(out.read_text())["files"][0]["windows"]]
    assert refused[0] is None
    assert refused[1] == "flat" and "clipped" in refused[2] and "noisy" in refused[3]
    assert imread(png).shape[0] > 4 * 20 / 25.4 * 150
    # Nothing but a flat line: no probability at all, and that is no error.
    write_watch(path, np.zeros(15_000))
    assert main([*arguments, str(path)]) == 0
    assert "0 of 3 windows scored" in capsys.readouterr().out
    assert json.loads(out.read_text())["files"][0]["labels"] == {}


def test_the_lead_is_never_guessed_against_a_name(tmp_path: Path, checkpoint: Path) -> None:
    model = selfmis_plugin.load_model(checkpoint)
    signal = np.stack([lead_one(10), lead_one(10, patient=1)])
    with pytest.raises(RecordError, match="reads lead I, and there is no I among V5"):
        model.predict(signal[0], 500, "uV", "V5")
    expected = model.predict(signal[1], 500, "uV", "I").logits
    np.testing.assert_array_equal(model.predict(signal, 500, "uV", ("V5", "I")).logits, expected)
    write_record(tmp_path / "w", np.rint(signal).astype(np.int64), leads=["V5", "X"])
    with pytest.raises(RecordError, match="no I among V5, X"):
        model.cut(open_strip_file(tmp_path / "w"))
    chosen = model.score([model.cut(open_strip_file(tmp_path / "w.dat"), ["X"])])[0]
    np.testing.assert_allclose(chosen.logits, expected, atol=1e-3)


def test_a_channel_that_is_another_lead_is_not_taken_for_the_models(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signal = np.rint(np.stack([lead_one(10), lead_one(10, patient=1)])).astype(np.int64)
    write_record(tmp_path / "w", signal, leads=["II", "ECG"])
    command = ["predict", "--model", str(checkpoint), str(tmp_path / "w.hea"), "--lead"]
    assert main([*command, "ii"]) == 1
    shown = capsys.readouterr()
    said = "channel II is lead II, and the classifier reads lead I there: name that one with"
    assert f"w.hea: {said} --lead, or take a model of lead II" in shown.err and not shown.out
    assert main([*command, "ECG"]) == 0
    assert "w.hea: 1 of 1 windows scored" in capsys.readouterr().out
    # A file that names no channel has the names that the user gives.
    np.save(tmp_path / "a.npy", signal[1])
    told = [*command[:3], str(tmp_path / "a.npy"), "--rate", "500", "--unit", "uV", "--lead"]
    assert main([*told, "Ableitung II"]) == 1
    assert "channel Ableitung II is lead II" in capsys.readouterr().err
    assert main([*told, "I"]) == 0
    # From Python it is said in Python's words.
    model = selfmis_plugin.load_model(checkpoint)
    with pytest.raises(RecordError, match=f"w.hea: {said} channels=, or"):
        model.cut(open_strip_file(tmp_path / "w"), ["II"])
    with pytest.raises(RecordError, match="no I among X, II; .* with lead="):
        model.predict(signal, 500, "uV", ("X", "II"))
    with pytest.raises(RecordError, match="no I among V5; take a recording that has it, or"):
        model.predict(signal[0], 500, "uV", "V5")


def test_unit_and_rate_of_the_user_go_first(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_watch(tmp_path / "ecg.csv", lead_one(30, 512) / 1000, ENGLISH)
    out = tmp_path / "p.json"
    arguments = ["predict", "--model", str(checkpoint), "--json", str(out), str(path)]
    assert main(arguments) == 0  # in microvolts this is a flat line
    assert "0 of 3 windows scored" in capsys.readouterr().out
    assert main([*arguments, "--unit", "mV"]) == 0
    printed = capsys.readouterr().out
    assert "3 of 3 windows scored" in printed
    assert "read as 1000 uV a unit, as told, though the file says" in printed
    assert "though the file says 512 Hz" not in printed
    assert main([*arguments, "--unit", "mV", "--rate", "256"]) == 0
    assert len(json.loads(out.read_text())["files"][0]["windows"]) == 6
    assert "read as 256 Hz, as told, though the file says 512 Hz" in capsys.readouterr().out
    # What is told and said is no matter for a note; nor what the file does not say.
    assert main([*arguments, "--unit", "uV", "--rate", "512"]) == 0
    assert "as told" not in capsys.readouterr().out
    np.save(tmp_path / "a.npy", lead_one(30, 512) / 1000)
    told = ["--unit", "mV", "--rate", "512"]
    assert main([*arguments[:-1], str(tmp_path / "a.npy"), *told]) == 0
    assert "as told" not in capsys.readouterr().out


@pytest.mark.parametrize("format", ["wfdb", "edf", "mat"])
def test_a_header_that_says_otherwise_than_the_user_is_noted(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str], format: str
) -> None:
    signal = lead_one(30, 500)
    if format == "wfdb":
        path = write_record(tmp_path / "r", signal.astype(np.int64)[None], leads=["I"], rate=500)
        path = path.with_suffix(".hea")
    elif format == "edf":
        path = tmp_path / "r.edf"
        one = edfio.EdfSignal(signal / 1000, 500, label="I", physical_dimension="mV")
        edfio.Edf([one]).write(path)
    else:
        path = tmp_path / "r.mat"
        scipy.io.savemat(path, {"val": signal[None], "fs": 500})
    command = ["predict", "--model", str(checkpoint), str(path), "--rate", "400"]
    assert main([*command, "--unit", "uV" if format == "mat" else "3"]) == 0
    printed = capsys.readouterr().out
    assert "read as 400 Hz, as told, though the file says 500 Hz" in printed
    said = {"wfdb": "read as 3 uV a unit, as told, though", "edf": "though the file says mV"}
    assert said.get(format, "") in printed


def test_a_bad_file_does_not_cost_the_others(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_watch(tmp_path / "good.csv", lead_one(30, 512))
    bad = tmp_path / "bad.edf"
    bad.write_bytes(b"0" * 300)
    missing = tmp_path / "missing.csv"
    assert main(["predict", "--model", str(checkpoint), str(bad), str(missing), str(good)]) == 1
    shown = capsys.readouterr()
    assert "good.csv: 3 of 3 windows scored" in shown.out
    assert "bad.edf" in shown.err and "missing.csv: no such file" in shown.err


def test_what_became_of_every_window_is_said(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_watch(tmp_path / "in.csv", np.concatenate([lead_one(20, 512), np.zeros(5120)]))
    command = ["predict", "--model", str(checkpoint), str(tmp_path / "in.csv"), "--dest"]
    assert main([*command, str(tmp_path / "some")]) == 0
    printed = capsys.readouterr().out
    assert "2 windows scored, 1 not scored, 0 files not read (why: column refused)" in printed
    write_watch(tmp_path / "in.csv", lead_one(20, 512))
    assert main([*command, str(tmp_path / "all")]) == 0
    assert "2 windows scored, 0 not scored, 0 files not read\n" in capsys.readouterr().out


def test_of_no_window_there_is_no_threshold_and_quality_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The model that comes with the plugin has thresholds.
    command = ["predict", str(write_watch(tmp_path / "ecg.csv", lead_one(10, 512)))]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "* above the threshold" in printed and "--quality" not in printed
    assert main([*command, "--quality", "1"]) == 0
    printed = capsys.readouterr().out
    assert "0 of 1 windows scored" in printed and "the beats are alike to" in printed
    assert "above the threshold" not in printed
    assert "alike to less than 1 are scored with a lower --quality" in printed


@pytest.mark.parametrize("folder", [".", "./", "in/.."])
def test_the_folder_that_one_stands_in_is_a_folder_as_any(
    tmp_path: Path,
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: str,
) -> None:
    place = tmp_path / "recordings"
    (place / "in").mkdir(parents=True)
    monkeypatch.chdir(place)
    command = ["predict", "--model", str(checkpoint), folder]
    assert main(command) == 1
    assert "no recording of a known format in it" in capsys.readouterr().err
    write_watch(place / "ecg.csv", lead_one(30, 512))
    assert main([*command, "--dest", str(tmp_path / "said")]) == 0
    assert len(pd.read_parquet(tmp_path / "said")) == 3
    assert main(command) == 0
    assert "ecg.csv: 3 of 3 windows scored" in capsys.readouterr().out
    with pytest.raises(RecordError, match="is a folder: name the recordings in it"):
        open_strip_file(Path(folder))


def test_reduced_precision_changes_little(checkpoint: Path) -> None:
    signal = lead_one(30) / 1000
    whole, reduced = (
        selfmis_plugin.load_model(checkpoint, precision).predict(signal, 500).logits
        for precision in ("float32", "bfloat16")
    )
    assert not np.array_equal(whole, reduced)
    np.testing.assert_allclose(expit(reduced), expit(whole), atol=0.02)


def test_a_prediction_is_shown_in_a_line(tmp_path: Path) -> None:
    names = (*(f"L{k}" for k in range(9)), "AMI", "IMI")
    model = selfmis_plugin.load_model(write_classifier(tmp_path / "c.pt", labels=names))
    prediction = model.predict(np.concatenate([lead_one(600), np.zeros(5000)]), 500, "uV")
    shown = repr(prediction)
    assert len(shown) < 250 and "\n" not in shown
    assert "60 of 61 windows scored" in shown
    for label in ("AMI", "IMI", "L0", "L6"):
        assert f"{label} {prediction.results[label].probability:.3f}" in shown
    assert shown.endswith(", 2 more labels>")
    flat = model.predict(np.zeros(5000), 500)
    assert repr(flat) == "<Prediction of 'signal': 0 of 1 windows scored>"


def test_errors(tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CheckpointError, match="predicts no label"):
        selfmis_plugin.load_model(write_towers(tmp_path / "t.pt"))
    model = selfmis_plugin.load_model(checkpoint)
    signal = lead_one(10)
    with pytest.raises(ValueError, match="unit 'kg'"):
        model.predict(signal, 500, "kg")
    with pytest.raises(ValueError, match=r"not \(leads, samples\)"):
        model.predict(signal, 500, "mV", ("I", "II"))
    with pytest.raises(RecordError, match="samples a second"):
        model.predict(signal, 0)
    with pytest.raises(ValueError, match="precision"):
        selfmis_plugin.load_model(checkpoint, "int3")
    assert main(["predict", "--model", str(tmp_path / "none"), "x.csv"]) == 1
    assert "none" in capsys.readouterr().err
    assert main(["predict", "--model", str(checkpoint), str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "no recording of a known format in it" in shown.err and not shown.out


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        (("any infarction", "IMI"), "age and sex judge each label by itself"),
        (("IMI",), "age and sex judge IMI alone of the two"),
        ((), None),
    ],
)
def test_an_infarction_that_is_less_likely_than_one_type_is_explained(
    judged: tuple[str, ...], said: str | None
) -> None:
    window = StripWindow(0.0, 10.0, np.zeros((1, 5000), dtype=np.int16), 1.0, "")
    lines = {
        # At 60 years the line is the intercept and the sex's: log odds of 1 for IMI, -1 for any.
        label: PersonLine(1.0, odds, 0.0, 0.0, 0.0, 0.0, 0.0, 9)
        for label, odds in (("any infarction", -1.0), ("IMI", 1.0))
        if label in judged
    }
    prediction = Prediction(
        Strip("ecg", (window,), ("a note",)),
        ("any infarction", "AMI", "IMI"),
        np.array([[0.1, -3.0, 0.0]], dtype=np.float32),
        {},
        with_person=lines,
        person=Person("male", 60.0),
    )
    notes = prediction.to_dict()["notes"]
    lines_of_text = "\n".join(recording_lines(prediction))
    assert notes[0] == "a note"
    if said is None:
        assert notes == ["a note"] and "is below" not in lines_of_text
        return
    (note,) = notes[1:]
    chance = prediction.results["any infarction"].probability
    assert note.startswith(f"any infarction ({chance:.3f}) is below IMI (0.731), which is one: ")
    assert said in note and note in lines_of_text


@pytest.mark.parametrize(("seconds", "noted"), [(24, True), (25, False), (20, False)])
def test_what_is_too_short_for_a_window_is_noted(
    checkpoint: Path, seconds: int, noted: bool
) -> None:
    model = selfmis_plugin.load_model(checkpoint)
    notes = model.predict(lead_one(seconds) / 1000, 500, quality=0).notes
    wanted = ["not scored, as shorter than half a window: the last 4.0 s"] if noted else []
    assert [note for note in notes if "half a window" in note] == wanted
