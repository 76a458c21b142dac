"""Thresholds at which a label's probability is worth a second look."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from selfmis_plugin.metrics.defaults import SPECIFICITY
from selfmis_plugin.metrics.operating_point import OperatingPoint, points_from, threshold_of
from selfmis_plugin.metrics.predictions import Predictions

__all__ = [
    "OperatingPoint",
    "at_operating_points",
    "choose_operating_points",
    "points_from",
    "threshold_keeping",
    "threshold_of",
]


def choose_operating_points(
    predictions: Predictions, specificity: float = SPECIFICITY
) -> dict[str, OperatingPoint]:
    """Return for each label the lowest threshold that keeps *specificity*.

    It is the logit of a negative record: the smallest that so large a share of the negatives does
    not exceed. A label without a negative has none.

    Raises
    ------
    ValueError
        If the specificity is not between 0 and 1.
    """
    if not 0 < specificity < 1:
        raise ValueError(f"a specificity of {specificity:g} is not between 0 and 1")
    points = {}
    for column, label in enumerate(predictions.labels):
        target = predictions.targets[:, column]
        logits = predictions.logits[:, column].astype(np.float64)
        if not target.all():
            points[label] = _at(threshold_keeping(logits[~target], specificity), target, logits)
    return points


def threshold_keeping(negatives: npt.NDArray[np.float64], specificity: float) -> float:
    """Return the smallest of negatives' scores, (negatives,), that so large a share of them does
    not exceed."""
    # A share such as 0.9 of 30 must come out as 27 whatever its binary digits.
    needed = int(np.ceil(specificity * len(negatives) - 1e-9))
    return float(np.sort(negatives)[max(needed, 1) - 1])


def at_operating_points(
    predictions: Predictions, points: Mapping[str, OperatingPoint]
) -> dict[str, OperatingPoint]:
    """Return what the same thresholds reach on other records."""
    reached = {}
    for column, label in enumerate(predictions.labels):
        target = predictions.targets[:, column]
        if label in points and not target.all():
            logits = predictions.logits[:, column].astype(np.float64)
            reached[label] = _at(points[label].logit, target, logits)
    return reached


def _at(
    threshold: float, target: npt.NDArray[np.bool_], logits: npt.NDArray[np.float64]
) -> OperatingPoint:
    above = logits > threshold
    return OperatingPoint(
        threshold,
        float(np.mean(~above[~target])),
        float(np.mean(above[target])) if target.any() else None,
        int(target.sum()),
        int((~target).sum()),
    )
