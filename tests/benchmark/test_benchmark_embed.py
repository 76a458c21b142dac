"""``selfmis benchmark embed``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selfmis_plugin.benchmark import parts_speed
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.store import Store
from selfmis_plugin.profiling.process_tree import Spent

ARGUMENTS = ["benchmark", "embed", "--config", "small"]


def test_the_start_of_processes_is_not_in_the_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands that take three seconds to start, and then embed 50 strips a second and process."""

    def embed(folder: Path, store: Path, workers: int) -> Spent:
        assert (folder / "model/config.json").exists()
        return Spent(3 + len(Store.open(store)) / (50 * workers), None, workers * 2**30, None, None)

    monkeypatch.setattr(parts_speed, "_embed", embed)
    file = tmp_path / "figures.json"
    more = ["--strips", "400", "--workers", "3", "--json", str(file)]
    assert main([*ARGUMENTS, *more]) == 0
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert figures["embed_parts_per_s"] == pytest.approx({"1": 50, "2": 100, "3": 150})
    assert figures["seconds"] == pytest.approx({"1": 11, "2": 7, "3": 3 + 400 / 150})
    assert figures["projected_days_ten_million"]["2"] == pytest.approx(1e5 / 86400)
    assert figures["peak_memory_bytes"]["3"] == 3 * 2**30
    assert "1.16 days" in capsys.readouterr().out


def test_too_few_strips_to_be_timed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_speed, "_embed", lambda *_: Spent(3.0, None, 0, None, None))
    assert main([*ARGUMENTS, "--strips", "40"]) == 1
    assert "40 strips took no longer than 10: give more --strips" in capsys.readouterr().err


@pytest.mark.slow
def test_strips_are_embedded(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    more = ["--strips", "8000", "--workers", "2", "--json", str(file)]
    assert main([*ARGUMENTS, *more]) == 0
    figures = json.loads(file.read_text(encoding="utf-8"))
    rates = figures["embed_parts_per_s"]
    assert set(rates) == {"1", "2"} and min(rates.values()) > 0
    assert min(figures["peak_memory_bytes"].values()) > 50 * 2**20
