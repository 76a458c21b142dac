"""``selfmis doctor`` on installations of every kind, most of them broken."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from selfmis_plugin.cli import diagnosis
from selfmis_plugin.cli.main import main
from selfmis_plugin.compat import contract, installed
from tests.support import environment

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has nothing of its own."""
    folder = tmp_path_factory.mktemp("python") / "env"
    venv.create(folder, with_pip=False)
    return folder / "bin/python"


def site_without(folder: Path, *prefixes: str) -> Path:
    """Write a site-packages with all that is here but what begins with one of *prefixes*."""
    folder.mkdir()
    packages = next(Path(sys.prefix).glob("lib/python*/site-packages"))
    for entry in packages.iterdir():
        if not entry.name.startswith(prefixes) and entry.suffix != ".pth":
            (folder / entry.name).symlink_to(entry)
    return folder


def package(folder: Path, name: str, **files: str) -> Path:
    """Write a package into *folder*, which is returned."""
    (folder / name).mkdir(parents=True)
    for file, text in {"__init__": "", **files}.items():
        (folder / name / f"{file}.py").write_text(text, encoding="utf-8")
    return folder


def doctor(python: Path, folder: Path, *places: Path) -> tuple[int, dict[str, Any]]:
    """Run ``selfmis doctor --json`` with *places* to import from; return status and findings."""
    done = subprocess.run(
        [str(python), "-m", "selfmis_plugin.cli.main", "doctor", "--json"],
        cwd=folder,
        env=environment(PYTHONPATH=os.pathsep.join(map(str, (*places, REPOSITORY)))),
        capture_output=True,
        text=True,
    )
    assert done.stdout, done.stderr[-3000:]
    return done.returncode, json.loads(done.stdout)


def problems(found: dict[str, Any]) -> str:
    return " ".join(f"{problem['what']}: {problem['advice']}" for problem in found["problems"])


def test_nothing_is_wrong_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "No problems found." in printed and "fairseq_cli      fairseq's" in printed
    for name in ("torch", "numpy", "hydra-core", "omegaconf"):
        assert f"{name:16} {importlib.metadata.version(name)}" in printed
    # Of the other toolkit's patches nothing is said.
    assert "checkpoints taken over by every process: applied in runs: of several" in printed
    assert "gradient clipping" not in printed


def test_the_hosts_chatter_is_left_out(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "selfmis_plugin.cli.main", "doctor"],
        env=environment(), cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert "No problems found." in done.stdout and done.stderr == ""


@pytest.mark.signals
def test_fairseq_signals_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["facts"]["host"].startswith("fairseq_signals")
    assert found["facts"]["fairseq_cli"].startswith("fairseq_signals's")
    assert found["contract"]["mismatches"] == [] and found["contract"]["entries"] > 40
    states = {patch["name"]: patch["state"] for patch in found["patches"]}
    assert all(patch["reason"] and patch["version"] for patch in found["patches"])
    if sys.version_info >= (3, 11):
        assert states["dataclass defaults made hashable"] == "applied"
    new = not importlib.metadata.version("omegaconf").startswith("2.0")
    expected = "applied" if new else "not needed"
    assert states["omegaconf._utils.is_primitive_type restored"] == expected
    built = installed.has_extension("fairseq_signals")
    assert ("data_utils_fast" in problems(found)) is not built


def test_no_host(tmp_path: Path, python: Path) -> None:
    site = site_without(tmp_path / "site", "fairseq")
    status, found = doctor(python, tmp_path, site)
    assert status == 1 and found["facts"]["host"] == "none"
    assert "No training toolkit is installed: For the embedded default run" in problems(found)
    assert found["facts"]["torch"] == importlib.metadata.version("torch")
    # The command that fails by it says so, and names this one.
    done = subprocess.run(
        [str(python), "-m", "selfmis_plugin.cli.main", "train"],
        env=environment(PYTHONPATH=os.pathsep.join([str(site), str(REPOSITORY)])),
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "No training toolkit" in done.stderr and "selfmis doctor" in done.stderr


def test_two_hosts(tmp_path: Path, python: Path) -> None:
    site = site_without(tmp_path / "site", "fairseq")
    both = package(package(tmp_path / "both", "fairseq_signals"), "fairseq")
    package(both, "fairseq_cli", hydra_train="from fairseq_signals import distributed_utils\n")
    status, found = doctor(python, tmp_path, both, site)
    assert status == 1 and found["facts"]["host"].count(str(both)) == 2
    assert "the one that Python finds here is fairseq_signals's" in problems(found)
    assert "pip uninstall fairseq_signals" in problems(found)


def test_a_host_that_cannot_be_imported(tmp_path: Path, python: Path) -> None:
    site = site_without(tmp_path / "site", "fairseq", "transformers", "torch-", "torch")
    broken = package(tmp_path / "broken", "fairseq_signals")
    (broken / "fairseq_signals/__init__.py").write_text("print('hello')\nimport transformers\n")
    package(broken, "fairseq_cli", hydra_train="import fairseq.tasks\n")
    status, found = doctor(python, tmp_path, broken, site)
    told = problems(found)
    assert status == 1 and "fairseq_signals cannot be imported: ModuleNotFoundError" in told
    assert "pip install transformers==4.46.3" in told and "line 2" in told
    # Everything else that is wrong is told with it.
    assert "is fairseq's and not fairseq_signals's" in told and "uninstall fairseq-fixed" in told
    assert "torch is missing: pip install torch" in told
    assert "python setup.py build_ext --inplace" in told and str(broken) in told


def test_versions_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    fake = {"omegaconf": "9.9.9"}
    monkeypatch.setattr(importlib.metadata, "version", lambda name: fake.get(name) or real(name))
    (problem,) = [p for p in diagnosis.examine().problems if "omegaconf" in p.what]
    assert "and 9.9.9 is installed" in problem.what and "pip install hydra-core" in problem.advice


def test_a_release_that_lost_something_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (host,) = installed.installed()
    tasks = sys.modules.get(f"{host}.tasks") or importlib.import_module(f"{host}.tasks")
    monkeypatch.delattr(tasks, "setup_task")
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert f"{host}.tasks.setup_task is gone" in printed and "What to do" in printed
    names = len(list(contract.entries(host)))
    assert f"{names - 1} of {names} names" in printed
