"""The sum over all pairs of SigLIP's loss (SelfMIS paper, equation 3), and its gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from selfmis_plugin.nn.exchange import is_distributed, pass_on, rows_by_process, visit

__all__ = ["siglip_loss", "widened"]

LOGITS_AT_ONCE = 2**22
"""Pairs that are scored together (16 MiB of float32). It bounds the loss's memory beyond embeddings
and their gradients, whatever the batch; batches up to 2,048 are scored in one go."""


def siglip_loss(
    single: Tensor,
    multi: Tensor,
    scale: Tensor | float,
    bias: Tensor | float,
    single_ids: Tensor,
    multi_ids: Tensor,
    across_processes: bool = False,
) -> Tensor:
    r"""Sum over all pairs of :math:`-\log \sigma(z (t \langle s, m \rangle + b))`.

    ``z`` is 1 for two embeddings of one record and -1 otherwise.  This is equation 3 of the
    SelfMIS paper (Zhai et al., "Sigmoid Loss for Language Image Pre-Training", 2023) before its
    division by the batch.  The paper writes the bias with the other sign, :math:`1 / (1 + \exp(z
    (-t \langle s, m \rangle + b)))`: its ``b`` is minus this ``bias``, which has
    the sign of SigLIP's code.  For the paper's ``b = 0`` the two agree.

    The pairs are never held all at once: memory grows with ``(rows + columns) * dim``.

    Parameters
    ----------
    single
        ``(rows, dim)`` single-lead embeddings, as they enter the inner product (normalised or not).
    multi
        ``(columns, dim)`` multi-lead embeddings.
    scale
        ``t``, the logit scale; a tensor has one element.
    bias
        Logit bias; a tensor has one element.
    single_ids, multi_ids
        ``(rows,)`` and ``(columns,)``, integers: the records that rows and columns are of.
    across_processes
        Score this process's rows against every process's columns, which go around the processes
        as a ring. The sum of the processes' losses is then that of the joined batch, and so are
        gradients once those of scale and bias are added up over processes. All
        processes have to call this together, one without rows too, and where ``multi`` needs a
        gradient all have to run backward. A frozen ``multi`` sends nothing back.

    Returns
    -------
    Tensor
        The sum, float32 (float64 for float64 embeddings) whatever the embeddings' type and
        autocast.  Divide by the number of rows for the paper's loss.

    Raises
    ------
    ValueError
        If the numbers of ids are not those of the embeddings.
    """
    for name, embeddings, ids in (("single", single, single_ids), ("multi", multi, multi_ids)):
        if ids.shape != embeddings.shape[:1]:
            raise ValueError(
                f"{name}_ids has shape {tuple(ids.shape)} and {name} {tuple(embeddings.shape)}: "
                "give one id for each embedding"
            )
    with torch.autocast(single.device.type, enabled=False):
        wide = widened(single)
        total: Tensor = _PairLoss.apply(
            wide,
            widened(multi),
            torch.as_tensor(scale, dtype=wide.dtype, device=wide.device),
            torch.as_tensor(bias, dtype=wide.dtype, device=wide.device),
            single_ids,
            multi_ids,
            across_processes and is_distributed(),
            torch.is_grad_enabled(),
        )
    return total


class _PairLoss(torch.autograd.Function):
    """The loss and, in the same pass over the pairs, its gradients.

    With :math:`x = -z (t \\langle s, m \\rangle + b)` a pair costs softplus(x), whose derivative by
    the logit is -z sigmoid(x); so a chunk of pairs is done with once it has been looked at. Only
    the gradient of columns that need one takes a second pass, in backward: it is of all processes'
    losses, and each may be weighted differently by what follows.
    """

    @staticmethod
    def forward(
        ctx: Any,
        single: Tensor,
        multi: Tensor,
        scale: Tensor,
        bias: Tensor,
        single_ids: Tensor,
        multi_ids: Tensor,
        ring: bool,
        needs_grad: bool,
    ) -> Tensor:
        columns = rows_by_process(multi_ids) if ring else [multi_ids]
        total = single.new_zeros(())
        by_single = torch.zeros_like(single) if needs_grad else None
        by_scale, by_bias = single.new_zeros(()), single.new_zeros(())
        for owner, block in _blocks(multi, columns, ring):
            for rows, inner, sign in _chunks(single, block, single_ids, columns[owner]):
                exponent = sign * (inner * scale + bias)
                total += F.softplus(exponent).sum()
                if by_single is not None:
                    by_logit = sign * torch.sigmoid(exponent)
                    by_single[rows] += by_logit @ block
                    by_scale += (by_logit * inner).sum()
                    by_bias += by_logit.sum()
        if by_single is not None:
            ctx.save_for_backward(
                by_single * scale,
                by_scale.view_as(scale),
                by_bias.view_as(bias),
                *((single, multi, scale, bias, single_ids) if ctx.needs_input_grad[1] else ()),
            )
            ctx.columns, ctx.ring = columns, ring
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, weight: Tensor) -> tuple[Tensor | None, ...]:
        by_single, by_scale, by_bias, *inputs = ctx.saved_tensors
        by_multi = None
        if inputs:
            with torch.autocast(weight.device.type, enabled=False):
                by_multi = _gradient_of_columns(weight, ctx.columns, ctx.ring, *inputs)
        grads = (weight * by_single, by_multi, weight * by_scale, weight * by_bias)
        return *grads, None, None, None, None


def _gradient_of_columns(
    weight: Tensor,
    columns: list[Tensor],
    ring: bool,
    single: Tensor,
    multi: Tensor,
    scale: Tensor,
    bias: Tensor,
    single_ids: Tensor,
) -> Tensor:
    """Gradient by this process's columns of all processes' weighted losses.

    The blocks go around the ring once more, each followed by its gradient, to which every process
    adds its share; after a whole round it is home.
    """
    gradient = torch.zeros_like(multi)
    for owner, block in _blocks(multi, columns, ring):
        for rows, inner, sign in _chunks(single, block, single_ids, columns[owner]):
            by_logit = sign * torch.sigmoid(sign * (inner * scale + bias))
            gradient += by_logit.T @ single[rows] * (scale * weight)
        if ring:
            gradient = pass_on(gradient, len(columns[(owner - 1) % len(columns)]))
    return gradient


def _blocks(multi: Tensor, columns: list[Tensor], ring: bool) -> Iterable[tuple[int, Tensor]]:
    return visit(multi, [len(ids) for ids in columns]) if ring else [(0, multi)]


def _chunks(
    single: Tensor, block: Tensor, single_ids: Tensor, block_ids: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield rows, their inner products with the block's columns, and -z of equation 3."""
    step = max(1, LOGITS_AT_ONCE // max(1, len(block)))
    for start in range(0, len(single) if len(block) else 0, step):
        rows = slice(start, start + step)
        same_record = single_ids[rows, None] == block_ids
        yield rows, single[rows] @ block.T, 1 - 2 * same_record.to(single.dtype)


def widened(tensor: Tensor) -> Tensor:
    """The tensor in float32, or as it is in float64: what the loss is computed in."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
