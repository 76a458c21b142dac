"""How alike the embeddings of a record's leads are, against those of other records.

For leads a and b it is the Pearson correlation between the two embedding vectors, over their
dimensions, averaged over records. Two figures make it mean something. The *control* is the same
between lead a of one record and lead b of another, averaged over all such pairs: an encoder that
says the same of every heart has a correlation of 1, and a control of 1. And *centred* embeddings
have lost, in each lead and dimension, the mean over the records, so that what all records share no
longer counts; their control is about 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CorrelationMatrix", "LeadCorrelation", "correlate_leads"]

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CorrelationMatrix:
    """Correlation of the embeddings of two leads.

    Attributes
    ----------
    same
        Of one record, (leads, leads); its diagonal is 1.
    other
        Of two different records, the control, (leads, leads).
    """

    same: Matrix
    other: Matrix

    @property
    def mean_same(self) -> float:
        """Mean over the pairs of different leads."""
        return _off_diagonal_mean(self.same)

    @property
    def mean_other(self) -> float:
        """Mean of the control over the pairs of different leads."""
        return _off_diagonal_mean(self.other)


@dataclass(frozen=True)
class LeadCorrelation:
    """What :func:`correlate_leads` found.

    Attributes
    ----------
    leads
        Names of the leads, in the order of the matrices.
    records
        Number of records.
    as_is, centred
        Of the embeddings as they are, and less the mean over the records.
    """

    leads: tuple[str, ...]
    records: int
    as_is: CorrelationMatrix
    centred: CorrelationMatrix

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        kinds = {"as_is": self.as_is, "centred": self.centred}
        return {
            "leads": list(self.leads),
            "records": self.records,
            **{
                name: {
                    "mean": kind.mean_same,
                    "mean_other_records": kind.mean_other,
                    "matrix": kind.same.tolist(),
                    "matrix_other_records": kind.other.tolist(),
                }
                for name, kind in kinds.items()
            },
        }


def correlate_leads(
    embeddings: npt.NDArray[np.floating[Any]], leads: Sequence[str]
) -> LeadCorrelation:
    """Correlate the embeddings of every two leads.

    Parameters
    ----------
    embeddings
        (records, leads, dimensions).
    leads
        Names of the leads.

    Raises
    ------
    ValueError
        If there are fewer than two records, leads or dimensions, or values that are not finite.
    """
    values = np.asarray(embeddings, dtype=np.float64)
    if values.ndim != 3 or min(values.shape) < 2 or values.shape[1] != len(leads):
        raise ValueError(
            f"embeddings of shape {values.shape} are not (records, {len(leads)} leads, "
            "dimensions) with two or more of each"
        )
    if not np.isfinite(values).all():
        raise ValueError("embeddings hold NaN or Inf: the weights diverged")
    centred = values - values.mean(axis=0)
    return LeadCorrelation(tuple(leads), len(values), _correlate(values), _correlate(centred))


def _correlate(values: Matrix) -> CorrelationMatrix:
    rows = values - values.mean(axis=-1, keepdims=True)
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    # A constant vector correlates with nothing.
    rows = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    records = len(rows)
    total = np.einsum("nad,nbd->ab", rows, rows)
    sums = rows.sum(axis=0)
    # Over all ordered pairs of records, less those of a record with itself.
    other = (sums @ sums.T - total) / (records * (records - 1))
    return CorrelationMatrix(total / records, other)


def _off_diagonal_mean(matrix: Matrix) -> float:
    return float(matrix[~np.eye(len(matrix), dtype=bool)].mean())
