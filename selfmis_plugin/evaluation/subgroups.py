"""A classifier's figures by sex and by age."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.person import GROUPINGS, UNKNOWN
from selfmis_plugin.data.splits import Split
from selfmis_plugin.data.store import StoreError
from selfmis_plugin.evaluation.evaluate import by_record_and_patient
from selfmis_plugin.metrics.defaults import DRAWS
from selfmis_plugin.metrics.predictions import Predictions

__all__ = ["figures_by", "refuse_unrecorded"]


def refuse_unrecorded(part: Split, by: Sequence[str]) -> None:
    """Refuse to group a split by what is recorded of none of its records.

    Parameters
    ----------
    part
        The split.
    by
        Names in :data:`~selfmis_plugin.data.person.GROUPINGS`.

    Raises
    ------
    StoreError
        If there is such a name.
    """
    for name in by:
        if (_groups_of(part, name) == UNKNOWN).all():
            raise StoreError(
                f"{part.manifest}: the {name} of none of its records is recorded in "
                f"{part.store.path}: leave it out of --by. Where the files or the database's "
                "tables say it (of selfmis prepare ecg_files also a column "
                f"{name} of --labels), prepare the store again with --overwrite: versions before "
                "0.2.0 kept neither sex nor age"
            )


def _groups_of(part: Split, name: str) -> npt.NDArray[np.object_]:
    """The group of each record of a split, (records,)."""
    _, group_of = GROUPINGS[name]
    values = part.store.records[name].iloc[part.rows]
    return np.array([group_of(value) for value in values], dtype=object)


def figures_by(
    predictions: Predictions,
    part: Split,
    by: Sequence[str],
    draws: int = DRAWS,
    prevalence: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return a classifier's figures in groups of the records of a split.

    Each group is judged by itself: its threshold at 90 % specificity is that of its own negatives.
    A patient who was recorded at several ages is in several groups of age.

    Parameters
    ----------
    predictions
        Of the records of *part*, in its order.
    part
        The split.
    by
        Names in :data:`~selfmis_plugin.data.person.GROUPINGS`.
    draws, prevalence
        As of :func:`~selfmis_plugin.evaluation.evaluate.figures_of`.

    Returns
    -------
    dict
        JSON-ready: by name, and by group of those that have a record, ``record`` and ``patient``
        as :func:`~selfmis_plugin.evaluation.evaluate.figures_of` has them.

    Raises
    ------
    StoreError
        If no record of the split has what it is to be grouped by.
    """
    refuse_unrecorded(part, by)
    found: dict[str, Any] = {}
    for name in by:
        groups, _ = GROUPINGS[name]
        own = _groups_of(part, name)
        found[name] = {}
        for group in groups:
            chosen = np.asarray(own == group, dtype=bool)
            if chosen.any():
                found[name][group] = by_record_and_patient(
                    predictions.rows(chosen), draws, prevalence
                )
    return found
