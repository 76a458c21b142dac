"""What else may bring the two embeddings of a record together, in place of SigLIP."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from selfmis_plugin.nn.exchange import gather_rows, is_distributed, rows_by_process
from selfmis_plugin.nn.losses.siglip import SigLIPLoss

__all__ = ["CosineLoss", "InfoNCELoss", "info_nce"]


def info_nce(
    single: Tensor,
    multi: Tensor,
    scale: Tensor | float,
    single_ids: Tensor,
    multi_ids: Tensor,
    first: int = 0,
) -> Tensor:
    r"""Cross-entropy of finding a row's own multi-lead embedding among all, float32 (rows,).

    It is :math:`-\log (e^{t \langle s, m \rangle} / \sum_j e^{t \langle s, m_j \rangle})`
    (van den Oord et al., "Representation learning with contrastive predictive coding", 2018), in
    one direction: the other side is frozen. Of a record that occurs several times, such as in
    several windows, each row has its own partner; the others are none of its negatives.

    Parameters
    ----------
    single
        (rows, dim), as they enter the inner product.
    multi
        (columns, dim); row k's own is column ``first + k``.
    scale
        t; a tensor has one element.
    single_ids, multi_ids
        Integers that name the records, (rows,) and (columns,).
    first
        Column of the first row's own: not 0 where columns of other processes stand before it.
    """
    logits = scale * single @ multi.T
    alike = single_ids[:, None] == multi_ids[None, :]
    own = first + torch.arange(len(single), device=single.device)
    others = alike.scatter(1, own[:, None], False)
    return F.cross_entropy(logits.masked_fill(others, float("-inf")), own, reduction="none")


class InfoNCELoss(SigLIPLoss):
    """InfoNCE of a single-lead embedding among the frozen multi-lead ones.

    Parameters
    ----------
    **settings
        As :class:`~selfmis_plugin.nn.losses.siglip.SigLIPLoss`, but for the bias, which it has none
        of. The multi-lead side gets no gradient.

    Examples
    --------
    >>> import torch
    >>> loss = InfoNCELoss()
    >>> embeddings = torch.eye(4)
    >>> bool(loss(embeddings, embeddings, ids=torch.arange(4)) < 0.01)
    True
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "learn_logit_bias": False})

    def _compared(self, single: Tensor, multi: Tensor, ids: Tensor) -> Tensor:
        multi, multi_ids, first = multi.detach(), ids, 0
        if self.across_processes and self.training and is_distributed():
            by_process = rows_by_process(ids)
            first = sum(map(len, by_process[: dist.get_rank()]))
            multi, multi_ids = gather_rows(multi), torch.cat(by_process)
        if not len(single):
            return single.sum()
        return info_nce(single, multi, self.scale_value, ids, multi_ids, first).sum()

    @torch.no_grad()
    def expected(self, single: Tensor, multi: Tensor, batch_size: int) -> float:
        """Return the loss a record of a split, in batches of its order, of embeddings as
        :meth:`embed` returns them."""
        ids = torch.arange(len(single), device=single.device)
        losses = [
            info_nce(s, m, self.scale_value, i, i)
            for s, m, i in zip(
                *(rows.split(batch_size) for rows in (single, multi, ids)), strict=True
            )
        ]
        return float(torch.cat(losses).mean())


class CosineLoss(SigLIPLoss):
    """1 less the cosine of the two embeddings: no negatives.

    Parameters
    ----------
    **settings
        As :class:`~selfmis_plugin.nn.losses.siglip.SigLIPLoss`; scale and bias play no part.

    Examples
    --------
    >>> import torch
    >>> embeddings = torch.eye(4)
    >>> float(CosineLoss()(embeddings, embeddings, ids=torch.arange(4)))
    0.0
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            **{**settings, "normalize": True, "learn_logit_bias": False, "learn_logit_scale": False}
        )

    def _compared(self, single: Tensor, multi: Tensor, ids: Tensor) -> Tensor:
        return (1 - (single * multi).sum(1)).sum()

    @torch.no_grad()
    def expected(self, single: Tensor, multi: Tensor, batch_size: int) -> float:
        """Return the loss a record of a split, whatever the batches."""
        return float((1 - (single * multi).sum(1)).mean())
