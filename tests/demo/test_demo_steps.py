"""What a demo says of its steps."""

from __future__ import annotations

import itertools

import pytest

from selfmis_plugin.benchmark.graph import Here, Step, run_steps
from selfmis_plugin.demo.steps import Steps


def test_each_step_says_which_of_how_many_it_is_and_how_long_it_took(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.chain([0.0, 61.4, 100.0, 100.1], itertools.repeat(200.0))
    monkeypatch.setattr("selfmis_plugin.demo.steps.time.monotonic", lambda: next(clock))
    steps = Steps(3)
    with steps.step("probe, seed 1: a linear probe"):
        pass
    with steps.step("map"):
        pass

    def fail() -> None:
        raise OSError("disk")

    failed = run_steps({"a": steps.telling(Step((), fail), "last")}, Here(1))
    assert list(failed) == ["a"]
    assert capsys.readouterr().out.splitlines() == [
        "step 1 of 3: probe, seed 1: a linear probe",
        "step 1 of 3: probe, seed 1 took 61 s",
        "step 2 of 3: map",
        "step 2 of 3: map was done before",
        "step 3 of 3: last",
    ]
