"""Each patch of fairseq-signals: the thing fails without it and works with it."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from selfmis_plugin import compat
from selfmis_plugin.compat.at_start import AT_THE_START, HASHABLE
from selfmis_plugin.compat.patching import IN_RUNS
from tests.signals_faults import ATTEMPTS
from tests.support import environment

OLD_OMEGACONF = importlib.metadata.version("omegaconf").startswith("2.0")
#: What is not broken here to begin with.
NOT_NEEDED = {
    *(["omegaconf._utils.is_primitive_type restored"] if OLD_OMEGACONF else []),
    *(["gradient clipping without CUDA"] if torch.cuda.is_available() else []),
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=Path(__file__).resolve().parents[2],
        env=environment(),
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, Any]]:
    done = run("-m", "tests.signals_faults")
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.signals
@pytest.mark.parametrize("name", list(ATTEMPTS))
def test_it_fails_without_the_patch(outcomes: dict, name: str) -> None:
    outcome = outcomes[name]
    assert outcome["needed"] == (outcome["before"] != "works") == (name not in NOT_NEEDED), outcome
    assert outcome["after"] == "works"
    # The name in a recipe is mended in the run's config, not in the toolkit.
    assert outcome["still_needed"] == (name == "criterion clocs called cmsc")


@pytest.mark.signals
def test_every_patch_has_such_a_test() -> None:
    names = {patch.name for patch in (*AT_THE_START, *IN_RUNS)}
    assert names == {*ATTEMPTS, HASHABLE.name}
    assert all(p.reason and p.version for p in (*AT_THE_START, *IN_RUNS))


@pytest.mark.signals
@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 accepts such defaults")
def test_it_cannot_be_imported_without_the_patch() -> None:
    without = run("-c", "import fairseq_signals")
    assert without.returncode == 1 and "mutable default" in without.stderr
    with_it = run("-c", "from selfmis_plugin import compat as c; print(c.apply('fairseq_signals'))")
    assert "dataclass defaults made hashable" in with_it.stdout, with_it.stderr[-2000:]


@pytest.mark.signals
def test_nothing_is_done_where_nothing_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with the toolkit's own versions, a GPU, and a Python that imports it as it is."""
    compat.apply("fairseq_signals")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not any(patch.needed() for patch in AT_THE_START)
    fresh = {"save_dir": str(tmp_path), "restore_file": "checkpoint_last.pt"}
    cfg = SimpleNamespace(
        criterion=SimpleNamespace(_name="siglip"),
        checkpoint=SimpleNamespace(**fresh),
        distributed_training=SimpleNamespace(distributed_world_size=1),
    )
    assert compat.mend_for_run("fairseq_signals", cfg) == []


def test_another_host_is_left_alone() -> None:
    cfg = SimpleNamespace(
        criterion=SimpleNamespace(_name="clocs"),
        distributed_training=SimpleNamespace(distributed_world_size=1),
    )
    assert compat.apply("fairseq") == [] == compat.mend_for_run("fairseq", cfg)
    assert compat.APPLIED == []
