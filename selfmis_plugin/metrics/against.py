"""Many classifiers against one: paired differences, and p-values that know how many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from selfmis_plugin.metrics.intervals import Difference
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.metrics.statistics import Comparison, compare

__all__ = ["Against", "compare_against", "holm"]

#: Names of the two means beside those of labels.
MACRO, INFARCTION = "macro_auc", "mi_auc"


@dataclass(frozen=True)
class Against:
    """What one classifier differs from the named one by.

    Attributes
    ----------
    comparison
        Its AUCs minus those of the named one.
    adjusted
        Holm's p-values over all classifiers that are compared, by label and for the means
        (``macro_auc``, ``mi_auc``); None where there is no p-value.
    """

    comparison: Comparison
    adjusted: Mapping[str, float | None]

    def to_dict(self) -> dict[str, object]:
        """As JSON can hold it: those of :class:`Comparison`, each with ``p_holm``."""
        values = self.comparison.to_dict()
        for name in (MACRO, INFARCTION):
            values[name]["p_holm"] = self.adjusted[name]
        for label, difference in values["labels"].items():
            difference["p_holm"] = self.adjusted[label]
        return values


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for their number (Holm, Scand J Statist 6:65, 1979).

    Rejecting those below a level then errs, in any of them, no more often than the level says,
    however they depend on one another.

    Parameters
    ----------
    p_values
        Of the tests of one family; None where there was no test, which counts for nothing.

    Raises
    ------
    ValueError
        If one is not from 0 to 1.
    """
    known = [k for k, value in enumerate(p_values) if value is not None]
    values = np.array([p_values[k] for k in known], dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"p-values must be from 0 to 1: {values.tolist()}")
    order = np.argsort(values, kind="stable")
    raised = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted: list[float | None] = [None] * len(p_values)
    for place, value in zip(order, np.minimum(raised, 1), strict=True):
        adjusted[known[place]] = float(value)
    return adjusted


def compare_against(
    rows: Mapping[str, Predictions], against: str, by_patient: bool = False
) -> dict[str, Against]:
    """Compare every row with a named one, on the same records.

    The rows are one family for each label, and for each mean: what is tested of one label is
    corrected for the number of rows and not for that of labels.

    Parameters
    ----------
    rows
        What classifiers said, by their names.
    against
        Name of the one that the others are compared with.
    by_patient
        Patients in place of records.

    Returns
    -------
    dict
        By the others' names, in their order.

    Raises
    ------
    ValueError
        If there is no row of that name, or no other.
    PredictionsError
        If rows are of different records, share no label with the named one, or disagree about the
        truth.
    """
    if against not in rows:
        raise ValueError(f"there is no row {against!r} to compare with: there is {', '.join(rows)}")
    if len(rows) < 2:
        raise ValueError(f"{against!r} is the only row: there is nothing to compare it with")
    units = {name: row.by_patient() if by_patient else row for name, row in rows.items()}
    found = {name: compare(row, units[against]) for name, row in units.items() if name != against}
    differences = {name: _named(comparison) for name, comparison in found.items()}
    adjusted: dict[str, dict[str, float | None]] = {name: {} for name in found}
    for figure in dict.fromkeys(figure for named in differences.values() for figure in named):
        having = [name for name, named in differences.items() if figure in named]
        corrected = holm([differences[name][figure].p_value for name in having])
        for name, value in zip(having, corrected, strict=True):
            adjusted[name][figure] = value
    return {name: Against(comparison, adjusted[name]) for name, comparison in found.items()}


def _named(comparison: Comparison) -> dict[str, Difference]:
    return {
        **comparison.labels, MACRO: comparison.macro_auc, INFARCTION: comparison.mi_auc
    }  # fmt: skip
