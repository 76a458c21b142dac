"""Text files of ECGs: what is written is what is read, or it is said why not."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from selfmis_plugin.cli.main import main
from selfmis_plugin.data.preprocessing import MICROVOLTS
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.data.store import Store
from selfmis_plugin.predict.opening import open_strip_file
from selfmis_plugin.preparation.recordings.long_recording import ReadingOptions
from selfmis_plugin.preparation.recordings.text_head import lead_in, stated_rates
from selfmis_plugin.preparation.recordings.units import plain_unit
from tests.checkpoint_files import write_classifier
from tests.strip_files import lead_one
from tests.text_files import UNITS, TextForm, text_forms

SECONDS = 10

#: Heads of a watch's ECG in languages of phones; the values follow after an empty line.
WATCH_HEADS = {
    "es": (
        "Nombre,A\nFecha de registro,2024-01-02 10:11:12 +0100\nClasificación,Ritmo sinusal\n"
        'Dispositivo,"Watch6,2"\nFrecuencia de muestreo,512 hercios\n'
        "Derivación,Derivación I\nUnidad,µV\n"
    ),
    "ja": (
        "名前,テスト\n記録日,2024-06-15 10:30:00 +0900\n分類,洞調律\n"
        'デバイス,"Watch6,2"\nサンプルレート,512ヘルツ\nリード,リードI\n単位,µV\n'
    ),
    "ko": "이름,테스트\n샘플 속도,512헤르츠\n유도,유도 I\n단위,µV\n",
    "zh": (
        "姓名,测试 III\n记录日期,2025-01-05 09:54:54 +0800\n采样率,512赫兹\n\n"
        "导联,I 导联\n单位,微伏\n"
    ),
    "ru": "Имя,Иван V1\nЧастота дискретизации,512 Гц\nОтведение,Отведение I\nЕдиница,мкВ\n",
    "fr": "Nom,A\nFréquence d’échantillonnage,512 hertz\n\nDérivation,Dérivation I\nUnité,µV\n",
    "pl": "Imię,Jan\nCzęstotliwość próbkowania,512 herców\nOdprowadzenie,I\nJednostka,μV\n",
    "fi": "Nimi,Aino\nNäytteenottotaajuus,512 hertsiä\nKytkentä,Kytkentä I\nYksikkö,µV\n",
    # A word for hertz that no list holds: the number is known by where it stands.
    "unknown": "Aa,Bb 62\nCc,62 dd\nEe,512 ffgg\n\nHh,Hh I\nJj,µV\n",
    "thousands": "Name,A\nSample Rate,0.512 kHz\nLead,Lead I\nUnit,µV\n",
    "arabic": "الاسم,ا\nمعدل العينات,٥١٢ هرتز\nالقطب,القطب I\nالوحدة,µV\n",
}


def values_of(microvolts: np.ndarray, mark: str = ".") -> str:
    return "".join(f"{value:.3f}\n".replace(".", mark) for value in microvolts)


def write_all(folder: Path, microvolts: np.ndarray) -> dict[str, Path]:
    """Write lead I of 500 Hz (watches: 512 Hz) in all forms that say everything themselves."""
    watch = lead_one(SECONDS, 512)
    texts = {
        f"watch-{language}": head + "\n" + values_of(watch, "," if k % 2 else ".")
        for k, (language, head) in enumerate(WATCH_HEADS.items())
    }
    texts["watch-minus"] = WATCH_HEADS["fi"] + "\n" + values_of(watch, ",").replace("-", "−")
    texts["watch-no-blank-line"] = WATCH_HEADS["es"] + values_of(watch, ",")
    rows = [f"{k / 500:.3f};{value:.3f}" for k, value in enumerate(microvolts)]
    texts["comment"] = "# Sampling rate: 500 Hz\nI (uV);II (uV)\n" + "".join(
        f"{value:.3f};1\n" for value in microvolts
    )
    texts["notch"] = "# Notch filter: 50 Hz\n# fs = 500\n# Unit: mV\nI\tII\n" + "".join(
        f"{value / 1000:.6f}\t1\n" for value in microvolts
    )
    texts["counter"] = "sample;time (s);I (uV)\n" + "\n".join(
        f"{k};{r}" for k, r in enumerate(rows)
    )
    texts["suffix"] = "time_s;I_uV\n" + "\n".join(rows)
    texts["named-by-unit"] = "time;uV\n" + "\n".join(rows)
    texts["rdsamp"] = "'Elapsed time','I','V5'\n'hh:mm:ss.mmm','uV','mV'\n" + "".join(
        f"'{k // 30000}:{k / 500 % 60:06.3f}',{value:.3f},0.1\n"
        for k, value in enumerate(microvolts)
    )
    texts["rdsamp-blanks"] = "   Elapsed time\t  I\n   hh:mm:ss.mmm\t (uV)\n" + "".join(
        f"   0:{k / 500:06.3f}\t  {value:.3f}\n" for k, value in enumerate(microvolts)
    )
    texts["polar"] = "Phone timestamp;sensor timestamp [ns];timestamp [ms];ecg [uV]\n" + "".join(
        f"2024-05-01T10:00:{k // 73 * 73 / 500:06.3f};{838432586543515816 + 2_000_000 * k};"
        f"{2 * k:.1f};{value:.3f}\n"
        for k, value in enumerate(microvolts)
    )
    texts["whole-seconds"] = "timestamp,ecg (uV)\n" + "".join(
        f"2024-05-01T10:00:{k // 500:02d}" + (f".{k % 500 * 2:03d}" if k % 500 else "")
        + f",{value:.3f}\n"
        for k, value in enumerate(microvolts)
    )  # fmt: skip
    texts["no-header-mark"] = "\ufeff" + TextForm().write(microvolts[None]).decode()
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    for number, form in enumerate(FORMS):
        (folder / f"form-{number}.csv").write_bytes(form.write(microvolts[None]))
    return {path.stem: path for path in sorted(folder.iterdir())}


FORMS = [
    TextForm(quote='"', decimal=",", unit="mV"),
    TextForm(encoding="utf-16", unit="mV"),
    TextForm(encoding="utf-16-be", separator="\t", decimal=","),
    TextForm(unit="mcV"),
    TextForm(time="iso", names=("ecg",)),
    TextForm(line_end="\r", encoding="cp1252", unit="µV"),
    TextForm(separator=" ", decimal=","),
    TextForm(time="day first", separator=";", names=("ecg",), trailing=True),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("model") / "c.pt")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_all(tmp_path_factory.mktemp("texts"), lead_one(SECONDS))


def read(
    path: Path, names: Sequence[str] = (), options: ReadingOptions | None = None
) -> tuple[np.ndarray, float]:
    recording = open_strip_file(path, options)
    chosen = recording.names_of(names or [next(iter(recording.rates))])
    blocks = [block.signals for block in recording.blocks(chosen, 7)]
    return np.stack([np.concatenate(parts) for parts in zip(*blocks, strict=True)]), (
        recording.rates[chosen[0]]
    )


def test_every_form_holds_lead_one(files: dict[str, Path]) -> None:
    for name, path in files.items():
        watch = name.startswith("watch")
        values, rate = read(path)
        assert rate == (512 if watch else 500), name
        expected = lead_one(SECONDS, 512 if watch else 500)
        np.testing.assert_allclose(values[0], expected, atol=0.051, err_msg=name)
        called = "ecg" if name in ("polar", "whole-seconds", "form-4", "form-7") else "I"
        assert next(iter(open_strip_file(path).rates)) == (
            "ECG" if name == "named-by-unit" else called
        ), name


def test_predict_scores_every_form(
    files: dict[str, Path], checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.json"
    arguments = ["predict", "--model", str(checkpoint), "--json", str(out), "--all-labels"]
    assert main([*arguments, *map(str, files.values())]) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    results = {result["file"]: result for result in json.loads(out.read_text())["files"]}
    for path in files.values():
        assert f"{path.name}: 1 of 1 windows scored" in printed
    assert "its only channel, ecg, is taken for lead I" in results["polar.csv"]["notes"]
    tables = [r for name, r in results.items() if not name.startswith("watch")]
    for label, result in tables[0]["labels"].items():
        for other in tables:
            assert other["labels"][label]["probability"] == pytest.approx(
                result["probability"], abs=1e-3
            ), other["file"]


def test_prepare_reads_every_form_alike(tmp_path: Path) -> None:
    whole = np.stack([lead_one(10), lead_one(10, patient=1)])
    folder = tmp_path / "in"
    folder.mkdir()
    for number, form in enumerate(FORMS):
        both = dataclasses.replace(form, names=("arm", "chest"))
        (folder / f"{number}.txt").write_bytes(both.write(whole))
    arguments = ["prepare", "recordings", str(folder), "--dest", str(tmp_path / "store")]
    arguments += ["--single", "arm", "--multi", "I=chest", "--quality", "0"]
    assert main([*arguments, "--test-fraction", "0", "--valid-fraction", "0"]) == 0
    store = Store.open(tmp_path / "store")
    assert len(store) == len(FORMS)
    for lead, expected in (("wearable", whole[0]), ("I", whole[1])):
        for row in range(len(store)):
            got = store.read([row], [lead])[0, 0]
            np.testing.assert_allclose(got, expected - np.median(expected), atol=0.61)


# The channels' noise has whole and negative values, as those of ECGs.
NOISE = np.cumsum(np.random.default_rng(0).integers(-300, 301, (4, 600)), axis=1) / 10


@given(form=text_forms())
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
def test_what_is_written_is_what_is_read(tmp_path: Path, form: TextForm) -> None:
    check_form(tmp_path / "a.csv", form)


def check_form(path: Path, form: TextForm) -> None:
    """What is written is what is read; a comma that may be two things is refused."""
    signals = NOISE[: len(form.names)]
    path.write_bytes(form.write(signals))
    if form.is_ambiguous:
        with pytest.raises(RecordError):
            read(path, form.names)
        return
    assert list(open_strip_file(path).rates) == list(form.names)
    values, rate = read(path, form.names)
    assert rate == form.rate
    np.testing.assert_allclose(values, signals, atol=0.051)


def test_biosppy(tmp_path: Path) -> None:
    head = "# Simple Text Format\n# Sampling Rate (Hz):= 500.00\n# Resolution (bits):= 12\n"
    head += "# Date:= 2024-01-02T10:11:12\n# Data Type:= float64\n"
    path = tmp_path / "ecg.txt"
    path.write_text(head + "# Labels:= ECG\n" + "".join(f"{k - 50}\n" for k in range(100)))
    with pytest.raises(RecordError, match="channel ECG has no unit; give it with --units"):
        read(path)
    values, rate = read(path, ["ECG"], ReadingOptions(microvolts_per_unit=1))
    assert rate == 500
    np.testing.assert_array_equal(values[0], np.arange(100) - 50)
    for mark in ("\t", " "):
        rows = "".join(f"{k - 50}{mark}{k}.5\n" for k in range(100))
        path.write_text(head + "# Labels:= RESP\tECG\n" + rows)
        values, rate = read(path, ["ECG"], ReadingOptions(microvolts_per_unit=2))
        assert rate == 500
        np.testing.assert_array_equal(values[0], 2 * np.arange(100) + 1)


OPEN_SIGNALS = {
    "sensor": ["ECG"], "device name": "X", "column": ["nSeq", "DI", "CH1"], "sync interval": 2,
    "time": "14:52:33.540", "channels": [1], "date": "2017-2-9", "mode": 0, "digital IO": [0, 1],
    "firmware version": 772, "device": "biosignalsplux", "sampling rate": 1000, "label": ["CH1"],
    "resolution": [16], "special": [{}],
}  # fmt: skip


def open_signals(devices: object, columns: int) -> str:
    rows = "".join(
        "\t".join(map(str, [k % 16, 0, *(32000 + k + c for c in range(columns - 2))])) + "\t\n"
        for k in range(200)
    )
    return f"# OpenSignals Text File Format\n# {json.dumps(devices)}\n# EndOfHeader\n{rows}"


def test_open_signals(tmp_path: Path) -> None:
    path = tmp_path / "ecg.txt"
    for devices in ({"00:07:80:3B:46:61": OPEN_SIGNALS}, OPEN_SIGNALS):
        path.write_text(open_signals(devices, 3))
        # Steps of the converter, and the digital input is no lead called DI.
        assert dict(open_strip_file(path).rates) == {"CH1": 1000}
        with pytest.raises(RecordError, match="CH1 has no unit.*--units.*step of a recorder"):
            read(path)
        values, rate = read(path, ["CH1"], ReadingOptions(microvolts_per_unit=0.5))
        np.testing.assert_array_equal(values[0], 16000 + np.arange(200) / 2)
    more = OPEN_SIGNALS | {"column": ["nSeq", "DI", "CH1", "CH2"], "label": ["CH1", "CH2"]}
    path.write_text(open_signals({"A": more}, 4))
    assert list(open_strip_file(path).rates) == ["CH1", "CH2"]
    path.write_text(open_signals({"A": more}, 3))
    with pytest.raises(RecordError, match="names 4 columns, and its rows hold 3"):
        open_strip_file(path)
    both = {"A": OPEN_SIGNALS, "B": OPEN_SIGNALS | {"sampling rate": 500, "column": ["CH2"]}}
    path.write_text(open_signals(both, 4))
    with pytest.raises(RecordError, match=r"several rates \(1000, 500 Hz\); give .* --rate"):
        open_strip_file(path)


@pytest.mark.parametrize(
    ("line", "rates"),
    [
        ("Sampling Rate (Hz):= 500.00", [500]), ("sampling_rate: 250", [250]), ("fs=360", [360]),
        ("SamplingRate 1 kHz", [1000]), ("samplingFrequency;1.000", [1000]),
        ("Sample rate,1,000 hertz", [1000]), ("Sample Rate,512.414 hertz", [512.414]),
        ("Abtastrate,499,8 Hertz", [499.8]), ("Abtastintervall: 4 ms", [250]),
        ("Sample Interval (s),0.002", [500]), ("250 samples per second", [250]),
        ("Frequency (Hz): 250", [250]), ("ECG, 300 Hz, Lead I", [300]), ("512 Hz", [512]),
        ("Частота дискретизации: 500 Гц", [500]), ("采样频率：500", [500]), ("５００ Hz", [500]),
        ("Sampling rate: 500 Hz\nSampling rate: 250 Hz", [500, 250]),
        ("Notch: 50 Hz\nBandwidth 0.05-150 Hz\nSampling: 500 Hz", [500]),
        ("Notch filter 50 Hz", []), ("0.5-40 Hz", []), ("Heart rate: 72", []),
        ("Herzfrequenz,72 Schläge", []), ("Number of samples: 5000", []), ("Samples,5000", []),
        ("Sample duration: 30 s", []), ("Recorded Date,2024-01-02 10:11:12 +0100", []),
        ("Sampling rate 5 Hz", []), ("Software Version,512", []), ("Device,Watch6,2", []),
    ],
)  # fmt: skip
def test_rates_that_lines_say(line: str, rates: list[float]) -> None:
    assert list(stated_rates(line.split("\n")).values) == rates


def test_contradictions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = "".join(f"{k / 250:.3f},{k % 9 - 4}\n" for k in range(500))
    path.write_text("# Sampling rate: 500 Hz\ntime (s),I (uV)\n" + rows)
    with pytest.raises(RecordError, match=r"a.csv: says several rates \(250, 500 Hz, the first by"):
        open_strip_file(path)
    assert open_strip_file(path, ReadingOptions(rate=500)).rates == {"I": 500}
    path.write_text("# 500 Hz\n# 250 Hz\nI (mV)\n" + values_of(NOISE[0]))
    with pytest.raises(RecordError, match=r"several rates \(500, 250 Hz\); give .* --rate"):
        open_strip_file(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        # Whole numbers of two channels look like decimal commas of one.
        ("# fs=500\nch1,ch2\n2048,1990\n2047,1991\n2049,1992\n", "channel ch1 has no unit"),
        ("time (s),I (mV)\n0,000,0,12\n0,002,0,13\n0,004,0,14\n", "names 2 columns.*hold 4 values"),
        ("time,I (mV)\n1,0.000,0.1\n2,0.002,0.2\n3,0.004,0.3\n", "names 2 columns.*hold 3 values"),
        ("1,0\n2,0\n3,0\n", "no line with the names"),
        ("Sample rate,500 Hz\n1,0\n2,0\n3,0\n", "no line with the names|no unit"),
        ("time (s);I (mV)\n0;0,1\n0,002;0,2\n0,004;0,3\n0,006;1.234,5\n", "'1.234,5', which is no"),
        ("time (s),I (uV)\n0,1\n.002,2\n.004,3\n.006,12abc\n", "value 4 of I is '12abc'"),
        ('time (s),I (uV)\n"0","1"\n".002","2"\n".004","3"\n".006,4\n', "does not end in line 5"),
        ("time,I (uV)\n" + "0,1\n" * 5, "column time does not advance"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(RecordError, match=reason):
        read(path)


def test_one_word_among_decimal_commas_is_a_missing_sample(tmp_path: Path) -> None:
    rows = [f"{k / 500:.3f};{k / 10:.1f}".replace(".", ",") for k in range(500)]
    rows[300] = "0,600;---"
    path = tmp_path / "a.csv"
    path.write_text("time (s);I (uV)\n" + "\n".join(rows) + "\n")
    values, _ = read(path)
    assert np.flatnonzero(np.isnan(values[0])).tolist() == [300]
    np.testing.assert_allclose(np.delete(values[0], 300), np.delete(np.arange(500) / 10, 300))


def test_remarks_among_the_data_and_frequencies_of_other_things(tmp_path: Path) -> None:
    rows = [f"{k / 500:.3f},{k}" for k in range(500)]
    rows.insert(300, "# marker 1")
    path = tmp_path / "a.csv"
    path.write_text("Shown with 25 Hz\ntime (s),I (uV)\n" + "\n".join(rows) + "\n# 2024, end")
    values, rate = read(path)
    assert rate == 500
    np.testing.assert_array_equal(values[0], np.arange(500))


def test_a_column_of_dates_beside_one_of_clocks(tmp_path: Path) -> None:
    rows = [f"01.05.2024;10:00:{k / 500:06.3f};rest;{k}" for k in range(1000)]
    path = tmp_path / "a.csv"
    path.write_text("Tag;Uhrzeit;Marke;I (uV)\n" + "\n".join(rows) + "\n")
    assert open_strip_file(path).rates == {"Marke": 500, "I": 500}
    values, _ = read(path, ["I"])
    np.testing.assert_array_equal(values[0], np.arange(1000))


def test_utf_16_without_its_mark(tmp_path: Path) -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        path = tmp_path / "a.csv"
        path.write_bytes(TextForm().write(NOISE[:1]).decode().encode(encoding))
        np.testing.assert_allclose(read(path)[0], NOISE[:1], atol=0.051)


def test_channels_are_also_named_as_in_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time (s),I (mV),ecg_uV\n" + "".join(f"{k / 500},1,2\n" for k in range(500)))
    recording = open_strip_file(path)
    assert recording.names_of(["i (MV)", "ecg_uV", "ecg"]) == ("I", "ecg", "ecg")


@pytest.mark.parametrize("unit", UNITS)
def test_units_in_languages_of_phones(unit: str) -> None:
    assert MICROVOLTS[plain_unit(unit)] == UNITS[unit]
    assert MICROVOLTS[plain_unit(f" {unit}. ")] == UNITS[unit]


def test_micro_signs_of_other_encodings() -> None:
    for micro in ("µ", "μ"):
        assert plain_unit(f"{micro}V".encode().decode("latin-1")) == "uv"
    assert plain_unit("µV".encode("latin-1").decode("utf-8", "replace")) == "uv"
    assert {plain_unit(text) for text in ("Ω", "mmHg", "lead v", "adc")} & {*MICROVOLTS} == set()


@pytest.mark.parametrize(
    ("text", "lead"),
    [
        ("Lead I", "I"), ("リードI", "I"), ("유도 II", "II"), ("I 导联", "I"), ("導程Ⅱ", "II"),
        ("Отведение V5", "V5"), ("Dérivation aVR", "aVR"), ("III", "III"), ("Max", None),
        ("", None), ("Herz-VI", None), ("ÉTI", None), ("V10", None),
    ],
)  # fmt: skip
def test_leads_in_words(text: str, lead: str | None) -> None:
    assert lead_in(text) == lead


HUGE = {
    "digits": "1" * 300_000,
    "brackets": "time," + "(" * 60_000 + "\n0,1\n1,2\n2,3\n",
    "underscores": "time," + "_" * 60_000 + "\n0,1\n1,2\n2,3\n",
    "brackets in a head of lines": ("(" * 900 + "\n") * 400,
    "digits in a head of lines": ("9" * 900 + " \n") * 400 + "x",
    "columns": ",".join("1" * 300_000) + "\n",
    "columns in short lines": (",".join("1" * 16_000) + "\n") * 9,
    "words between numbers": ("1," * 240 + "x,y\n") * 500,
    "mixed separators": ("1,2;3\t4|5 x y " * 30 + "\n") * 500,
    "nested": "# " + '{"a":' * 6000 + "\n0,1\n1,2\n2,3\n",
    "a line of 100 MB": "a" * 100_000_000,
    "a row of 100 MB": "time (s),I (uV)\n" + "0,1\n.002,2\n.004,3\n" * 2 + "1" * 100_000_000,
    "zeros": "\0" * 1_000_000,
}


@pytest.mark.parametrize("name", HUGE)
def test_no_file_takes_a_second_to_refuse(tmp_path: Path, name: str) -> None:
    path = tmp_path / "in.csv"
    path.write_text(HUGE[name])
    for options in (ReadingOptions(), ReadingOptions(rate=500, microvolts_per_unit=1)):
        begin = time.process_time()
        with pytest.raises(RecordError):
            read(path, options=options)
        assert time.process_time() - begin < 1


def test_times_of_another_rate_are_no_gaps_to_fill(tmp_path: Path) -> None:
    rows = [f"{k * 1e-5:.5f},{k % 9}" for k in range(30_000)]
    rows += [f"{1 + 0.9 * k:.1f},{k % 9}" for k in range(30_000)]
    path = tmp_path / "a.csv"
    path.write_text("time (s),I (uV)\n" + "\n".join(rows) + "\n")
    with pytest.raises(RecordError, match="begin with 100000 samples a second, and nearly all"):
        read(path)
