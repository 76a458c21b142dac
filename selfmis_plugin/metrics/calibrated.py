"""Logits as probabilities that come true, by lines that were fitted before.

How they are fitted is in :mod:`selfmis_plugin.metrics.recalibration`; whoever asks a model needs
this alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.metrics.calibration import probabilities
from selfmis_plugin.utils.fields import FieldError, Fields

__all__ = [
    "PERSON",
    "PersonLine",
    "Recalibration",
    "calibrated_probabilities",
    "person_features",
    "person_lines_in",
    "recalibrations_in",
]


#: Where an exported model's description keeps lines, and where those with age and sex.
CALIBRATION, PERSON = "calibration", "with_age_and_sex"


@dataclass(frozen=True)
class Recalibration:
    """How one label's logits become log odds that come true.

    Attributes
    ----------
    method
        ``"platt"``, a line of the label's own; ``"shared slope"``, the intercept its own, the
        slope of all labels.
    slope, intercept
        Log odds = slope * logit + intercept. The slope is above zero.
    positives
        Records of the validation split with the label.
    """

    method: str
    slope: float
    intercept: float
    positives: int

    def log_odds(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return log odds of logits of any shape."""
        return self.slope * logits.astype(np.float64) + self.intercept

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Fields) -> Recalibration:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        FieldError
            If it is something else.
        """
        return cls(
            values.text("method"),
            values.number("slope", above=0),
            values.number("intercept"),
            values.whole("positives"),
        )


@dataclass(frozen=True)
class PersonLine:
    """How one label's logit becomes log odds that come true for a person of an age and a sex.

    Attributes
    ----------
    slope, intercept, age, age_squared, sex, age_by_sex
        Log odds = slope * logit + intercept + weights times :func:`person_features`. The slope is
        above zero.
    threshold
        Log odds above which somebody is called positive, whatever age and sex.
    positives
        Records with the label that it was fitted to.
    """

    slope: float
    intercept: float
    age: float
    age_squared: float
    sex: float
    age_by_sex: float
    threshold: float
    positives: int

    def log_odds(
        self,
        logits: npt.NDArray[np.floating],
        ages: npt.NDArray[np.float64] | float,
        sexes: npt.NDArray[np.float64] | float,
    ) -> npt.NDArray[np.float64]:
        """Return log odds of logits of any shape, of people as :func:`person_features` has them."""
        features = person_features(ages, sexes)
        weights = (self.age, self.age_squared, self.sex, self.age_by_sex)
        known = sum(w * feature for w, feature in zip(weights, features, strict=True))
        return np.asarray(self.slope * logits.astype(np.float64) + self.intercept + known)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Fields) -> PersonLine:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        FieldError
            If it is something else.
        """
        return cls(
            values.number("slope", above=0),
            values.number("intercept"),
            values.number("age"),
            values.number("age_squared"),
            values.number("sex"),
            values.number("age_by_sex"),
            values.number("threshold"),
            values.whole("positives"),
        )


def recalibrations_in(values: Fields, labels: Sequence[str]) -> dict[str, Recalibration]:
    """Return what an exported model's description says under ``calibration``, by label.

    Raises
    ------
    FieldError
        If it says it wrongly, or of a label that is none of *labels*.
    """
    lines = _lines_of_labels(values, CALIBRATION, labels)
    return {name: Recalibration.from_dict(lines.part(name)) for name in lines}


def person_lines_in(values: Fields, labels: Sequence[str]) -> dict[str, PersonLine]:
    """Return what an exported model's description says under :data:`PERSON`, by label.

    Raises
    ------
    FieldError
        If it says it wrongly, or of a label that is none of *labels*.
    """
    lines = _lines_of_labels(values, PERSON, labels)
    return {name: PersonLine.from_dict(lines.part(name)) for name in lines}


def _lines_of_labels(values: Fields, entry: str, labels: Sequence[str]) -> Fields:
    # Older versions wrote neither entry.
    lines = values.part(entry) if entry in values else Fields({})
    if unknown := [name for name in lines if name not in labels]:
        raise FieldError(f"{lines.named(unknown[0])} is none of the labels")
    return lines


def person_features(
    ages: npt.NDArray[np.float64] | float, sexes: npt.NDArray[np.float64] | float
) -> tuple[Any, Any, Any, Any]:
    """Return decades from 60, their square, sex, and decades of each sex apart.

    Parameters
    ----------
    ages
        Years.
    sexes
        1 for men, -1 for women.
    """
    decades = (ages - 60.0) / 10.0
    return decades, decades**2, sexes, decades * sexes


def calibrated_probabilities(
    label: str, logits: npt.NDArray[np.floating], lines: Mapping[str, Recalibration]
) -> npt.NDArray[np.float64]:
    """Return probabilities of a label's logits, of any shape: the sigmoid where it has no line."""
    line = lines.get(label)
    return probabilities(logits if line is None else line.log_odds(logits))
