"""Files as phones and programs wrote them, and the values that are right."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from selfmis_plugin.cli.main import main
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.predict.opening import open_strip_file
from selfmis_plugin.predict.strips import find_channels
from selfmis_plugin.preparation.recordings.long_recording import ReadingOptions
from tests.checkpoint_files import write_classifier

CASES = Path(__file__).parents[1] / "cases"
WATCH = [-23.567, -14.849, -22.442, -37.256, -25.738]
OTHERS = [-23.551, -14.572, -23.493, -37.267, -23.541]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("model") / "c.pt")


@pytest.mark.parametrize(
    ("name", "rate", "samples", "first", "tolerance"),
    [
        *((f"apple_{tongue}", 512, 5120, WATCH, 1e-3) for tongue in ("es", "ja", "ko")),
        *(
            (name, 500, 5000, OTHERS, 1)
            for name in (
                "csv_iso_one_channel", "csv_quoted_decimal_comma", "csv_rdsamp_clock",
                "csv_unit_mcv", "csv_utf16", "edf_ending_rec",
            )
        ),
    ],
)  # fmt: skip
def test_a_strip_is_read_without_an_option(
    name: str, rate: float, samples: int, first: list[float], tolerance: float,
    model: Path, tmp_path: Path,
) -> None:  # fmt: skip
    (path,) = (CASES / name).iterdir()
    recording = open_strip_file(path)
    names, _ = find_channels(recording, ["I"])
    values = np.concatenate([block.signals[0] for block in recording.blocks(names, 60)])
    assert recording.rates[names[0]] == pytest.approx(rate, rel=1e-6)
    assert len(values) == samples
    np.testing.assert_allclose(values[:5], first, atol=tolerance)
    out = tmp_path / "p.json"
    assert main(["predict", "--model", str(model), "--json", str(out), str(path)]) == 0
    (file,) = json.loads(out.read_text())["files"]
    assert [window["refused"] for window in file["windows"]] == [None]


def test_a_cut_file_says_so(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "p.json"
    path = CASES / "edf_cut_short" / "ecg.edf"
    main(["predict", "--model", str(model), "--quality", "0", "--json", str(out), str(path)])
    (file,) = json.loads(out.read_text())["files"]
    assert any("ends early" in note for note in file["notes"])
    assert "ends early" in capsys.readouterr().out
    recording = open_strip_file(path)
    (name,) = find_channels(recording, ["I"])[0]
    whole = 5 / 10
    seconds = sum(len(block.signals[0]) for block in recording.blocks([name], 60)) / 500
    assert seconds == pytest.approx(10 * whole, abs=1e-6)


def test_biosppys_head_gives_rate_and_name(model: Path, tmp_path: Path) -> None:
    path = CASES / "text_biosppy" / "ecg.txt"
    recording = open_strip_file(path, ReadingOptions(None, 1.0))
    assert recording.rates == {"ECG": 500}
    assert sum(len(b.signals[0]) for b in recording.blocks(["ECG"], 60)) == 5000
    assert main(["predict", "--model", str(model), "--units", "uV", str(path)]) == 0


@pytest.mark.parametrize(
    "text",
    [
        "I\n" + "9" * 300_000 + "\n", "(" * 60_000 + "\n1\n2\n", "_" * 60_000 + "\n1\n2\n",
        ",".join("1" * 300_000) + "\n",
        ("\n" + "9" * 20_000 + ":=") * 103, ("1" * 1_000_000 + " ") * 100,
    ],
    ids=["digits", "brackets", "underscores", "columns", "digits and a word", "a line of 100 MB"],
)  # fmt: skip
def test_what_is_no_table_is_refused_within_a_second(text: str, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text(text)
    began = time.process_time()
    with pytest.raises(RecordError, match=r"in\.csv"):
        recording = open_strip_file(path)
        names, _ = find_channels(recording, ["I"])
        list(recording.blocks(names, 60))
    assert time.process_time() - began < 1
