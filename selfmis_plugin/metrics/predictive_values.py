"""What a positive and a negative answer mean where a label is as common as somebody states."""

from __future__ import annotations

from dataclasses import dataclass

from selfmis_plugin.metrics.bootstrap import Estimate

__all__ = ["PredictiveValues", "predictive_values"]


@dataclass(frozen=True)
class PredictiveValues:
    """Predictive values of a test.

    Attributes
    ----------
    prevalence
        Share of those tested who have the label, as stated.
    positive, negative
        Share of those above the threshold who have it, and of those below who have it not.
    """

    prevalence: float
    positive: Estimate
    negative: Estimate

    def to_dict(self) -> dict[str, object]:
        """As JSON can hold it."""
        return {
            "prevalence": self.prevalence,
            "positive": self.positive.to_dict(),
            "negative": self.negative.to_dict(),
        }


def predictive_values(
    sensitivity: Estimate, specificity: float, prevalence: float
) -> PredictiveValues:
    """Return the predictive values at a specificity, by Bayes' rule.

    Both rise with the sensitivity, so the ends of their intervals are those of its own.

    Parameters
    ----------
    sensitivity
        At a threshold that has the specificity.
    specificity
        Share of those without the label who are below the threshold, from 0 to 1.
    prevalence
        More than 0 and less than 1.

    Raises
    ------
    ValueError
        If the prevalence is not.
    """
    if not 0 < prevalence < 1:
        raise ValueError(f"prevalence {prevalence:g} is not between 0 and 1")
    alarms, silence = (1 - specificity) * (1 - prevalence), specificity * (1 - prevalence)

    def positive(share: float) -> float | None:
        # Without an alarm there is nobody of whom it could be the share.
        raised = share * prevalence + alarms
        return share * prevalence / raised if raised > 0 else None

    def negative(share: float) -> float | None:
        passed = silence + (1 - share) * prevalence
        return silence / passed if passed > 0 else None

    values = (sensitivity.value, sensitivity.low, sensitivity.high)
    return PredictiveValues(
        prevalence,
        Estimate(*(None if share is None else positive(share) for share in values)),
        Estimate(*(None if share is None else negative(share) for share in values)),
    )
