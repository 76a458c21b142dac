"""What is installed here, whether a training can start, and what to do where it cannot.

Nothing that may be missing or broken is imported without being caught: this is for the machine on
which nothing works.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import pkgutil
import platform
import sys
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from selfmis_plugin import compat
from selfmis_plugin._version import __version__
from selfmis_plugin.compat import contract, installed, patching
from selfmis_plugin.utils.messages import without_messages

PACKAGES = ("torch", "numpy", "scipy", "hydra-core", "omegaconf", "transformers", "wfdb")
REQUIRED = ("torch", "numpy", "hydra-core", "omegaconf")


@dataclass(frozen=True)
class Problem:
    """Something that is not as it should be, and what to do about it.

    Attributes
    ----------
    what, advice
        Sentences.
    stops_training
        Whether no training can start before it is mended.
    """

    what: str
    advice: str
    stops_training: bool = True


@dataclass
class Diagnosis:
    """What was found.

    Attributes
    ----------
    facts
        Line by line, in words.
    patches
        What the host needs: name, state, reason, version.
    contract
        How many things the plugin relies on in the host, and which of them are not there.
    problems
        What is wrong.
    """

    facts: dict[str, str] = field(default_factory=dict)
    patches: list[dict[str, str]] = field(default_factory=list)
    contract: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def examine() -> Diagnosis:
    """Look at this installation; nothing is changed outside this process."""
    found = Diagnosis()
    _versions(found)
    _cuda(found)
    host = _host(found)
    _hook(found)
    if host is not None:
        _command_line(found, host)
        if _imports(found, host):
            _patches(found, host)
            _contract(found, host)
    return found


def _version(package: str) -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return None


def _versions(found: Diagnosis) -> None:
    found.facts["plugin"] = f"{__version__} in {Path(__file__).parent}"
    found.facts["Python"] = f"{platform.python_version()} ({sys.executable})"
    found.facts["system"] = platform.platform()
    for package in PACKAGES:
        found.facts[package] = _version(package) or "not installed"
        if package in REQUIRED and _version(package) is None:
            found.problems.append(Problem(f"{package} is missing", f"pip install {package}"))
    hydra, omegaconf = _version("hydra-core"), _version("omegaconf")
    for line in (importlib.metadata.requires("hydra-core") or []) if hydra and omegaconf else []:
        wanted = Requirement(line)
        if wanted.name == "omegaconf" and not wanted.specifier.contains(str(omegaconf), True):
            found.problems.append(
                Problem(
                    f"hydra-core {hydra} needs omegaconf {wanted.specifier}, and {omegaconf} is "
                    "installed",
                    "pip install hydra-core==1.3.2 omegaconf==2.3.0",
                )
            )


def _cuda(found: Diagnosis) -> None:
    try:
        torch: Any = importlib.import_module("torch")
        if torch.cuda.is_available():
            names = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
            found.facts["CUDA"] = f"{torch.version.cuda}: {', '.join(names)}"
        else:
            built = f"; torch is built for {torch.version.cuda}" if torch.version.cuda else ""
            found.facts["CUDA"] = f"no device: training runs on the CPU{built}"
    except Exception as error:  # an ImportError, or whatever a broken driver raises
        found.facts["CUDA"] = f"unknown: {_in_words(error)}"
        if _version("torch"):
            found.problems.append(
                Problem(f"torch cannot be used: {_in_words(error)}", "install torch again")
            )


def _host(found: Diagnosis) -> str | None:
    described = [
        f"{installed.version(name)} in {installed.location(name)}" for name in installed.installed()
    ]
    found.facts["host"] = "; ".join(described) or "none"
    owner = installed.command_line_owner()
    where = f", in {installed.location(installed.COMMAND_LINE)}" if owner else ""
    found.facts[installed.COMMAND_LINE] = f"{owner or 'nobody'}'s{where}"
    try:
        return installed.only_installed()
    except installed.ToolkitError as error:
        what, _, advice = str(error).partition(". ")
        found.problems.append(Problem(what, advice))
        return None


def _hook(found: Diagnosis) -> None:
    try:
        namespace: Any = importlib.import_module("hydra_plugins")
        there = any(module.name == "selfmis" for module in pkgutil.iter_modules(namespace.__path__))
    except ImportError:
        there = False
    found.facts["Hydra hook"] = "found" if there else "not found"
    if not there:
        found.problems.append(
            Problem(
                "Hydra cannot find the plugin's hook (hydra_plugins.selfmis), so the host would "
                "not know the plugin's tasks and models",
                "install the plugin again: pip install --no-build-isolation -e . in its checkout",
            )
        )


def _command_line(found: Diagnosis, host: str) -> None:
    owner = installed.command_line_owner()
    if owner != host:
        found.problems.append(
            Problem(
                f"{installed.COMMAND_LINE}, the package of the training command, is "
                f"{owner or 'nobody'}'s and not {host}'s",
                f"install {host} again"
                + (
                    f", after: pip uninstall {' '.join(installed.DISTRIBUTIONS[owner])}"
                    if owner
                    else ""
                )
                + ". If it runs from a checkout, put that first in PYTHONPATH",
            )
        )
    built = installed.has_extension(host)
    found.facts["data_utils_fast"] = "built" if built else "not built"
    if not built:
        folder = installed.location(host)
        found.problems.append(
            Problem(
                f"{host}'s Cython extension data_utils_fast is not built: its own tasks cannot "
                "make batches (SelfMIS's can)",
                "with a C++ compiler: pip install cython numpy setuptools && cd "
                f"{folder.parent if folder else 'CHECKOUT'} && python setup.py build_ext --inplace",
                stops_training=False,
            )
        )


@contextlib.contextmanager
def _host_unheard() -> Iterator[None]:
    """Keep what was asked for free of what hosts print, log and warn of in their own modules."""
    with (
        contextlib.redirect_stdout(sys.stderr),
        without_messages(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def _imports(found: Diagnosis, host: str) -> bool:
    with _host_unheard():
        try:
            compat.apply(host)
            importlib.import_module(host)
            return True
        except (Exception, SystemExit) as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            found.problems.append(
                Problem(
                    f"{host} cannot be imported: {_in_words(error)} ({last.filename}, line "
                    f"{last.lineno})",
                    _advice(host, error),
                )
            )
            return False


def _advice(host: str, error: BaseException) -> str:
    advice = []
    missing = str(getattr(error, "name", None) or "").split(".")[0]
    for package, version in installed.REQUIREMENTS[host].items():
        if isinstance(error, ImportError) and (missing == package or package in str(error)):
            advice.append(f"pip install {package}=={version}")
    for distribution, replacement in installed.REPLACED.items():
        if _version(distribution):
            advice.append(f"pip uninstall {distribution} && {replacement}")
    if not advice and isinstance(error, ModuleNotFoundError):
        advice.append(f"pip install {missing}, or what brings a module of that name")
    return "; ".join(advice) or (
        f"install {host} again, in an environment of its own; if it stays so, report it with the "
        "output of: selfmis doctor --json"
    )


def _patches(found: Diagnosis, host: str) -> None:
    found.patches = patching.states(host)
    found.facts["train with"] = (
        "selfmis train (the host needs patches before it is imported)"
        if compat.APPLIED
        else "selfmis train, or fairseq-hydra-train: both serve"
    )


def _contract(found: Diagnosis, host: str) -> None:
    with _host_unheard():
        lacking = contract.mismatches(host)
    total = len(list(contract.entries(host)))
    found.contract = {"entries": total, "mismatches": lacking}
    advice = f"use a supported version: {installed.SUPPORTED[host]}"
    found.problems += [Problem(f"the plugin relies on it: {line}", advice) for line in lacking]


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
