"""A classifier's figures of any infarction: whether a record has one of the types or more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.splits import Split
from selfmis_plugin.data.store import Store
from selfmis_plugin.evaluation.evaluate import by_record_and_patient
from selfmis_plugin.metrics.any_infarction import ANY, with_any
from selfmis_plugin.metrics.auc import auc_report
from selfmis_plugin.metrics.defaults import DRAWS
from selfmis_plugin.metrics.predictions import Predictions

__all__ = [
    "and_any",
    "any_figures",
    "has_any",
    "is_derived",
    "predictions_of_any",
    "types_and_any",
]

#: Of one type alone it is that type.
_FEWEST_TYPES = 2


def is_derived(labels: Sequence[str]) -> bool:
    """Whether there is any infarction beside *labels*: two of its types or more, and no label of
    that name, as stores of older versions may have."""
    types = [name for name in labels if name in INFARCTION_TYPES]
    return len(types) >= _FEWEST_TYPES and ANY not in labels


def has_any(store: Store, rows: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return whether records have any of the types that a store knows, (records,)."""
    known = [name for name in INFARCTION_TYPES if name in store.info.labels]
    return np.asarray(store.targets(rows, known).astype(bool).any(axis=1))


def and_any(predictions: Predictions, store: Store, rows: npt.ArrayLike) -> Predictions:
    """Return predictions with any infarction after the others; themselves where it is not derived.

    A record has one if it has any type that the data know, also one that the classifier has no
    output for.

    Parameters
    ----------
    predictions
        Of records of *store*.
    store
        Which knows the types that they have.
    rows
        Their row numbers there, in the order of the predictions.
    """
    if not is_derived(predictions.labels):
        return predictions
    derived = predictions.with_any(ANY, INFARCTION_TYPES)
    targets = np.column_stack([predictions.targets, has_any(store, rows)])
    return replace(derived, targets=targets)


def types_and_any(predictions: Predictions, part: Split) -> Predictions:
    """Return of the predictions of a split the types that they have, and any infarction after them.

    Raises
    ------
    PredictionsError
        If they have none of the types.
    """
    return with_any(predictions, has_any(part.store, part.rows))


def predictions_of_any(predictions: Predictions, part: Split) -> Predictions | None:
    """Return what a classifier says of any infarction, the column of :func:`and_any` alone; None
    where it is not derived.

    Parameters
    ----------
    predictions
        Of the records of *part*, in its order.
    part
        The split.
    """
    if not is_derived(predictions.labels):
        return None
    return and_any(predictions, part.store, part.rows).select([ANY])


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
