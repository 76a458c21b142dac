"""Cohorts that experiments make: what is there is kept, of the version that is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selfmis_plugin.benchmark.cohort import make_archive
from selfmis_plugin.benchmark.commands import CommandError
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.store import Store


def test_an_archive_is_of_the_version_asked_for_and_no_other_is_taken(tmp_path: Path) -> None:
    store = make_archive(tmp_path, 12, workers=1, version=1)
    assert json.loads((tmp_path / "wfdb" / store.name / "cohort.json").read_text())["version"] == 1
    assert make_archive(tmp_path, 12, workers=1, version=1) == store
    with pytest.raises(CommandError, match="version 1 of the synthetic cohort.*--cohort 1"):
        make_archive(tmp_path, 12, workers=1)
    (origin,) = Store.open(make_archive(tmp_path / "latest", 12, workers=1)).info.origins
    assert "version 2" in origin.text


def test_a_version_of_no_cohort_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path)
    assert main(["benchmark", "mi", "--data", folder, "--cohort", "1", "--dest", folder]) == 1
    assert "--cohort is about a cohort that is made: give it with --synthetic" in (
        capsys.readouterr().err
    )
    with pytest.raises(SystemExit):
        main(["prepare", "synthetic", folder, "--cohort", "7"])
    assert "invalid choice: 7" in capsys.readouterr().err
