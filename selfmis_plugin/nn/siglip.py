"""SigLIP loss between single-lead and multi-lead embeddings (SelfMIS paper, equation 3)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from selfmis_plugin.nn.exchange import is_distributed, pass_on, rows_by_process, visit

__all__ = ["SigLIPLoss", "siglip_loss"]

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
        wide = _wide(single)
        total: Tensor = _PairLoss.apply(
            wide,
            _wide(multi),
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


def _wide(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()


class SigLIPLoss(nn.Module):
    """SigLIP loss with its logit scale and bias.

    The defaults are SigLIP's own start (normalised embeddings, learnable scale from 10 and bias
    from -10).  The paper's literal reading is ``logit_scale=1 / 0.07, learn_logit_scale=False,
    logit_bias=0.0, learn_logit_bias=False``.

    Learned values are parameters ``log_scale`` (the scale is learned as its logarithm) and
    ``bias``, of one element each; values that are not learned are plain numbers, so that a loss
    without learnable values has no parameters. The loss is computed in float32 also where the
    module was cast with ``half()``; parameters and the mean are then as precise as float16 holds
    them.

    Parameters
    ----------
    normalize
        Scale embeddings to unit length, so that the inner product is the cosine.
    logit_scale
        First (or fixed) value of the scale; positive.
    learn_logit_scale
        Learn the scale.
    logit_bias
        First (or fixed) value of the bias, in SigLIP's sign (see :func:`siglip_loss`).
    learn_logit_bias
        Learn the bias.
    center
        Subtract the mean multi-lead embedding of the training set from multi-lead embeddings,
        before normalising them. The mean is set once with :meth:`set_center` and kept in the
        state dict (``center_mean``, ``center_known``).
    embedding_dim
        Values of an embedding; needed with ``center``.
    across_processes
        In training, score this process's rows against every process's columns, as
        :func:`siglip_loss` says. In evaluation mode each process scores its own batch, since
        nothing says that all have equally many.

    Raises
    ------
    ValueError
        If ``logit_scale`` is not positive, or ``center`` comes without ``embedding_dim``.

    Examples
    --------
    >>> import torch
    >>> loss = SigLIPLoss()
    >>> single, multi = torch.randn(4, 8), torch.randn(4, 8)
    >>> bool(loss(single, multi, ids=torch.arange(4)) > 0)
    True
    """

    center_mean: Tensor
    center_known: Tensor

    def __init__(
        self,
        normalize: bool = True,
        logit_scale: float = 10.0,
        learn_logit_scale: bool = True,
        logit_bias: float = -10.0,
        learn_logit_bias: bool = True,
        center: bool = False,
        embedding_dim: int | None = None,
        across_processes: bool = False,
    ) -> None:
        super().__init__()
        if not logit_scale > 0:
            raise ValueError(f"logit_scale must be positive, not {logit_scale}")
        self.normalize = normalize
        self.center = center
        self.across_processes = across_processes
        self._fixed_scale = float(logit_scale)
        self._fixed_bias = float(logit_bias)
        self.log_scale = (
            nn.Parameter(torch.tensor([math.log(logit_scale)])) if learn_logit_scale else None
        )
        self.bias = nn.Parameter(torch.tensor([float(logit_bias)])) if learn_logit_bias else None
        self._center_seen = False
        if center:
            if embedding_dim is None or embedding_dim < 1:
                raise ValueError("center=True needs embedding_dim, the size of an embedding")
            self.register_buffer("center_mean", torch.zeros(embedding_dim))
            self.register_buffer("center_known", torch.zeros(1, dtype=torch.bool))

    @property
    def scale_value(self) -> Tensor | float:
        """The logit scale now: float32 tensor of one element where it is learned."""
        return self._fixed_scale if self.log_scale is None else self.log_scale.float().exp()

    @property
    def bias_value(self) -> Tensor | float:
        """The logit bias now: float32 tensor of one element where it is learned."""
        return self._fixed_bias if self.bias is None else self.bias.float()

    @torch.no_grad()
    def set_center(self, mean: Tensor) -> None:
        """Set the mean multi-lead embedding of the training set, ``(embedding_dim,)``.

        Raises
        ------
        ValueError
            If the loss was built without ``center``, or the mean has another shape or is not
            finite.
        """
        if not self.center:
            raise ValueError("this loss does not centre embeddings: build it with center=True")
        if mean.shape != self.center_mean.shape:
            raise ValueError(
                f"the mean embedding has shape {tuple(mean.shape)}, the loss was built for "
                f"embedding_dim={self.center_mean.shape[0]}"
            )
        if not torch.isfinite(mean).all():
            raise ValueError("the mean embedding holds NaN or Inf: check the multi-lead weights")
        self.center_mean.copy_(mean)
        self.center_known.fill_(True)

    def embed(
        self, single: Tensor, multi: Tensor, center: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Centre and normalise embeddings as the loss compares them.

        Evaluation uses this too, so that retrieval and validation loss see what training sees.

        Parameters
        ----------
        single, multi
            ``(rows, dim)`` each.
        center
            Mean multi-lead embedding ``(dim,)`` to subtract instead of the one that was set.

        Returns
        -------
        tuple of Tensor
            Both in float32 (float64 stays).

        Raises
        ------
        RuntimeError
            If ``center=True`` and no mean was set or loaded.
        """
        with torch.autocast(single.device.type, enabled=False):
            single, multi = _wide(single), _wide(multi)
            if center is None and self.center:
                center = self._known_center()
            if center is not None:
                multi = multi - center.to(multi)
            if self.normalize:
                single, multi = F.normalize(single, dim=-1), F.normalize(multi, dim=-1)
        return single, multi

    def _known_center(self) -> Tensor:
        # Looked at once: reading the flag each step would wait for the device.
        self._center_seen = self._center_seen or bool(self.center_known)
        if not self._center_seen:
            raise RuntimeError(
                "center=True but the mean multi-lead embedding was never set: compute it over the "
                "training set and call set_center(mean), or load a checkpoint that has it"
            )
        return self.center_mean

    def forward(
        self, single: Tensor, multi: Tensor, ids: Tensor, center: Tensor | None = None
    ) -> Tensor:
        """Sum over this process's rows of the loss.

        Parameters
        ----------
        single
            ``(batch, dim)`` single-lead embeddings.
        multi
            ``(batch, dim)`` multi-lead embeddings of the same records.
        ids
            ``(batch,)`` integers that name the records: a record that occurs twice, here or in
            another process, is never its own negative.
        center
            See :meth:`embed`.

        Returns
        -------
        Tensor
            Scalar, float32: divide by the batch for the paper's loss.

        Raises
        ------
        TypeError
            If ids are not integers (hosts cast integers to half precision, which merges ids).
        ValueError
            If the three do not have the same number of rows.
        """
        if ids.dtype.is_floating_point or ids.dtype == torch.bool:
            raise TypeError(
                f"record ids must be integers, not {ids.dtype}: keep them out of the host's cast "
                "to half precision"
            )
        if not (single.shape == multi.shape and ids.shape == single.shape[:1]):
            raise ValueError(
                f"single {tuple(single.shape)}, multi {tuple(multi.shape)} and ids "
                f"{tuple(ids.shape)} must describe the same records"
            )
        single, multi = self.embed(single, multi, center)
        return siglip_loss(
            single,
            multi,
            self.scale_value,
            self.bias_value,
            ids,
            ids,
            across_processes=self.across_processes and self.training,
        )
