"""``selfmis benchmark predict`` on the small encoder."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest
import torch

from selfmis_plugin.cli.main import main

WAYS = {
    *("reference", "predict_float32", "predict_bfloat16", "quality_wfdb", "quality", "prepare"),
    *("encoder_float32", "encoder_bfloat16"),
}


def test_speeds_and_ratios(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    threads = torch.get_num_threads()
    arguments = ["--config", "small", "--strips", "3", "--rounds", "2", "--threads", "1"]
    assert main(["benchmark", "predict", *arguments, "--json", str(file)]) == 0
    assert torch.get_num_threads() == threads
    figures = json.loads(file.read_text(encoding="utf-8"))
    rounds, medians = figures["strips_per_s_rounds"], figures["strips_per_s"]
    assert set(rounds) == set(medians) == WAYS
    for name, values in rounds.items():
        assert len(values) == 2 and min(values) > 0
        assert medians[name] == pytest.approx(statistics.median(values))
    for name, way, other in (
        ("predict_float32", "predict_float32", "reference"),
        ("predict_bfloat16", "predict_bfloat16", "reference"),
        ("quality", "quality", "quality_wfdb"),
    ):
        quotients = [a / b for a, b in zip(rounds[way], rounds[other], strict=True)]
        assert figures["ratios"][name] == pytest.approx(statistics.median(quotients))
    # wfdb's detector alone takes several times what the whole of ours does.
    assert figures["ratios"]["quality"] > 1.5
    printed = capsys.readouterr().out
    assert "encoder, bfloat16" in printed and "strips/s" in printed


@pytest.mark.parametrize("arguments", [["--rate", "20"], ["--rate", "5000"]])
def test_rates_that_no_strip_has(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "predict", *arguments]) == 1
    assert "--rate must be from" in capsys.readouterr().err
