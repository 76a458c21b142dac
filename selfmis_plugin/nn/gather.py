"""Rows of all processes of a distributed run, with their gradient."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

__all__ = ["gather_rows"]


def gather_rows(tensor: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """Concatenate the rows of all processes, in the order of their ranks.

    The backward pass gives each process the sum over all processes of the gradients that reach
    its rows, which is the exact gradient of the sum of all processes' losses.  Where the tensor
    needs no gradient (or is of integers) nothing is exchanged in the backward pass.

    Every process of the group has to call this, and, where a gradient is needed, run backward.

    Parameters
    ----------
    tensor
        ``(rows, ...)``; the number of rows may differ between processes, the other sizes and the
        type may not.
    group
        Process group; the default group where None.

    Returns
    -------
    Tensor
        ``(rows of all processes, ...)``; ``tensor`` itself where no process group is initialised.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return tensor
    if tensor.requires_grad and torch.is_grad_enabled():
        gathered: Tensor = _GatherRows.apply(tensor, group)
        return gathered
    return torch.cat(_all_rows(tensor.detach(), group))


def _all_rows(tensor: Tensor, group: dist.ProcessGroup | None) -> list[Tensor]:
    own = torch.tensor([tensor.shape[0]], device=tensor.device)
    counts = [torch.zeros_like(own) for _ in range(dist.get_world_size(group))]
    dist.all_gather(counts, own, group=group)
    rows = [int(count) for count in counts]
    # Collectives need equal shapes: shorter processes send zero rows that are dropped again.
    padding = [0, 0] * (tensor.dim() - 1) + [0, max(rows) - tensor.shape[0]]
    padded = F.pad(tensor, padding).contiguous()
    parts = [torch.empty_like(padded) for _ in rows]
    dist.all_gather(parts, padded, group=group)
    return [part[:count] for part, count in zip(parts, rows, strict=True)]


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        parts = _all_rows(tensor, group)
        rank = dist.get_rank(group)
        ctx.group = group
        ctx.start = sum(len(part) for part in parts[:rank])
        ctx.rows = tensor.shape[0]
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        # all_reduce works in place, and the incoming gradient may be shared.
        total = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total, group=ctx.group)
        return total[ctx.start : ctx.start + ctx.rows], None
