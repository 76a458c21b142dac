"""Thresholds at which a label's probability is worth a second look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.metrics.recalibration import Recalibration, calibrated_probabilities
from selfmis_plugin.metrics.statistics import SPECIFICITY
from selfmis_plugin.utils.fields import FieldError, Fields


@dataclass(frozen=True)
class OperatingPoint:
    """The threshold of one label.

    Attributes
    ----------
    logit
        A record with a logit above it is called positive.
    specificity
        Share of the negatives at or below it, on the records that it was chosen on.
    sensitivity
        Share of the positives above it there, None where there were none.
    positives, negatives
        Numbers of those records.
    """

    logit: float
    specificity: float
    sensitivity: float | None
    positives: int
    negatives: int

    @property
    def probability(self) -> float:
        """The threshold as the network's own probability; see :func:`threshold_of`."""
        return float(expit(self.logit))

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"probability": self.probability, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> OperatingPoint:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        FieldError
            If it is something else, or its probability is not that of its logit.
        """
        fields = values if isinstance(values, Fields) else Fields(values)
        point = cls(
            fields.number("logit"),
            fields.number("specificity", least=0, most=1),
            fields.optional_number("sensitivity", least=0, most=1),
            fields.whole("positives"),
            fields.whole("negatives"),
        )
        said = fields.number("probability", least=0, most=1)
        if abs(said - point.probability) > 1e-6:
            raise FieldError(
                f"{fields.named('probability')} is {said:g}, and {point.probability:g} by its logit"
            )
        return point


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
        negatives = np.sort(logits[~target])
        if len(negatives):
            # A share such as 0.9 of 30 must come out as 27 whatever its binary digits.
            needed = int(np.ceil(specificity * len(negatives) - 1e-9))
            points[label] = _at(float(negatives[max(needed, 1) - 1]), target, logits)
    return points


def threshold_of(
    label: str, points: Mapping[str, OperatingPoint], lines: Mapping[str, Recalibration]
) -> float | None:
    """Return a label's threshold as the probability that a prediction is compared with; None if it
    has none."""
    point = points.get(label)
    if point is None:
        return None
    return float(calibrated_probabilities(label, np.array([point.logit]), lines)[0])


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
