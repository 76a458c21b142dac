"""The benchmark command's frame: registration, ratios, errors."""

from __future__ import annotations

import itertools

import pytest

from selfmis_plugin.cli.benchmarks import known_benchmarks
from selfmis_plugin.cli.main import main
from selfmis_plugin.profiling import timing


def test_ratio_is_the_median_of_the_turns_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    # Machine noise that slows a whole turn must not show: turn 2 is ten times as slow for both.
    seconds = iter([1.0, 2.0, 10.0, 20.0, 1.0, 2.0])
    clock = itertools.accumulate(x for s in seconds for x in (0.0, s))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    speeds = timing.compare({"fast": lambda: 6, "slow": lambda: 6}, rounds=3, warm_up=0)
    assert speeds["fast"].rounds == (6.0, 0.6, 6.0)
    assert speeds["fast"].median == 6.0
    assert speeds["fast"].spread == (0.6, 6.0)
    assert timing.ratio(speeds, "fast", "slow") == 2.0


def test_unknown_benchmark_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["benchmark", "nothing"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert all(name in error for name in known_benchmarks())
