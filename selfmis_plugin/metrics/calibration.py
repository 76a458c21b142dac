"""Whether probabilities are as large as what comes true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logsumexp

__all__ = ["Calibration", "calibrate", "logit_of_any", "probabilities"]

#: Smaller sums of probabilities lose digits in float64, and are zero below 1e-323.
_LEAST_EXACT = 1e-300
#: A sum of large logits may leave the range of float32.
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Calibration:
    """Reliability of one label's probabilities.

    Attributes
    ----------
    predicted, observed
        Mean probability and share of positives of each bin, in rising order.
    records
        Records of each bin.
    error
        Expected calibration error: mean over the records of their bin's difference.
    """

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    records: tuple[int, ...]
    error: float

    def to_dict(self) -> dict[str, object]:
        """As JSON can hold it."""
        return {
            "predicted": list(self.predicted),
            "observed": list(self.observed),
            "records": list(self.records),
            "error": self.error,
        }


def probabilities(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the sigmoid in float64, of any shape, without overflow."""
    return np.asarray(expit(logits.astype(np.float64)))


def logit_of_any(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return the logit of at least one of several statements, float32 (records,).

    Its probability is what it is if each comes by itself, 1 - prod(1 - p). It is finite where the
    logits are.

    Parameters
    ----------
    logits
        Of the statements, (records, statements).
    """
    values = logits.astype(np.float64)
    # -log(1 - p) of a logit is its softplus; the logit of 1 - exp(-s) is log(exp(s) - 1).
    total = np.logaddexp(0, values).sum(axis=1)
    rare = total < _LEAST_EXACT
    either = total + np.log(-np.expm1(-np.where(rare, 1.0, total)))
    # So rare that each is its odds, of which two never come together.
    either[rare] = logsumexp(values[rare], axis=1)
    finite = np.isfinite(either)
    either[finite] = np.clip(either[finite], -_LARGEST, _LARGEST)
    return np.asarray(either, dtype=np.float32)


def calibrate(
    target: npt.NDArray[np.bool_], probability: npt.NDArray[np.float64], bins: int = 10
) -> Calibration:
    """Compare probabilities with outcomes in bins of (almost) equal numbers of records.

    Equal numbers and not equal widths: nearly all probabilities of a rare label are small, and
    would share one bin. Records of equal probability stay together.

    Parameters
    ----------
    target
        bool, (records,).
    probability
        float64 from 0 to 1, (records,).
    bins
        Number of bins; there are fewer where probabilities tie.
    """
    order = np.argsort(probability, kind="stable")
    sorted_probability, truth = probability[order], target[order].astype(np.float64)
    cuts = (np.arange(1, bins) * len(order)) // bins
    # A cut inside a run of ties moves to the run's start.
    starts = np.unique(
        np.concatenate([[0], np.searchsorted(sorted_probability, sorted_probability[cuts])])
    )
    starts = starts[starts < len(order)]
    records = np.diff(np.append(starts, len(order)))
    predicted = np.add.reduceat(sorted_probability, starts) / records
    observed = np.add.reduceat(truth, starts) / records
    error = float(np.sum(np.abs(predicted - observed) * records) / len(order))
    return Calibration(
        tuple(predicted.tolist()), tuple(observed.tolist()), tuple(records.tolist()), error
    )
