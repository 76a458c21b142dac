"""Figures of one label under many weightings of the records at once.

A bootstrap draw is a weighting of the records. Their order is the same in every draw; so a figure
in a thousand draws is one sort and running sums, or a product of matrices, not a thousand sorts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

__all__ = ["LabelScores", "Ranking"]

#: Positives that are compared at once: bounds the memory to this many times the records.
_BLOCK = 512


@dataclass(frozen=True)
class Ranking:
    """Figures of one label in every draw; NaN where a draw has no positive or no negative.

    Attributes
    ----------
    average_precision
        Mean over the positives of the precision at their score, tied records taken together (as
        scikit-learn's), float64 (draws,).
    sensitivity
        Largest sensitivity of any threshold that keeps the specificity asked for.
    """

    average_precision: npt.NDArray[np.float64]
    sensitivity: npt.NDArray[np.float64]


class LabelScores:
    """Scores of the records that have a label and of those that have not.

    Parameters
    ----------
    target
        bool, (records,).
    score
        (records,), larger for more likely; finite.
    """

    def __init__(self, target: npt.NDArray[np.bool_], score: npt.NDArray[np.floating]) -> None:
        self.positive = np.flatnonzero(target)
        self.negative = np.flatnonzero(~target)
        # float64 holds every float16 and float32 exactly, so the order and the ties stay.
        self._score = score.astype(np.float64)

    def auc(
        self, weights_positive: npt.NDArray[np.float32], weights_negative: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float64]:
        """Area under the ROC curve in every draw, ties as half; see :meth:`ranking`."""
        won = np.zeros(len(weights_positive))
        for block in self._blocks:
            below = weights_negative @ self._below(block)
            won += np.einsum("bp,bp->b", weights_positive[:, block], below, dtype=np.float64)
        return self._share(won, weights_positive, weights_negative)

    def ranking(
        self,
        weights_positive: npt.NDArray[np.float32],
        weights_negative: npt.NDArray[np.float32],
        specificity: float = 0.9,
    ) -> Ranking:
        """Return average precision and sensitivity in every draw.

        Parameters
        ----------
        weights_positive
            float32, (draws, positives): how often each record is in each draw. Whole numbers: their
            sums are then exact in float32 (below 2**24).
        weights_negative
            The same of the negatives, (draws, negatives).
        specificity
            Share of the negatives that must stay below the threshold of ``sensitivity``.
        """
        positives = weights_positive.sum(axis=1, dtype=np.float64)
        negatives = weights_negative.sum(axis=1, dtype=np.float64)
        # A share such as 0.1 of 30 must come out as 3 whatever its binary digits.
        allowed = np.floor((1 - specificity) * negatives + 1e-9)
        own, others = self._score[self.positive], self._score[self.negative]
        hits = _at_or_above(weights_positive, own, own)
        false = _at_or_above(weights_negative, others, own)
        with np.errstate(invalid="ignore"):
            share = hits / (hits + false)
        precision = np.where(weights_positive > 0, weights_positive * share, 0.0).sum(axis=1)
        reached = np.where(false <= allowed[:, None], hits, 0.0).max(axis=1, initial=0.0)
        defined = (positives > 0) & (negatives > 0)
        safe = np.where(defined, positives, 1.0)
        return Ranking(
            np.where(defined, precision / safe, np.nan),
            np.where(defined, reached / safe, np.nan),
        )

    @cached_property
    def _blocks(self) -> list[slice]:
        return [slice(k, k + _BLOCK) for k in range(0, len(self.positive), _BLOCK)]

    def _below(self, block: slice) -> npt.NDArray[np.float32]:
        """Whether each negative is below each positive of the block, ties as half: (N, block)."""
        others = self._score[self.negative][:, None]
        own = self._score[self.positive][None, block]
        return (others < own).astype(np.float32) + np.float32(0.5) * (others == own)

    @staticmethod
    def _share(
        won: npt.NDArray[np.float64],
        weights_positive: npt.NDArray[np.float32],
        weights_negative: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float64]:
        pairs = weights_positive.sum(axis=1, dtype=np.float64)
        pairs = pairs * weights_negative.sum(axis=1, dtype=np.float64)
        return np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1.0), np.nan)


def _at_or_above(
    weights: npt.NDArray[np.float32],
    score: npt.NDArray[np.float64],
    limits: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return the weight of the records whose score is at or above each limit, (draws, limits).

    The time grows with the number of records and not with that times the limits.
    """
    order = np.argsort(-score, kind="stable")
    falling, place = np.unique(-limits, return_inverse=True)
    # Of the sorted records, those at or above a limit, and of them those below the one before.
    ends = np.searchsorted(-score[order], falling, side="right")
    starts = np.concatenate([[0], ends[:-1]])
    filled = np.flatnonzero(ends > starts)
    sums = np.zeros((len(weights), len(falling)))
    if len(filled):
        sums[:, filled] = np.add.reduceat(weights[:, order[: ends[-1]]], starts[filled], axis=1)
    return np.asarray(np.cumsum(sums, axis=1)[:, place])
