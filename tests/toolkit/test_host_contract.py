"""What the plugin relies on in its host is there, and what is not is told, all of it at once."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
import types
from typing import Any

import pytest
from omegaconf import OmegaConf

from selfmis_plugin import compat
from selfmis_plugin.compat.contract import CONFIG_KEYS, NAMES, entries, mismatches
from selfmis_plugin.toolkit import parts
from selfmis_plugin.training.configs import configs_folder


def test_the_embedded_host_keeps_it() -> None:
    assert mismatches("fairseq") == []


@pytest.mark.signals
def test_fairseq_signals_keeps_it() -> None:
    compat.apply("fairseq_signals")
    assert mismatches("fairseq_signals") == []


@pytest.mark.parametrize("host", ["fairseq", "fairseq_signals"])
def test_all_that_is_imported_from_a_host_is_in_it(host: str) -> None:
    listed = {(module, name) for module, name, _ in entries(host)}
    imported = {
        (node.module, alias.name)
        for node in ast.walk(ast.parse(inspect.getsource(parts)))
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == host
        for alias in node.names
    }
    # A module is in it by what is used of it.
    listed |= {tuple(module.rsplit(".", 1)) for module, _, _ in entries(host)}  # type: ignore[misc]
    assert len(imported) >= 10 and imported <= listed


def test_every_key_of_the_configs_is_in_it() -> None:
    for file in configs_folder().rglob("*.yaml"):
        for section, values in OmegaConf.to_container(OmegaConf.load(file)).items():  # type: ignore[union-attr]
            if section in CONFIG_KEYS:
                assert set(values) <= set(CONFIG_KEYS[section].split()), (file, section)


def fake_host(name: str) -> dict[str, types.ModuleType]:
    """Modules of a host that has what the contract asks for, and nothing else."""
    modules: dict[str, types.ModuleType] = {}
    for module, dotted, parameters in entries(name):
        place: Any = modules.setdefault(module, types.ModuleType(module))
        *owners, last = dotted.split(".")
        for owner in owners:
            place = getattr(place, owner)
        if last[0].isupper() and not last.isupper():
            setattr(place, last, type(last, (), {"__init__": taking("self", *parameters)}))
        else:
            setattr(place, last, taking(*parameters))
    sections = {
        section: dataclasses.make_dataclass(section, [(key, int, 0) for key in keys.split()])
        for section, keys in CONFIG_KEYS.items()
    }
    config = dataclasses.make_dataclass(
        "Config", [(s, Any, dataclasses.field(default_factory=c)) for s, c in sections.items()]
    )
    vars(modules[f"{name}.dataclass.configs"])[NAMES[name]["Config"]] = config
    return modules


def taking(*parameters: str) -> Any:
    """A function with these parameters."""

    def function(*_: Any) -> None: ...

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(parameter, kind) for parameter in parameters]
    )
    return function


@pytest.mark.parametrize("host", ["fairseq", "fairseq_signals"])
def test_everything_that_broke_is_told_at_once(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = fake_host(host)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    assert mismatches(host) == []

    metrics, train = modules[f"{host}.logging.metrics"], modules["fairseq_cli.train"]
    del metrics.log_speed  # type: ignore[attr-defined]
    train.should_stop_early = taking("cfg", "score")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, f"{host}.distributed.utils", None)  # type: ignore[arg-type]
    task = getattr(modules[f"{host}.tasks"], NAMES[host]["Task"])
    del task.begin_epoch
    monkeypatch.setitem(CONFIG_KEYS, "common", "seed sead")
    told = mismatches(host)
    assert len(told) == 5
    for expected in (
        f"{host}.logging.metrics.log_speed is gone",
        "fairseq_cli.train.should_stop_early no longer takes valid_loss",
        f"{host}.tasks.{task.__name__}.begin_epoch is gone",
        "config key common.sead is gone",
    ):
        assert expected in told
    assert any(line.startswith(f"{host}.distributed.utils cannot be imported") for line in told)
