"""``selfmis evaluate``: what it says of data that do not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from selfmis_plugin.cli.main import main
from tests.checkpoint_files import write_classifier
from tests.support import write_store


@pytest.mark.parametrize("command", ["evaluate", "report", "embed"])
def test_a_split_that_is_not_there_is_told_with_those_that_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    store = write_store(tmp_path / "store", {"train": 3, "valid": 2})
    (store / "refused.tsv").write_text("source\treason\n", encoding="utf-8")
    checkpoint = write_classifier(tmp_path / "c.pt")
    outputs = {
        "evaluate": [],
        "report": ["--dest", str(tmp_path / "report")],
        "embed": ["--out", str(tmp_path / "e.npy")],
    }
    arguments = ["--checkpoint", str(checkpoint), "--data", str(store), *outputs[command]]
    assert main([command, *arguments]) == 1
    error = capsys.readouterr().err
    assert f"{store / 'test.tsv'} is missing" in error and "such as --split valid" in error
    assert "train, valid" in error and "refused" not in error


def test_labels_that_do_not_match_are_named_on_both_sides(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = write_classifier(tmp_path / "c.pt", labels=("healthy", "sick"))
    other = tmp_path / "other"
    shutil.copytree(store, other)
    arguments = ["evaluate", "--checkpoint", str(checkpoint), "--data", str(other)]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert (
        f"{checkpoint} predicts healthy, sick, and no label of that name is in {other}, which has "
        "NORM, AMI, IMI, PMI, SR: give a store whose labels have these names"
    ) in error
    assert "--labels" not in error  # which is refused for such a checkpoint
    info = json.loads((other / "store.json").read_text())
    (other / "store.json").write_text(json.dumps({**info, "label_sets": {}}))
    assert main(arguments) == 1
    assert f"in {other}, which has no labels: give" in capsys.readouterr().err
