"""A classifier's figures of any infarction: whether a record has one of the types or more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.splits import Split
from selfmis_plugin.evaluation.evaluate import by_record_and_patient
from selfmis_plugin.metrics.any_infarction import ANY, with_any
from selfmis_plugin.metrics.auc import auc_report
from selfmis_plugin.metrics.defaults import DRAWS
from selfmis_plugin.metrics.predictions import Predictions

__all__ = ["any_figures", "is_derived", "predictions_of_any"]

#: Of one type alone it is that type.
_FEWEST_TYPES = 2


def is_derived(labels: Sequence[str]) -> bool:
    """Whether there is any infarction beside *labels*: two of its types or more, and no label of
    that name, as stores of older versions may have."""
    types = [name for name in labels if name in INFARCTION_TYPES]
    return len(types) >= _FEWEST_TYPES and ANY not in labels


def predictions_of_any(predictions: Predictions, part: Split) -> Predictions | None:
    """Return what a classifier says of any infarction, one column; None where it is not derived.

    A record has one if it has any type that the data know, also one that the classifier has no
    output for.

    Parameters
    ----------
    predictions
        Of the records of *part*, in its order.
    part
        The split.
    """
    if not is_derived(predictions.labels):
        return None
    known = [name for name in INFARCTION_TYPES if name in part.store.info.labels]
    has = part.store.targets(part.rows, known).astype(bool)
    truth = np.logical_or.reduce(has, axis=1, keepdims=True)
    return replace(with_any(predictions).select([ANY]), targets=truth)


def any_figures(
    either: Predictions, draws: int = DRAWS, prevalence: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Return the figures of :func:`predictions_of_any`.

    Parameters
    ----------
    either
        The one column.
    draws, prevalence
        As of :func:`~selfmis_plugin.evaluation.evaluate.figures_of`.

    Returns
    -------
    dict
        JSON-ready: ``positives`` and ``auc`` (None where no or every record has one); with *draws*
        also ``record`` and ``patient``, as a label's there.
    """
    report = auc_report(either.targets, either.logits, either.labels, ())
    figures: dict[str, Any] = {
        "positives": report.positives[ANY],
        "auc": report.per_label.get(ANY),
    }
    if draws:
        levels = by_record_and_patient(either, draws, prevalence)
        figures |= {level: found["labels"][ANY] for level, found in levels.items()}
    return figures
