"""How well single-lead embeddings find their own record among multi-lead embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["TIE_TOLERANCE", "pairwise_siglip", "retrieval"]

TIE_TOLERANCE = 1e-6
"""Cosines closer than this are ties: a few roundings of float32, so that noise never counts as
retrieval."""


@torch.no_grad()
def retrieval(
    single: Tensor, multi: Tensor, k: Sequence[int] = (1, 5, 10), chunk: int = 1024
) -> dict[str, float]:
    """Share of records whose own multi-lead embedding is among the ``k`` most similar by cosine.

    Ties (within :data:`TIE_TOLERANCE`) count against the record: its rank is 1 plus the number of
    other records that are as similar or more.  Collapsed embeddings, which are all alike,
    therefore score 0 and never 1.

    Parameters
    ----------
    single, multi
        ``(records, dim)``, row by row of the same records; of any floating type, computed in
        float32.
    k
        Numbers of most similar records to look among.
    chunk
        Rows compared at once (memory is ``chunk * records`` floats).

    Returns
    -------
    dict
        ``r1``, ``r5``, ... (shares between 0 and 1) and ``median_rank`` (1 is best).

    Raises
    ------
    ValueError
        If the embeddings are empty, of different shapes, or not finite.
    """
    single, multi = _check(single, multi)
    with torch.autocast(single.device.type, enabled=False):
        single, multi = F.normalize(single, dim=-1), F.normalize(multi, dim=-1)
        ranks = []
        for start, rows in _chunks(single, chunk):
            cosine = rows @ multi.T
            own = cosine.diagonal(start).unsqueeze(1)
            ranks.append((cosine >= own - TIE_TOLERANCE).sum(dim=1))
    rank = torch.cat(ranks).double()
    report = {f"r{top}": float((rank <= top).double().mean()) for top in k}
    report["median_rank"] = float(np.median(rank.cpu().numpy()))
    return report


@torch.no_grad()
def pairwise_siglip(
    single: Tensor,
    multi: Tensor,
    scale: float,
    bias: float,
    batch_size: int,
    chunk: int = 1024,
) -> float:
    """Expected SigLIP loss a record, over random batches of ``batch_size`` drawn from all records.

    Equals the mean over records of the positive term plus ``batch_size - 1`` times the mean over
    all pairs of different records of the negative term, so that it does not depend on how records
    fall into batches, and is on the scale of the training loss
    (:func:`selfmis_plugin.nn.losses.pair_loss.siglip_loss` divided by the batch).

    Parameters
    ----------
    single, multi
        ``(records, dim)``, row by row of the same records, already centred and normalised as in
        training (:meth:`selfmis_plugin.nn.losses.siglip.SigLIPLoss.embed`).
    scale, bias
        Logit scale and bias.
    batch_size
        Records of the batches of which the expectation is taken.
    chunk
        Rows compared at once.

    Returns
    -------
    float
        The expected loss; summed in float64.  A single record has only its positive term.

    Raises
    ------
    ValueError
        If the embeddings are empty, of different shapes, or not finite, or ``batch_size`` is
        below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    single, multi = _check(single, multi)
    records = len(single)
    positive = torch.zeros((), dtype=torch.float64, device=single.device)
    negative = torch.zeros_like(positive)
    with torch.autocast(single.device.type, enabled=False):
        for start, rows in _chunks(single, chunk):
            logits = rows @ multi.T * scale + bias
            own = logits.diagonal(start)
            positive += F.softplus(-own).sum(dtype=torch.float64)
            terms = F.softplus(logits)
            terms.diagonal(start).zero_()
            negative += terms.sum(dtype=torch.float64)
    pairs = max(1, records * (records - 1))
    return float(positive / records + (batch_size - 1) * negative / pairs)


def _check(single: Tensor, multi: Tensor) -> tuple[Tensor, Tensor]:
    if single.dim() != 2 or single.shape != multi.shape or 0 in single.shape:
        raise ValueError(
            f"single {tuple(single.shape)} and multi {tuple(multi.shape)} embeddings must be "
            "(records, dim) of the same, non-empty set of records"
        )
    for name, embeddings in (("single", single), ("multi", multi)):
        bad = int((~torch.isfinite(embeddings)).any(dim=1).sum())
        if bad:
            raise ValueError(
                f"{bad} of {len(embeddings)} {name}-lead embeddings hold NaN or Inf: the weights "
                "diverged or the precision is too low (try float32 or bfloat16)"
            )
    return single.float(), multi.float()


def _chunks(rows: Tensor, chunk: int) -> Iterator[tuple[int, Tensor]]:
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, not {chunk}")
    for start in range(0, len(rows), chunk):
        yield start, rows[start : start + chunk]
