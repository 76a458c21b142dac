"""Who may know which toolkit is running, and what the numerical core may import."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import selfmis_plugin

PACKAGE = Path(selfmis_plugin.__file__).parent
#: A toolkit's package, or a module of one.
TOOLKIT = re.compile(r"(fairseq|fairseq_signals|fairseq_cli)(\.\w*)*")
#: A module of the plugin's.
OWN = re.compile(r"selfmis_plugin(\.\w*)+")
#: Names by which code asks which of them is running.
CONSTANTS = {"HOST", "FAIRSEQ", "FAIRSEQ_SIGNALS", "PATCHED_HOST"}
#: What is derived from the toolkit's classes, and what knows it.
TOOLKIT_SIDE = {"compat", "criterions", "lr_schedulers", "models", "tasks", "toolkit"}


def modules(*packages: str) -> dict[str, ast.Module]:
    """The sources of some of the plugin's packages, by their paths."""
    files = [file for name in packages for file in (PACKAGE / name).rglob("*.py")]
    return {
        str(file.relative_to(PACKAGE)): ast.parse(file.read_text(encoding="utf-8"))
        for file in files
    }


def imported(tree: ast.Module) -> Iterator[str]:
    """Full names of all that a module imports, wherever in it, and by name through importlib."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and OWN.fullmatch(str(node.value)):
            yield str(node.value)


def host_knowledge(tree: ast.Module) -> list[str]:
    """The toolkits' packages that a module names, and the constants that stand for them."""
    found = [name for name in imported(tree) if TOOLKIT.fullmatch(name)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += [repr(node.value)] if TOOLKIT.fullmatch(node.value) else []
        elif isinstance(node, ast.Name):
            found += [node.id] if node.id in CONSTANTS else []
        elif isinstance(node, ast.Attribute):
            found += [node.attr] if node.attr in CONSTANTS else []
        elif isinstance(node, ast.alias):
            found += [node.name] if node.name in CONSTANTS else []
    return found


def test_only_two_packages_know_the_host() -> None:
    sources = modules(".")
    known = {name: found for name, tree in sources.items() if (found := host_knowledge(tree))}
    assert len(sources) > 200 and {name.split("/")[0] for name in known} == {"compat", "toolkit"}


def test_the_numerical_core_knows_no_toolkit() -> None:
    core = modules("nn", "data", "evaluation")
    assert len(core) > 50
    for name, tree in core.items():
        parts = {
            part.split(".")[1] for part in imported(tree) if part.startswith("selfmis_plugin.")
        }
        assert not parts & TOOLKIT_SIDE, name


def test_compat_can_be_imported_before_the_host_and_without_it() -> None:
    for name, tree in modules("compat").items():
        for node in tree.body:
            found = [node.module] if isinstance(node, ast.ImportFrom) else []
            found += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in map(str, found):
                assert module.startswith("selfmis_plugin.compat") or (
                    module.split(".")[0] in sys.stdlib_module_names
                ), f"{name} imports {module}"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import fairseq.tasks", ["fairseq.tasks"]),
        ("def f():\n    from fairseq_signals.data import x", ["fairseq_signals.data.x"]),
        ("importlib.import_module('fairseq_cli.train')", ["'fairseq_cli.train'"]),
        ("importlib.import_module(f'fairseq.{part}')", ["'fairseq.'"]),
        ("from selfmis_plugin.toolkit import HOST", ["HOST"]),
        ("toolkit.HOST", ["HOST"]),
        ("name == 'fairseq_signals'", ["'fairseq_signals'"]),
        ("print('fairseq-signals reads other files')", []),
    ],
)
def test_such_knowledge_is_seen(line: str, found: list[str]) -> None:
    assert host_knowledge(ast.parse(line)) == found
