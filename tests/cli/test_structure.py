"""Who may know which toolkit is running, and imports that tools cannot follow.

Which folder may import which is checked by import-linter: pyproject.toml has its contracts.
"""

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
#: Names by which code asks which of them is running.
CONSTANTS = {"HOST", "FAIRSEQ", "FAIRSEQ_SIGNALS", "PATCHED_HOST"}
#: Functions outside of the command line that import modules of the plugin, and why.
LATE_IMPORTS = {
    "nn/onnx_runtime.py": "a device without PyTorch may lack what filters need",
    "methods/host/network.py": "shapes are read where no host can be imported",
}


def modules(*packages: str) -> dict[str, ast.Module]:
    """The sources of some of the plugin's packages, by their paths."""
    files = [file for name in packages for file in (PACKAGE / name).rglob("*.py")]
    return {
        str(file.relative_to(PACKAGE)): ast.parse(file.read_text(encoding="utf-8"))
        for file in files
    }


def imported(tree: ast.Module) -> Iterator[str]:
    """Full names of all that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


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


def late_imports(tree: ast.Module) -> list[str]:
    """The plugin's modules that are imported inside functions."""
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    found = [
        name
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imported(ast.Module([node], []))
    ]
    return [name for name in found if name.split(".")[0] == "selfmis_plugin"]


def imports_by_name(tree: ast.Module) -> list[str]:
    """The plugin's modules, or starts of their names, that a module hands to import_module."""
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and "import_module" in (getattr(node.func, "attr", ""), getattr(node.func, "id", ""))
    ]
    return [
        str(part.value)
        for call in calls
        for argument in call.args
        for part in ast.walk(argument)
        if isinstance(part, ast.Constant) and str(part.value).split(".")[0] == "selfmis_plugin"
    ]


def test_modules_are_imported_where_tools_see_it() -> None:
    sources = modules(".")
    late = {
        name for name, tree in sources.items() if late_imports(tree) and not name.startswith("cli/")
    }
    assert late == LATE_IMPORTS.keys()
    by_name = {name for name, tree in sources.items() if imports_by_name(tree)}
    assert not by_name


@pytest.mark.parametrize(
    ("line", "late", "by_name"),
    [
        ("from selfmis_plugin.data import leads", 0, 0),
        ("def f():\n    from selfmis_plugin.data import leads", 1, 0),
        ("def f():\n    import selfmis_plugin.data.leads", 1, 0),
        ("def f():\n    import json", 0, 0),
        ("importlib.import_module('selfmis_plugin.data.leads')", 0, 1),
        ("import_module(f'selfmis_plugin.data.{name}')", 0, 1),
        ("importlib.import_module('torch')", 0, 0),
        ("importlib.import_module(name)", 0, 0),
    ],
)
def test_such_imports_are_seen(line: str, late: int, by_name: int) -> None:
    tree = ast.parse(line)
    assert (len(late_imports(tree)), len(imports_by_name(tree))) == (late, by_name)


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


def test_one_module_makes_figures() -> None:
    """Texts of any other figure would be read as formulas."""
    makers = {
        path
        for path, tree in modules(".").items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id in ("FigureCanvasAgg", "pyplot", "plt")
    }
    assert makers == {"visualization/figure.py"}
