"""Triplet alignment of the leads of a record, and the curriculum that brings it in."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DISTANCES", "MINING", "TripletAlignmentLoss", "curriculum_weights"]

MINING = ("all", "hard", "semi-hard")
DISTANCES = ("cosine", "euclidean")


def curriculum_weights(epoch: float, epochs: int) -> tuple[float, float]:
    """Weights of alignment and reconstruction at epoch i of N: sin(i/N pi/2), cos(i/N pi/2).

    Ibtehaz and Mortazavi, 2024, arXiv 2405.19359. Epochs count from 1, so the first is almost
    all reconstruction, and the last is alignment alone.

    Parameters
    ----------
    epoch
        i; beyond N it counts as N.
    epochs
        N.

    Returns
    -------
    tuple of float
        Weight of the alignment, weight of the reconstruction.
    """
    angle = min(1.0, max(0.0, epoch / epochs)) * math.pi / 2
    # cos(pi/2) is 6e-17 in floating point, and a weight of nothing should be nothing.
    return math.sin(angle), 0.0 if epoch >= epochs else math.cos(angle)


class TripletAlignmentLoss(nn.Module):
    """Triplet loss between leads: an embedding should lie nearer to the other leads of its record
    than to any lead of another record, by a margin.

    For an anchor (record n, lead a), a positive (n, p) with p != a, and a negative (m, q) of
    another record and any lead, it is max(0, d(anchor, positive) - d(anchor, negative) + margin)
    (Schroff et al., "FaceNet", 2015). A record's loss is the mean over its anchors, positives
    and what ``mining`` takes of the negatives.

    Parameters
    ----------
    margin
        Difference that is asked for, in the unit of the distance.
    mining
        Negatives of an anchor and positive: ``all``; ``hard``, the nearest one; ``semi-hard``, the
        nearest one that is further away than the positive (the furthest one where none is).
    distance
        ``cosine``: 1 - cosine, from 0 to 2; ``euclidean``: of the embeddings as they are.

    Raises
    ------
    ValueError
        If mining or distance is not one of those.
    """

    def __init__(
        self, margin: float = 0.2, mining: str = "semi-hard", distance: str = "cosine"
    ) -> None:
        super().__init__()
        if mining not in MINING:
            raise ValueError(f"mining={mining!r}: choose one of {', '.join(MINING)}")
        if distance not in DISTANCES:
            raise ValueError(f"distance={distance!r}: choose one of {', '.join(DISTANCES)}")
        self.margin, self.mining, self.distance = margin, mining, distance

    def extra_repr(self) -> str:
        """Return what PyTorch prints of the module."""
        return f"margin={self.margin}, mining={self.mining!r}, distance={self.distance!r}"

    def forward(self, embeddings: Tensor, records: Tensor | None = None) -> Tensor:
        """Return the loss of each record, float32 (records,).

        Parameters
        ----------
        embeddings
            ``(records, leads, ...)``; what follows the leads is one vector.
        records
            Numbers of the records, ``(records,)``: rows of the same number are never negatives
            of each other. None: all differ.

        Returns
        -------
        Tensor
            0 where there is no other record, or only one lead.
        """
        count, leads = embeddings.shape[:2]
        if records is None:
            records = torch.arange(count, device=embeddings.device)
        with torch.autocast(embeddings.device.type, enabled=False):
            distances = self._distances(embeddings.float().flatten(2).flatten(0, 1))
        # (record, anchor lead, record, lead)
        distances = distances.view(count, leads, count, leads)
        own = torch.arange(count, device=embeddings.device)
        # (record, anchor, positive), (record, anchor, negatives)
        positive = distances[own, :, own]
        other = (records[:, None] != records)[:, None, :, None].expand_as(distances)
        negative = distances.flatten(2)
        other = other.flatten(2)
        pair = ~torch.eye(leads, dtype=torch.bool, device=embeddings.device)
        if self.mining == "all":
            hinge = (positive[..., None] - negative[:, :, None] + self.margin).relu()
            weight = pair[None, :, :, None] & other[:, :, None]
            total = (hinge * weight).sum((1, 2, 3))
            return total / weight.sum((1, 2, 3)).clamp_min(1)
        mined = self._mined(positive, negative, other)
        weight = pair & other.any(-1)[..., None]
        hinge = (positive - mined + self.margin).relu()
        total = torch.where(weight, hinge, 0).sum((1, 2))
        return total / weight.sum((1, 2)).clamp_min(1)

    def _mined(self, positive: Tensor, negative: Tensor, other: Tensor) -> Tensor:
        far = torch.finfo(negative.dtype).max
        nearest = negative.masked_fill(~other, far).amin(-1, keepdim=True)
        if self.mining == "hard":
            return nearest
        furthest = negative.masked_fill(~other, -far).amax(-1, keepdim=True)
        beyond = other[:, :, None] & (negative[:, :, None] > positive[..., None])
        candidates = negative[:, :, None].masked_fill(~beyond, far).amin(-1)
        return torch.where(beyond.any(-1), candidates, furthest)

    def _distances(self, rows: Tensor) -> Tensor:
        if self.distance == "cosine":
            rows = F.normalize(rows, dim=-1)
            return 1 - rows @ rows.T
        return torch.cdist(rows, rows)
