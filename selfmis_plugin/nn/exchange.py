"""Rows that the processes of a distributed run show each other.

Small rows are gathered. Embeddings go from neighbour to neighbour around a ring, so that a process
holds one other process's rows at a time, however many processes there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "gather_rows",
    "is_distributed",
    "pass_on",
    "process_count",
    "rows_by_process",
    "visit",
]

_BLOCK_TAG, _PASSED_TAG = 0, 1


def is_distributed() -> bool:
    """Whether there are other processes to exchange rows with."""
    return process_count() > 1


def process_count() -> int:
    """Return the number of processes of the run, at least 1."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather_rows(rows: Tensor) -> Tensor:
    """Concatenate the rows of all processes, in the order of their ranks, without a gradient.

    Parameters
    ----------
    rows
        ``(rows, ...)``; the number of rows may differ between processes, the other sizes and the
        type may not.

    Returns
    -------
    Tensor
        ``(rows of all processes, ...)``; ``rows`` itself where there is only one process.
    """
    return torch.cat(rows_by_process(rows)) if is_distributed() else rows


def rows_by_process(rows: Tensor) -> list[Tensor]:
    """Return every process's rows in the order of their ranks; each process has to call this."""
    rows = rows.detach()
    own = torch.tensor([rows.shape[0]], device=rows.device)
    counts = [torch.zeros_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, own)
    sizes: list[int] = torch.cat(counts).tolist()
    # Collectives need equal shapes: shorter processes send zero rows that are dropped again.
    padding = [0, 0] * (rows.dim() - 1) + [0, max(sizes) - rows.shape[0]]
    padded = F.pad(rows, padding).contiguous()
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return [part[:size] for part, size in zip(parts, sizes, strict=True)]


def visit(own: Tensor, counts: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
    """Yield every process's block of rows, this process's own first.

    While a block is worked on, it is already on its way to the right-hand neighbour, and the next
    one is on its way here from the left-hand neighbour. Every process has to take all blocks.

    Parameters
    ----------
    own
        ``(rows, dim)`` of this process; all processes need the same ``dim`` and type.
    counts
        Rows of each process, by rank; empty blocks are not sent.

    Yields
    ------
    tuple of int and Tensor
        Rank of the owner, and its rows.
    """
    held = own.detach().contiguous()
    processes, rank = len(counts), dist.get_rank()
    for step in range(processes):
        owner = (rank - step) % processes
        coming = None
        if step < processes - 1:
            coming = _start_passing(held, counts[(owner - 1) % processes], _BLOCK_TAG)
        yield owner, held
        if coming is not None:
            held = coming.wait()


def pass_on(rows: Tensor, rows_to_come: int) -> Tensor:
    """Send rows to the right-hand neighbour; return the ``rows_to_come`` of the left-hand one."""
    return _start_passing(rows.contiguous(), rows_to_come, _PASSED_TAG).wait()


@dataclass(frozen=True)
class _Passing:
    rows: Tensor
    pending: list[dist.Work]

    def wait(self) -> Tensor:
        for work in self.pending:
            work.wait()
        return self.rows


def _start_passing(rows: Tensor, rows_to_come: int, tag: int) -> _Passing:
    processes, rank = dist.get_world_size(), dist.get_rank()
    incoming = rows.new_empty((rows_to_come, *rows.shape[1:]))
    operations = []
    if rows.shape[0]:
        operations.append(dist.P2POp(dist.isend, rows, (rank + 1) % processes, tag=tag))
    if rows_to_come:
        operations.append(dist.P2POp(dist.irecv, incoming, (rank - 1) % processes, tag=tag))
    pending = dist.batch_isend_irecv(operations) if operations else []
    return _Passing(incoming, pending)
