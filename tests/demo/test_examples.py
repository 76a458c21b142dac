"""The examples, run as a reader would."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

from selfmis_plugin import load_model
from tests.support import TINY, environment

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
LONGEST = {"pretrain_and_probe.py": 100, "predict_a_strip.py": 100, "own_method.py": 60}


def run(*command: object) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_pretraining_probing_and_predicting(tmp_path: Path) -> None:
    model, picture = tmp_path / "model", tmp_path / "strip.png"
    sizes = ["--records", "90", "--epochs", "2"]
    example = EXAMPLES / "pretrain_and_probe.py"
    printed = run(example, tmp_path / "store", model, *sizes)
    figures = [float(figure) for figure in re.findall(r"\b0\.\d{3}\b", printed)]
    assert len(figures) == 2 and all(0.2 < figure < 1 for figure in figures)
    assert load_model(model).labels == ("AMI", "IMI", "NORM")

    printed = run(EXAMPLES / "predict_a_strip.py", model, picture)
    assert [printed.count(word) for word in (": quality 1.00, scored", "not scored: flat")] == [
        2,
        1,
    ]
    assert re.search(r"^AMI +0\.\d{3} +0\.\d{3} +0\.\d{3}$", printed, re.MULTILINE)
    assert "not for diagnosis" in printed
    assert imread(picture)[..., :3].std() > 0.01


@pytest.mark.slow
def test_a_method_of_ones_own(tmp_path: Path, store: Path) -> None:
    arguments = ["--dest", tmp_path / "out", "--size", "small", "--workers", "2"]
    for role in ("data", "unlabelled", "archive"):
        arguments += [f"--{role}", store]
    for override in (*TINY, "optimization.max_epoch=1"):
        arguments += ["--set", override]
    arguments += ["--fractions", "1.0", "--modes", "probe", "--methods", "chest_leads"]
    mine = ["--methods-from", EXAMPLES / "own_method.py"]
    printed = run("-m", "selfmis_plugin.cli.main", "benchmark", "mi", *mine, *arguments)
    # Lead I, the chest leads, their alignment and the probe.
    assert printed.count("--config-name") == 4
    assert "task.leads=[V1,V2,V3,V4,V5,V6]" in printed
    assert "model.multi_leads=[V1,V2,V3,V4,V5,V6]" in printed
    assert "SelfMIS beside V1-V6" in (tmp_path / "out/report.md").read_text()


def test_they_are_short_and_say_their_command() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(LONGEST)
    for name, most in LONGEST.items():
        text = (EXAMPLES / name).read_text()
        assert len(text.splitlines()) <= most
        assert f"examples/{name}" in text.split('"""')[1]
