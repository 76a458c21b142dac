"""The machine that figures were measured on, in words."""

from __future__ import annotations

import platform
from pathlib import Path

import psutil
import torch

from selfmis_plugin.profiling.benchmark import BenchmarkError
from selfmis_plugin.utils.parallel import usable_cores

__all__ = ["chosen_device", "describe_machine"]


def describe_machine() -> dict[str, str]:
    """Return processor, cores, memory, device and versions, as texts to stand beside figures."""
    facts = {
        "processor": _processor(),
        "cores": str(usable_cores()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "threads": str(torch.get_num_threads()),
    }
    if torch.cuda.is_available():
        facts["device"] = torch.cuda.get_device_name()
    return facts


def chosen_device(asked: str | None) -> str:
    """Return ``cpu`` or ``cuda``: what was asked for, or a GPU where there is one.

    Raises
    ------
    BenchmarkError
        If a GPU is asked for, and none is found.
    """
    if asked == "cuda" and not torch.cuda.is_available():
        raise BenchmarkError("--device cuda: no CUDA GPU is found here; use --device cpu")
    return asked or ("cuda" if torch.cuda.is_available() else "cpu")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
