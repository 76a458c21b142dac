"""The most memory that a piece of work takes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch

from selfmis_plugin.profiling.benchmark import BenchmarkError

PROCESS_STATUS = Path("/proc/self/status")


def peak_memory(work: Callable[..., Any], *arguments: Any) -> int | None:
    """Return the most bytes of main memory that ``work(*arguments)`` adds to a fresh process.

    Parameters
    ----------
    work
        A function of a module; it and its arguments can be pickled.

    Returns
    -------
    int or None
        None where the system does not tell (only Linux does, as resident memory).

    Raises
    ------
    BenchmarkError
        If the process died, as it does where the memory does not suffice.
    """
    if not PROCESS_STATUS.exists():
        return None
    # A new process each time: what an allocator keeps from one piece of work is free for the next.
    # They are copies of one that has imported what takes seconds: the work's module, and what
    # PyTorch's optimizers import (100 MiB) at their first step.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__, "torch._dynamo"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(_measured, work, arguments).result()
        except BrokenProcessPool as error:
            raise BenchmarkError(
                "a process died while its memory was measured, probably for lack of memory: "
                "choose a smaller --batch"
            ) from error


def _measured(work: Callable[..., Any], arguments: tuple[Any, ...]) -> int:
    before = _status("VmRSS")
    work(*arguments)
    return max(0, _status("VmHWM") - before)


def _status(key: str) -> int:
    lines = PROCESS_STATUS.read_text(encoding="ascii").splitlines()
    (value,) = (line.split()[1] for line in lines if line.startswith(f"{key}:"))
    return int(value) * 1024


def peak_device_memory(work: Callable[..., Any], *arguments: Any) -> int:
    """Return the most bytes of the current CUDA device that ``work(*arguments)`` allocates."""
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    work(*arguments)
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
