"""Whether people of the test records were in trainings: refused, kept with cells, and said."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from selfmis_plugin.benchmark import folds_report, infarction
from selfmis_plugin.benchmark.commands import best_checkpoint
from selfmis_plugin.benchmark.cross_validation import Folds, run_folds
from selfmis_plugin.benchmark.folds_report import write_folds_report
from selfmis_plugin.benchmark.rotations import held_out
from selfmis_plugin.benchmark.settings import InfarctionError
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.provenance import TrainedOn
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.trained_people import people_of
from selfmis_plugin.methods import known_methods
from tests.checkpoint_files import say_trained_on, write_classifier, write_run
from tests.fold_runs import Run, folds_settings, own_folds, runs
from tests.support import write_store

__all__ = ["own_folds", "runs"]  # fixtures

NEVER = "that the model, and all that it started from, never saw"
UNKNOWN = "it is not known whether patients of these records were in the training of"


def test_a_patient_who_is_trained_and_tested_on_is_refused(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(infarction, "run_steps", lambda *_: {})
    sizes = {"train": 3, "valid": 2, "test": 2}
    for name, patients in (("one", "p"), ("apart", "{}")):
        write_store(tmp_path / name, sizes, patient_name=patients)
    # Numbers of two stores of one database are the same people, too.
    (tmp_path / "two").mkdir()
    for split, own in (("train", "apart"), ("valid", "apart"), ("test", "other")):
        root = write_store(tmp_path / "other", {"train": 1, "test": 4}) if split == "test" else ""
        lines = (tmp_path / own / f"{split}.tsv").read_text().splitlines()
        text = "\n".join([str(root or tmp_path / own), *lines[1:]]) + "\n"
        (tmp_path / f"two/{split}.tsv").write_text(text)
    call = ["benchmark", "mi", "--size", "small", "--methods", "without_alignment", "--modes"]
    for data, status, message in (
        ("one", 1, "patient p is in train.tsv and in test.tsv, so a model would be tested on"),
        ("two", 1, "patient 1 is in train.tsv and in test.tsv (2 patients are), so a model"),
        ("apart", 0, ""),
    ):
        dest = tmp_path / f"of {data}"
        words = ["finetune", "--data", str(tmp_path / data), "--dest", str(dest)]
        assert main([*call, *words]) == status
        assert message in capsys.readouterr().err and dest.exists() == (status == 0)


def test_a_plain_benchmark_says_whom_a_given_file_was_trained_on(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = open_split(store, "test")
    file = write_classifier(tmp_path / "I.pt")

    def told(dest: str, *steps: TrainedOn) -> tuple[str, str, Any]:
        call = ["benchmark", "mi", "--data", str(store), "--size", "small", "--methods"]
        call += ["ecgfounder", "--modes", "zero_shot", "--dest", str(tmp_path / dest)]
        call += ["--single-lead-checkpoint", str(say_trained_on(file, *steps))]
        assert main(call) == 0
        (cell,) = json.loads((tmp_path / dest / "report.json").read_text())["cells"]
        text = (tmp_path / dest / "report.md").read_text()
        return text, capsys.readouterr().err, cell["seen_in_training"]

    step = TrainedOn("stage one", people=people_of(part.store, part.rows[:5]))
    text, printed, seen = told("seen", step)
    words = (
        "WARNING: 5 of the 25 patients of these records were in the model's training (stage one)"
    )
    assert f"**ECGFounder (or its stand-in), zero_shot**: {words}" in text
    assert f"selfmis benchmark mi: ECGFounder (or its stand-in), zero_shot: {words}" in printed
    assert (seen["seen"], seen["patients"], seen["records"]) == (5, 25, 5)
    others = open_split(store, "train")
    step = TrainedOn("stage one", "ptbxl", 100, people=people_of(others.store, others.rows))
    text, printed, seen = told("apart", step)
    assert "WARNING" not in text + printed and UNKNOWN not in text
    assert (seen["seen"], seen["compared"], seen["patients"]) == (0, 25, 25)
    text, printed, seen = told("unknown")
    assert "WARNING" not in text + printed and seen is None
    assert f"zero_shot**: {UNKNOWN} --single-lead-checkpoint I.pt." in text


def test_folds_say_never_seen_of_what_never_was(
    own_folds: Path, tmp_path: Path, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds_report, "write_files", lambda *_: None)  # the text is enough
    turn = held_out(own_folds, (9, 10))
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    folds = Folds(held_out=(9, 10), min_positives=1, keep=tmp_path / "kept")
    write_run(tmp_path / "run", seconds=1)
    file = best_checkpoint(tmp_path / "run")

    def told(dest: str, *steps: TrainedOn, rows: tuple[str, ...] = ("ecgfounder",)) -> str:
        methods = [known_methods()[row] for row in ("random_encoder", *rows)]
        given = {"single_lead_checkpoint": say_trained_on(file, *steps)} if rows else {}
        asked = folds_settings(tmp_path / dest, data, methods=methods, given=given, seeds=(1,))
        asked = dataclasses.replace(asked, modes=("probe", "zero_shot"))
        report = run_folds(asked, folds)
        assert report["failed"] == {} and len(report["rows"]) == 1 + 2 * len(rows)
        return write_folds_report(asked.dest, report, methods)

    # What this benchmark trains itself it keeps apart, whatever its checkpoints say.
    assert NEVER in told("own", rows=())
    for dest in ("unknown", "old and unknown"):
        text = told(dest)
        assert NEVER not in text and "were kept from all trainings here" in text
        assert "WARNING" not in text and f"{UNKNOWN} --single-lead-checkpoint {file.name}." in text
        title = "ECGFounder (or its stand-in)"
        assert f"**{title}, probe; {title}, zero_shot**" in text
        # As versions have written them that did not ask.
        table = pd.read_csv(tmp_path / "kept/cells.csv")
        assert table.columns[-1] == "seen_in_training" or dest == "old and unknown"
        old = table.drop(columns="seen_in_training", errors="ignore")
        old.to_csv(tmp_path / "kept/cells.csv", index=False)
    assert len(runs) == 2
    people = {split: people_of(turn.store, rows) for split, rows in turn.rows.items()}
    step = TrainedOn("one", "ptbxl", 9, people=people["train"])
    text = told("apart", step)
    assert NEVER in text and "WARNING" not in text and UNKNOWN not in text
    step = dataclasses.replace(step, people=people["test"])
    text = told("seen", step)
    words = "zero_shot**: WARNING: 8 of the 8 patients of these records were in the model's"
    assert words in text and NEVER not in text
    # Kept cells hand it on; of those of before the given file is asked.
    runs.clear()
    assert words in told("again", step)
    table = pd.read_csv(tmp_path / "kept/cells.csv")
    old = table.drop(columns="seen_in_training")
    old.to_csv(tmp_path / "kept/cells.csv", index=False)
    assert words in told("old", step) and runs == []
    table["seen_in_training"] = "{"
    table.to_csv(tmp_path / "kept/cells.csv", index=False)
    with pytest.raises(InfarctionError, match="seen_in_training of fold1/.* cannot be read"):
        told("torn", step)


def test_a_key_that_names_a_file_brings_what_nobody_knows(
    own_folds: Path, tmp_path: Path, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds_report, "write_files", lambda *_: None)
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    methods = [known_methods()["random_encoder"]]
    file = write_classifier(tmp_path / "mine.pt")
    keys = {"probe": {"model.encoder_checkpoint": str(file)}}
    asked = folds_settings(tmp_path / "a", data, methods=methods, seeds=(1,), overrides=keys)
    text = write_folds_report(asked.dest, run_folds(asked, Folds(held_out=(9, 10))), methods)
    assert NEVER not in text and f"{UNKNOWN} model.encoder_checkpoint=mine.pt." in text
