"""The benchmark of figures of large splits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selfmis_plugin.cli.main import main
from selfmis_plugin.report.large_splits import synthetic_predictions


def test_it_says_what_each_part_took(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "costs.json"
    words = ["benchmark", "evaluate", "--records", "300", "--labels", "2", "--positives", "0.1"]
    assert main([*words, "--draws", "20", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "300 records" in printed and "selfmis report, figures" in printed
    found = json.loads(file.read_text())
    assert found["setting"]["draws"] == 20 and found["peak_memory_bytes"] > 10**7
    assert set(found["seconds"]) == {"file", "aucs", "record", "patient", "pictures"}
    assert found["report_seconds"] == pytest.approx(sum(found["seconds"].values()))
    drawn = synthetic_predictions(4000, 3, 0.25)
    assert len(set(drawn.patient_ids)) == 2000
    assert drawn.targets.mean() == pytest.approx(0.25, abs=0.02)
