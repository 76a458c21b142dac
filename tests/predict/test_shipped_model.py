"""The model that comes with the plugin, for whom none is named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import selfmis_plugin
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.labels import ANY_INFARCTION, INFARCTION_TYPES
from selfmis_plugin.data.person import Person
from selfmis_plugin.predict import shipped_model as shipped
from tests.strip_files import lead_one, write_watch
from tests.support import write_store

FIRST = "Model: selfmis-lead-I, which comes with the plugin. For research, not for diagnosis."


@pytest.fixture
def strip(tmp_path: Path) -> Path:
    return write_watch(tmp_path / "ecg.csv", lead_one(30, 512))


def test_it_is_small_and_says_whose_it_is() -> None:
    folder = shipped.shipped_model()
    files = {file.name: file for file in folder.iterdir()}
    assert files.keys() == {"NOTICE", "README.md", "config.json", "model.safetensors"}
    assert sum(file.stat().st_size for file in files.values()) < 2_000_000
    notice = files["NOTICE"].read_text()
    assert "CC BY 4.0" in notice and "PTB-XL 1.0.3" in notice and "make model DATA=" in notice
    assert hashlib.sha256(files["model.safetensors"].read_bytes()).hexdigest() in notice
    card = files["README.md"].read_text()
    assert "license: cc-by-4.0" in card and "**of the recipe, cross-validated**" in card
    assert "For research, not for diagnosis." in card and "## Sex and age" in card
    # Of nothing else than these two was it trained, and the table that judged its recipe stands.
    config = json.loads(files["config.json"].read_text())
    origins = {
        origin["text"] for step in config["training"]["provenance"] for origin in step["origins"]
    }
    assert len(origins) == 2 and any("PTB-XL 1.0.3" in text for text in origins)
    assert any("synthetic cohort" in text for text in origins)
    figure = config["provenance"]["test"]["labels"][ANY_INFARCTION]
    assert figure["positives"] == 261 and f"{figure['auc']['value']:.3f}" in card


def test_predictions_without_a_model_are_its_own(
    strip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(strip)]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == FIRST
    assert main(["predict", "--model", str(shipped.shipped_model()), str(strip)]) == 0
    assert said == f"{FIRST}\n{capsys.readouterr().out}"
    rows = {line.split()[0] for line in said.splitlines() if line.startswith("  ")}
    assert {"any", "ASMI", "IMI"} <= rows and "PMI" not in rows

    assert main(["predict", str(strip), "--json", "-"]) == 0
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert answer["model"] == "selfmis-lead-I" and FIRST in printed.err
    model = selfmis_plugin.load_model()
    assert capsys.readouterr().out.splitlines() == [FIRST]
    results = model.predict(lead_one(30, 512) / 1000, 512).results
    for label, row in answer["files"][0]["labels"].items():
        # The file has three decimals of a microvolt.
        assert results[label].probability == pytest.approx(row["probability"], abs=2e-3)
    assert list(results)[0] == ANY_INFARCTION
    assert set(INFARCTION_TYPES) - set(results) == {"PMI"}


def test_evaluate_says_that_it_was_trained_on_people_of_ptbxl(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # PTB-XL's patients 15700 to 15709, of whom 15709 alone was in the training.
    store = write_store(tmp_path / "store", {"test": 10}, patient_name="1570{}")
    place = ["--checkpoint", str(shipped.shipped_model()), "--data", str(store), "--draws", "0"]
    assert main(["evaluate", *place]) == 0
    said = "WARNING: 1 of the 10 patients of these records was in the model's training"
    assert said in capsys.readouterr().out


def test_the_old_have_had_an_infarction_more_often(strip: Path) -> None:
    model = selfmis_plugin.load_model()
    signal = lead_one(30, 512) / 1000
    chances = [
        model.predict(signal, 512, person=Person(sex, age)).results[ANY_INFARCTION].probability
        for sex, age in (("female", 40), ("female", 75), ("male", 75))
    ]
    assert 0 < chances[0] < chances[1] < 1 and chances[0] < chances[2] < 1


def test_an_installation_without_it_says_so(
    strip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path / "nothing")
    assert main(["predict", str(strip)]) == 1
    assert "lacks the one that comes with the plugin" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match="name one with --model"):
        selfmis_plugin.load_model()
