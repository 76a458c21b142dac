"""The container and the conda environment ask for what the package asks for."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SETUP = (ROOT / "setup.py").read_text(encoding="utf-8")
#: What Makefile installs before the package, because fairseq is built without isolation.
BUILT_WITH = {
    Requirement(found).name: Requirement(found)
    for found in (
        *re.findall(r'"((?:pip|setuptools|numpy|cython)>=[^"]*)"', (ROOT / "Makefile").read_text()),
        *re.findall(r"(torch==[\d.]+)", (ROOT / "Makefile").read_text()),
    )
}


def argument(name: str) -> str:
    found = re.search(rf"^ARG {name}=(\S+)$", DOCKERFILE, re.M)
    assert found is not None, name
    return found[1]


def check_python(version: str) -> None:
    asked = re.search(r'python_requires="([^"]+)"', SETUP)
    assert asked is not None and Version(version) in SpecifierSet(asked[1])
    assert f"Programming Language :: Python :: {version}" in SETUP


def test_the_container_installs_what_the_makefile_does() -> None:
    check_python(argument("PYTHON"))
    assert Version(argument("TORCH")) in BUILT_WITH["torch"].specifier
    asked = {Requirement(found).name: found for found in re.findall(r'"(\w+>=[^"]*)"', DOCKERFILE)}
    assert asked.keys() == BUILT_WITH.keys() - {"torch"}
    assert all(Requirement(asked[name]) == BUILT_WITH[name] for name in asked)
    for extra in argument("EXTRAS").split(","):
        assert f'"{extra}": ' in SETUP
    # Without isolation the package comes last, after what its host is built with.
    steps = re.findall(r"pip install.*?(?=\n\n|\n[A-Z]|&&|\Z)", DOCKERFILE, re.S)
    assert "--no-build-isolation" in steps[-1] and "torch==" in steps[-2]


def test_the_container_gets_no_more_than_the_package() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for name in ("setup.py", "README.md", "configs/st_mem.yaml", "selfmis_plugin/_version.py"):
        assert (ROOT / name).is_file()
        parts = (name, Path(name).parts[0])
        assert not any(fnmatch.fnmatch(part, one) for one in ignored for part in parts)
    assert {".git", ".venv*", "outputs"} <= set(ignored)


def test_the_conda_environment_has_what_the_makefile_installs() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    plain = [one for one in environment["dependencies"] if isinstance(one, str)]
    (of_pip,) = (one["pip"] for one in environment["dependencies"] if isinstance(one, dict))
    python = next(one for one in plain if one.startswith("python="))
    check_python(python.partition("=")[2])
    asked = {
        Requirement(one).name: Requirement(one)
        for one in (*plain, *of_pip)
        if not one.startswith("python=")
    }
    assert {name: asked[name] for name in BUILT_WITH} == BUILT_WITH
    assert {"cxx-compiler", "wheel"} <= asked.keys()
