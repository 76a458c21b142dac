"""Whether probabilities are as large as what comes true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

__all__ = ["Calibration", "calibrate", "logit_of_any", "probabilities"]


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

    Its probability is what it is if each comes by itself, 1 - prod(1 - p).

    Parameters
    ----------
    logits
        Of the statements, (records, statements).
    """
    # -log(1 - p) of a logit is its softplus; the logit of 1 - exp(-s) is log(exp(s) - 1).
    total = np.logaddexp(0, logits.astype(np.float64)).sum(axis=1)
    return np.asarray(total + np.log(-np.expm1(-total)), dtype=np.float32)


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
