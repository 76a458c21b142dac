"""Which toolkits are installed here. Nothing is imported to find out: an import may fail."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

FAIRSEQ = "fairseq"
FAIRSEQ_SIGNALS = "fairseq_signals"
#: The package of the training command; each of them installs one of this name.
COMMAND_LINE = "fairseq_cli"
#: Whose remarks on how they work are for a log's file.
PACKAGES = frozenset({FAIRSEQ, FAIRSEQ_SIGNALS, COMMAND_LINE})
#: The distributions that bring each of them.
DISTRIBUTIONS = {FAIRSEQ: ("fairseq-fixed", "fairseq"), FAIRSEQ_SIGNALS: (FAIRSEQ_SIGNALS,)}
#: What they import in one version alone.
REQUIREMENTS: dict[str, dict[str, str]] = {FAIRSEQ: {}, FAIRSEQ_SIGNALS: {"transformers": "4.46.3"}}
#: Distributions that cannot be imported on Python 3.11, and what to install in their place.
REPLACED = {"fairseq": "pip install --no-build-isolation 'fairseq-fixed>=0.12.3.1,<0.13'"}
#: Versions that the plugin was tested with.
SUPPORTED = {
    FAIRSEQ: "fairseq-fixed 0.12.3.1",
    FAIRSEQ_SIGNALS: "fairseq-signals at commit 6b9e1375bbe6bc2e55ff4d9b95eabe8eee3adec7",
}
INSTALLATION = "https://github.com/Jwoos5/fairseq-signals#requirements-and-installation"
#: What to say, and to do, where there is none.
NO_TOOLKIT = (
    "No training toolkit is installed. For the embedded default run 'make setup' in a checkout of "
    "this plugin, or there: pip install --no-build-isolation -e '.[fairseq]' (after torch, numpy, "
    f"cython, setuptools and wheel). To train inside fairseq-signals see {INSTALLATION}"
)
#: Packages that come with a toolkit, and that nothing else here needs.
_BROUGHT = frozenset({"antlr4", "hydra", "omegaconf", FAIRSEQ, FAIRSEQ_SIGNALS, COMMAND_LINE})


def brings(module: str | None) -> bool:
    """Whether a module that is missing is one of those that a toolkit brings."""
    return module is not None and module.split(".")[0] in _BROUGHT


class ToolkitError(RuntimeError):
    """No toolkit is installed, or more than one."""


def installed() -> list[str]:
    """Names of the toolkits that can be imported here."""
    return [name for name in (FAIRSEQ_SIGNALS, FAIRSEQ) if location(name)]


def location(package: str) -> Path | None:
    """Return the folder of a top-level package that Python finds, or None."""
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # a module without a spec stands in its place
        return None
    # A folder of that name without a package in it, as a checkout's own, has no origin.
    if spec is None or not (spec.origin or package == COMMAND_LINE):
        return None
    folders = spec.submodule_search_locations
    return Path(next(iter(folders))) if folders else None


def command_line_owner() -> str | None:
    """Which toolkit's ``fairseq_cli`` Python finds: both install a package of that name."""
    folder = location(COMMAND_LINE)
    source = folder / "hydra_train.py" if folder else None
    if source is None or not source.is_file():
        return None
    text = source.read_text(encoding="utf-8")
    return FAIRSEQ_SIGNALS if FAIRSEQ_SIGNALS in text else FAIRSEQ


def has_extension(host: str) -> bool:
    """Whether the host's compiled module that cuts data into batches lies beside its source."""
    folder = location(host)
    names = [f"data_utils_fast{suffix}" for suffix in EXTENSION_SUFFIXES]
    return folder is not None and any((folder / "data" / name).is_file() for name in names)


def version(host: str) -> str:
    """Return the name and version of the distribution that brought *host*."""
    for name in DISTRIBUTIONS[host]:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return f"{name} {importlib.metadata.version(name)}"
    return f"{host} from a checkout"


def only_installed() -> str:
    """Return the one toolkit that is installed.

    Raises
    ------
    ToolkitError
        If there is none, or if there are two, in which case ``fairseq-hydra-train`` belongs to
        whichever was installed last.
    """
    found = installed()
    if not found:
        raise ToolkitError(NO_TOOLKIT)
    if len(found) > 1:
        raise ToolkitError(
            "fairseq and fairseq-signals are both installed, and both bring a package named "
            f"{COMMAND_LINE}: the one that Python finds here is {command_line_owner()}'s. Training "
            "with the other one fails with 'Could not infer task type'. Keep one of them: "
            "'pip uninstall fairseq-fixed fairseq' for fairseq-signals, or "
            "'pip uninstall fairseq_signals' for fairseq, and install the one that you keep "
            "again, since removing one also removes files of the other."
        )
    return found[0]


def running() -> str:
    """Return the host: the toolkit already imported, else the only one installed."""
    imported = [name for name in (FAIRSEQ_SIGNALS, FAIRSEQ) if name in sys.modules]
    return imported[0] if len(imported) == 1 else only_installed()
