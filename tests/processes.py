"""Several processes that talk to each other over gloo, on the CPU."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def run_processes(work: Callable[..., Any], count: int, folder: Path, *arguments: Any) -> list[Any]:
    """Run ``work(rank, *arguments)`` in *count* processes of one group; return what each returned.

    *work* is a function of a module, and returns tensors and plain values. A process that waits
    for another in vain fails after a minute.
    """
    mp.spawn(_one_process, (work, count, str(folder), arguments), nprocs=count)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(count)]


def _one_process(
    rank: int, work: Callable[..., Any], count: int, folder: str, arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        f"file://{folder}/rendezvous",
        rank=rank,
        world_size=count,
        timeout=timedelta(minutes=1),
    )
    try:
        torch.save(work(rank, *arguments), Path(folder) / f"{rank}.pt")
    finally:
        # What still holds the group (a wrapped model is a cycle) keeps gloo's threads alive.
        gc.collect()
        dist.destroy_process_group()
    # A thread of gloo that drops a tensor while the interpreter ends would abort the process, whose
    # result is written.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
