"""EDF files as recorders leave them: cut short, ending in .rec, with units in UTF-8."""

from __future__ import annotations

import json
from pathlib import Path

import edfio
import numpy as np
import pytest

from selfmis_plugin.cli.main import main
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.data.store import Store
from selfmis_plugin.predict.opening import open_strip_file
from selfmis_plugin.preparation.recordings.opening import open_recording
from tests.checkpoint_files import write_classifier
from tests.strip_files import lead_one

RECORD = 1000  # bytes of a second of one channel of 500 Hz


def write_edf(path: Path, signals: dict[str, np.ndarray], unit: bytes = b"uV") -> Path:
    """Write channels of 500 Hz in microvolts, whatever *unit* then says."""
    channels = [
        edfio.EdfSignal(s, 500, label=name, physical_dimension="uV", physical_range=(-9999, 9999))
        for name, s in signals.items()
    ]
    edfio.Edf(channels, data_record_duration=1).write(path)
    content = bytearray(path.read_bytes())
    for k in range(len(signals)):
        begin = 256 + 96 * len(signals) + 8 * k
        content[begin : begin + 8] = unit.ljust(8)
    path.write_bytes(content)
    return path


def read(path: Path) -> np.ndarray:
    recording = open_recording(path)
    (name,) = recording.rates
    return np.concatenate([block.signals[0] for block in recording.blocks([name], 4)])


@pytest.mark.parametrize(
    ("unit", "encoding"),
    [("uV", "ascii"), ("µV", "utf-8"), ("μV", "utf-8"), ("µV", "latin-1"), ("mcV", "ascii")],
)
def test_micro_signs_of_recorders(tmp_path: Path, unit: str, encoding: str) -> None:
    signal = lead_one(10)
    path = write_edf(tmp_path / "a.edf", {"ECG I": signal}, unit.encode(encoding))
    np.testing.assert_allclose(read(path), signal, atol=0.16)


@pytest.mark.parametrize("suffix", [".rec", ".REC", ".Edf"])
def test_other_endings(tmp_path: Path, suffix: str) -> None:
    signal = lead_one(10)
    path = write_edf(tmp_path / "a.edf", {"ECG I": signal}).rename(tmp_path / f"a{suffix}")
    assert open_strip_file(path).rates == {"ECG I": 500}
    np.testing.assert_allclose(read(path), signal, atol=0.16)


def test_a_file_that_ends_early_is_read_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signals = {"I": lead_one(30), "II": lead_one(30, patient=1)}
    (tmp_path / "in").mkdir()
    path = write_edf(tmp_path / "in/cut.rec", signals)
    content = path.read_bytes()
    path.write_bytes(content[: 768 + 2 * RECORD * 15 + 700])  # half of a record more
    note = "the file ends early: 15 of 30 data records are there, and were read"
    model = write_classifier(tmp_path / "c.pt")
    out = tmp_path / "p.json"
    assert main(["predict", "--model", str(model), "--json", str(out), str(path)]) == 0
    assert f"cut.rec: 2 of 2 windows scored\n  {note}\n" in capsys.readouterr().out
    (result,) = json.loads(out.read_text())["files"]
    assert result["notes"] == [note]
    arguments = ["prepare", "recordings", str(path.parent), "--dest", str(tmp_path / "store")]
    arguments += ["--single", "II", "--multi", "I=I", "--test-fraction", "0"]
    assert main([*arguments, "--valid-fraction", "0"]) == 0
    store = Store.open(tmp_path / "store")
    assert len(store) == 1 and note in store.records["repaired"][0]
    # Of an unknown number nothing is missing, and what is more than was said is read too.
    path.write_bytes(content[:236] + b"-1".ljust(8) + content[244:])
    assert open_recording(path).notes == ()
    path.write_bytes(content[:236] + b"20".ljust(8) + content[244:])
    (said,) = open_recording(path).notes
    assert said == "the file holds 30 data records, and its header says 20; all were read"


@pytest.mark.parametrize(
    ("field", "value"),
    [(slice(244, 252), b"0"), (slice(244, 252), b"nan"), (slice(244, 252), b"inf"),
     (slice(244, 252), b"-1"), (slice(252, 256), b"-1"), (slice(252, 256), b"9999"),
     (slice(360, 368), b"9999"), (slice(360, 368), b"nan"), (slice(360, 368), b"x"),
     (slice(376, 384), b"32767"), (slice(472, 480), b"0"), (slice(472, 480), b"-5"),
     (slice(472, 480), b"99999999")],
)  # fmt: skip
def test_headers_that_cannot_be(tmp_path: Path, field: slice, value: bytes) -> None:
    path = write_edf(tmp_path / "a.edf", {"I": lead_one(10)})
    content = bytearray(path.read_bytes())
    content[field] = value.ljust(field.stop - field.start)
    path.write_bytes(content)
    with pytest.raises(RecordError, match="a.edf: "):
        recording = open_recording(path)
        list(recording.blocks(recording.names_of(["I"]), 4))
