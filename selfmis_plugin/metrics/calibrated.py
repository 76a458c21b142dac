"""Logits as probabilities that come true, by lines that were fitted before.

How they are fitted is in :mod:`selfmis_plugin.metrics.recalibration`; whoever asks a model needs
this alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.metrics.calibration import probabilities
from selfmis_plugin.utils.fields import Fields

__all__ = ["Recalibration", "calibrated_probabilities"]


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


def calibrated_probabilities(
    label: str, logits: npt.NDArray[np.floating], lines: Mapping[str, Recalibration]
) -> npt.NDArray[np.float64]:
    """Return probabilities of a label's logits, of any shape: the sigmoid where it has no line."""
    line = lines.get(label)
    return probabilities(logits if line is None else line.log_odds(logits))
