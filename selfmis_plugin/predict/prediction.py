"""What a classifier says of one recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.labels import ANY_INFARCTION, INFARCTION_TYPES
from selfmis_plugin.data.person import UNKNOWN_PERSON, Person
from selfmis_plugin.metrics.calibrated import (
    PersonLine,
    Recalibration,
    calibrated_probabilities,
)
from selfmis_plugin.metrics.calibration import probabilities
from selfmis_plugin.metrics.operating_point import OperatingPoint, threshold_of
from selfmis_plugin.predict.strips import Strip

__all__ = ["DISCLAIMER", "PRECISIONS", "LabelResult", "Prediction"]

DISCLAIMER = "For research, not for diagnosis."

#: What encoders compute in, by the names that PyTorch has for them.
PRECISIONS: tuple[str, ...] = ("float32", "bfloat16")

#: Labels in a prediction's one line.
_SHOWN = len(INFARCTION_TYPES)


@dataclass(frozen=True)
class LabelResult:
    """What is said of one label.

    Attributes
    ----------
    probability
        Mean over the windows.
    low, high
        Smallest and largest of the windows.
    threshold
        Probability of the operating point; None where the model has none.
    """

    probability: float
    low: float
    high: float
    threshold: float | None

    @property
    def above(self) -> bool | None:
        """Whether the probability is above the threshold, None without one."""
        return None if self.threshold is None else self.probability > self.threshold

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "probability": self.probability,
            "low": self.low,
            "high": self.high,
            "threshold": self.threshold,
            "above_threshold": self.above,
        }


@dataclass(frozen=True, repr=False)
class Prediction:
    """What a classifier says of one recording.

    Attributes
    ----------
    strip
        The windows, also those that were not scored.
    labels
        Names of the labels, infarction types first.
    logits
        float32, (windows, labels); NaN where a window was refused.
    points
        Operating points by label.
    calibration
        How logits become probabilities, by label; where one is missing it is the sigmoid's.
    with_person
        The same where age and sex are known, by label.
    person
        Whose it is.
    """

    strip: Strip
    labels: tuple[str, ...]
    logits: npt.NDArray[np.float32]
    points: Mapping[str, OperatingPoint]
    calibration: Mapping[str, Recalibration] = field(default_factory=dict)
    with_person: Mapping[str, PersonLine] = field(default_factory=dict)
    person: Person = UNKNOWN_PERSON

    def __repr__(self) -> str:
        scored, results = self.scored, self.results
        text = f"{scored.sum()} of {len(scored)} windows scored"
        for label in self.labels[:_SHOWN] if results else ():
            text += f", {label} {results[label].probability:.3f}"
        more = len(results) - _SHOWN
        text += f", {more} more labels" if more > 0 else ""
        return f"<Prediction of {self.strip.name!r}: {text}>"

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        """Which windows were scored, (windows,)."""
        return np.array([not window.problem for window in self.strip.windows], dtype=bool)

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """float64, (windows, labels); NaN where a window was refused."""
        columns = [
            self._probabilities(label, values)
            for label, values in zip(self.labels, self.logits.T, strict=True)
        ]
        return np.stack(columns, axis=1)

    @property
    def by_person(self) -> tuple[str, ...]:
        """Labels whose probability uses age and sex."""
        if not self.person.is_known:
            return ()
        return tuple(label for label in self.labels if label in self.with_person)

    def _probabilities(
        self, label: str, logits: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float64]:
        if label in self.by_person:
            line, age = self.with_person[label], self.person.age or 0.0
            return probabilities(line.log_odds(logits, age, self.person.sign))
        return calibrated_probabilities(label, logits, self.calibration)

    def _threshold(self, label: str) -> float | None:
        if label in self.by_person:
            return float(probabilities(np.array(self.with_person[label].threshold)))
        return threshold_of(label, self.points, self.calibration)

    @property
    def results(self) -> dict[str, LabelResult]:
        """By label; empty if no window was good enough to be scored."""
        scored = self.probabilities[self.scored]
        if not len(scored):
            return {}
        return {
            label: LabelResult(
                float(values.mean()),
                float(values.min()),
                float(values.max()),
                self._threshold(label),
            )
            for label, values in zip(self.labels, scored.T, strict=True)
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or left aside, and where probabilities contradict each other."""
        results = self.results
        types = [label for label in results if label in INFARCTION_TYPES]
        likeliest = max(types, key=lambda label: results[label].probability, default=None)
        if ANY_INFARCTION not in results or likeliest is None:
            return self.strip.notes
        whole, part = results[ANY_INFARCTION].probability, results[likeliest].probability
        if whole >= part:
            return self.strip.notes
        both = (ANY_INFARCTION, likeliest)
        by = [label for label in both if label in self.by_person]
        ways = {
            0: "each label is calibrated by itself",
            1: f"age and sex judge {by[0] if by else ''} alone of the two",
            2: "age and sex judge each label by itself",
        }[len(by)]
        return (
            *self.strip.notes,
            f"{ANY_INFARCTION} ({whole:.3f}) is below {likeliest} ({part:.3f}), which is one: "
            f"{ways}; any infarction is at least as likely as the larger of the two",
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "file": self.strip.name,
            "note": DISCLAIMER,
            "notes": list(self.notes),
            **(
                {
                    "age": self.person.age,
                    "sex": self.person.sex,
                    "labels_by_age_and_sex": list(self.by_person),
                }
                if self.person.is_known
                else {}
            ),
            "labels": {label: result.to_dict() for label, result in self.results.items()},
            "windows": [
                {
                    "start": window.start,
                    "seconds": window.seconds,
                    "quality": window.quality,
                    "refused": window.problem or None,
                    "probabilities": None
                    if window.problem
                    else dict(zip(self.labels, row.tolist(), strict=True)),
                }
                for window, row in zip(self.strip.windows, self.probabilities, strict=True)
            ],
        }
