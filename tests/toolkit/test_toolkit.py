"""Deciding on the host, and what it is asked to do differently."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from selfmis_plugin import compat, toolkit
from selfmis_plugin.compat import at_start, installed
from selfmis_plugin.training import entry as training


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([], "No training toolkit is installed"),
        (["fairseq_signals", "fairseq"], "pip uninstall"),
    ],
)
def test_no_host_or_two(monkeypatch: pytest.MonkeyPatch, found: list[str], message: str) -> None:
    monkeypatch.setattr(installed, "installed", lambda: found)
    with pytest.raises(installed.ToolkitError, match=message):
        installed.only_installed()


def test_owner_of_the_shared_package_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "fairseq_cli"
    package.mkdir()
    (package / "hydra_train.py").write_text("from fairseq_signals import x\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location(
        "fairseq_cli", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert installed.command_line_owner() == "fairseq_signals"


def test_embedded_host_needs_no_adaptation() -> None:
    assert toolkit.HOST == "fairseq"
    assert toolkit.ADAPTATIONS == [] == compat.apply("fairseq")


def test_the_host_does_not_turn_every_librarys_messages_on() -> None:
    code = "import logging, selfmis_plugin.toolkit; print(logging.getLogger().getEffectiveLevel())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == logging.WARNING
    assert "INFO" not in done.stderr


def test_dataclass_defaults_are_accepted_only_meanwhile() -> None:
    @dataclasses.dataclass
    class Inner:
        value: int = 1

    def make() -> type:
        # What fairseq-signals writes, and Python 3.11 refuses.
        return dataclasses.dataclass(
            type("Outer", (), {"__annotations__": {"inner": Inner}, "inner": Inner()})
        )

    if sys.version_info >= (3, 11):
        with pytest.raises(ValueError, match="mutable default"):
            make()
    with at_start.hashable_dataclass_defaults() as changed:
        outer = make()
    assert outer().inner == Inner(1) and changed == ["Inner"]

    @dataclasses.dataclass
    class Other:
        value: int = 1

    if sys.version_info >= (3, 11):
        with pytest.raises(ValueError, match="mutable default"):
            dataclasses.dataclass(
                type("Outer", (), {"__annotations__": {"inner": Other}, "inner": Other()})
            )


def test_early_stopping_goes_through_a_checkpoint() -> None:
    toolkit.restore_early_stopping({"best": 0.5, "num_runs": 3})
    assert toolkit.early_stopping_state() == {"best": 0.5, "num_runs": 3}
    toolkit.restore_early_stopping({})
    assert toolkit.early_stopping_state() == {"best": None, "num_runs": 0}


def test_the_command_line_trains_through_the_plugins_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    hydra_train = importlib.import_module("fairseq_cli.hydra_train")
    monkeypatch.setattr(hydra_train, "pre_main", toolkit.host_main())
    toolkit.replace_worker_entry(training.train_main)
    assert hydra_train.pre_main is training.train_main
    # What somebody else has put there is left alone.
    other = object()
    monkeypatch.setattr(hydra_train, "pre_main", other)
    toolkit.replace_worker_entry(training.train_main)
    assert hydra_train.pre_main is other
