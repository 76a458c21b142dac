"""The threshold at which a label's probability is worth a second look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from selfmis_plugin.metrics.calibrated import Recalibration, calibrated_probabilities
from selfmis_plugin.metrics.calibration import probabilities
from selfmis_plugin.utils.fields import FieldError, Fields

__all__ = ["OperatingPoint", "points_from", "threshold_of"]


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
        return float(probabilities(np.array(self.logit)))

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


def threshold_of(
    label: str, points: Mapping[str, OperatingPoint], lines: Mapping[str, Recalibration]
) -> float | None:
    """Return a label's threshold as the probability that a prediction is compared with; None if it
    has none."""
    point = points.get(label)
    if point is None:
        return None
    return float(calibrated_probabilities(label, np.array([point.logit]), lines)[0])


def points_from(
    values: Fields, labels: Sequence[str]
) -> tuple[float | None, dict[str, OperatingPoint]]:
    """Read what an exported model says of its thresholds.

    Returns
    -------
    tuple
        The specificity that they keep, None where there are none, and the points by label.

    Raises
    ------
    FieldError
        If it says it wrongly.
    """
    described = values.part("labels")
    if unknown := [name for name in described if name not in labels]:
        raise FieldError(f"{described.named(unknown[0])} is none of the labels")
    points = {name: OperatingPoint.from_dict(described.part(name)) for name in described}
    return values.optional_number("specificity", above=0, most=1), points
