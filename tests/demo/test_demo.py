"""The demo from start to end, small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selfmis_plugin.cli.main import main
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.methods import known_methods
from selfmis_plugin.methods.selfmis.demo import DEMO


def test_plan_is_consistent() -> None:
    methods = known_methods()
    judged = [row.judged for row in DEMO.rows.values()]
    assert all(one.mode in methods[one.method].modes for one in judged)
    trained = {stage.name for one in judged for stage in methods[one.method].stages()}
    trained |= {one.mode for one in judged}
    # No training's length is left to the benchmark's configs.
    assert DEMO.epochs.keys() == trained
    assert all(hasattr(DEMO.sizes, size) for size in DEMO.epochs.values())
    assert DEMO.retrievals.keys() <= DEMO.rows.keys()
    assert DEMO.upper_bound in DEMO.rows


@pytest.mark.slow
def test_demo_end_to_end_then_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dest = tmp_path / "demo"
    arguments = ["demo", "--dest", str(dest), "--scale", "0.05"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    # Two encoders from labels, two alignments, six classifiers.
    assert printed.count("fairseq-hydra-train") == 10
    for number in range(1, 11):
        assert printed.count(f"step {number} of 10: ") == 2
    assert printed.count(" took ") == 10
    commands = printed[printed.index("next:\n") :].splitlines()[1:]
    model = commands[0].split("--checkpoint ")[1].split()[0]
    assert Path(model).is_file() and commands[0].strip().startswith("selfmis evaluate")
    report = json.loads((dest / "report.json").read_text(encoding="utf-8"))
    assert set(report["rows"]) == set(DEMO.rows)
    for row in report["rows"].values():
        assert 0 <= row["mi_auc"] <= 1 and row["mi_auc_sd"] is None
        defined = [row["per_label"][name] for name in INFARCTION_TYPES]
        known = [value for value in defined if value is not None]
        assert row["mi_auc"] == pytest.approx(sum(known) / len(known))
        assert all(
            row["positives"][n] > 0 for n, v in zip(INFARCTION_TYPES, defined, strict=True) if v
        )
    assert 0 <= report["retrieval"]["r1"] <= report["retrieval"]["r5"] <= report["retrieval"]["r10"]
    assert report["seconds"] > 0 and report["host"].startswith("fairseq")
    assert (dest / "report.png").read_bytes()[:4] == b"\x89PNG"
    assert "`selfmis_from_supervised`" in (dest / "report.md").read_text(encoding="utf-8")

    # Nothing is done twice, and the figures are the same.
    assert main(arguments) == 0
    assert "fairseq-hydra-train" not in capsys.readouterr().out
    again = json.loads((dest / "report.json").read_text(encoding="utf-8"))
    assert again["rows"] == report["rows"]

    # A folder with a demo of another size is not mixed with this one.
    assert main([*arguments[:3], "--scale", "0.1"]) == 1
    assert "holds a demo with other settings" in capsys.readouterr().err


def test_a_failing_step_is_named_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wfdb").mkdir()
    (tmp_path / "wfdb" / "archive").write_text("in the way", encoding="utf-8")
    assert main(["demo", "--dest", str(tmp_path), "--scale", "0.05"]) == 1
    message = capsys.readouterr().err
    assert "synthesise-archive failed" in message and "synthesise-archive.log" in message
