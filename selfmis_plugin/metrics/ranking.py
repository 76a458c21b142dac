"""Figures of one label under many weightings of the records at once.

A bootstrap draw is a weighting of the records. Their order is the same in every draw; so a figure
in a thousand draws is one sort and running sums, or a product of matrices, not a thousand sorts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

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
        weights = np.empty((len(self._score), len(weights_positive)), dtype=np.float32)
        weights[self.positive], weights[self.negative] = weights_positive.T, weights_negative.T
        return self.ranking_of(weights, np.arange(len(self._score)), specificity)

    def ranking_of(
        self,
        counts: npt.NDArray[np.float32],
        patient: npt.NDArray[np.int64],
        specificity: float = 0.9,
    ) -> Ranking:
        """Return the same of draws of patients, whose records go together.

        The time is a sum of rows of *counts*, one a record.

        Parameters
        ----------
        counts
            float32, (patients, draws): how often each patient is in each draw. Whole numbers.
        patient
            Number of each record's patient, (records,).
        specificity
            As in :meth:`ranking`.
        """
        own, others = self._score[self.positive], self._score[self.negative]
        # Only where a positive is does anything change: the limits, falling.
        limits, place = np.unique(-own, return_inverse=True)
        beyond = np.searchsorted(limits, -others, side="left")
        above = beyond < len(limits)
        hit = _sums(place, patient[self.positive], len(limits), counts)
        false = _sums(beyond[above], patient[self.negative[above]], len(limits), counts)
        below = _sums(
            np.zeros(np.count_nonzero(~above), np.int64),
            patient[self.negative[~above]],
            1,
            counts,
        )
        hits, false = np.cumsum(hit, axis=0), np.cumsum(false, axis=0)
        draws = counts.shape[1]
        positives = hits[-1].copy() if len(limits) else np.zeros(draws)
        negatives = below[0] + (false[-1] if len(limits) else 0.0)
        # A share such as 0.1 of 30 must come out as 3 whatever its binary digits.
        allowed = np.floor((1 - specificity) * negatives + 1e-9)
        reached = np.where(false <= allowed, hits, 0.0).max(axis=0, initial=0.0)
        false += hits
        with np.errstate(invalid="ignore"):
            # Where nothing is at or above a limit, no positive is.
            np.divide(hits, false, out=hits, where=false > 0)
        precision = np.einsum("kd,kd->d", hit, hits)
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


def _sums(
    group: npt.NDArray[np.int64],
    patient: npt.NDArray[np.int64],
    groups: int,
    counts: npt.NDArray[np.float32],
) -> npt.NDArray[np.float64]:
    """Return the weight of the records of each group in every draw, (groups, draws)."""
    # As a sparse matrix a record is one entry, and its product with the counts a sum of rows.
    entries = np.ones(len(group), dtype=np.float32)
    matrix = csr_matrix((entries, (group, patient)), shape=(groups, len(counts)))
    return np.asarray(matrix @ counts, dtype=np.float64)
