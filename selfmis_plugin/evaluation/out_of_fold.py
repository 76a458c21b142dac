"""Predictions out of fold, put together: what a recipe says of records that it was not trained on.

A benchmark's cross-validation writes a file a fold and seed. Each model has a scale of its own:
figures that compare records are of their ranks in their fold, as the benchmark's, and what a logit
is worth is learnt on the others' folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.store import Store
from selfmis_plugin.evaluation.any_infarction import and_any
from selfmis_plugin.metrics.defaults import SPECIFICITY
from selfmis_plugin.metrics.predictions import Predictions, PredictionsError
from selfmis_plugin.metrics.recalibration import (
    fit_person_lines,
    fit_recalibration,
    recalibrated,
)

__all__ = ["OutOfFold", "read_out_of_fold"]


@dataclass(frozen=True)
class OutOfFold:
    """What models of one recipe said, each of a fold that it did not know.

    Attributes
    ----------
    folds
        Predictions by fold, mean logits over seeds.
    seeds
        Number of models that judged each fold.
    """

    folds: tuple[Predictions, ...]
    seeds: int

    def pooled(self) -> Predictions:
        """Return all records with the logits as they are."""
        return Predictions.joined(self.folds)

    def ranked(self) -> Predictions:
        """Return all records with the ranks of their logits in their fold."""
        return Predictions.joined([fold.ranked() for fold in self.folds])

    def with_any(self, store: Store) -> OutOfFold:
        """Return it with any infarction as the last label, of the logits as they are, where it is
        derived: see :func:`~selfmis_plugin.evaluation.any_infarction.and_any`.

        Parameters
        ----------
        store
            That has all its records.
        """
        row = {name: at for at, name in enumerate(store.records["record_id"])}
        folds = tuple(
            and_any(fold, store, [row[name] for name in fold.record_ids]) for fold in self.folds
        )
        return replace(self, folds=folds)

    def with_persons(
        self,
        ages: Mapping[str, float],
        sexes: Mapping[str, float],
        left_out: Sequence[str] = (),
    ) -> Predictions | None:
        """Return the records of known age and sex with log odds that use both, learnt on the other
        folds; of the labels that every fold has such a line for, None where there is none.

        Parameters
        ----------
        ages, sexes
            Years, and 1 for men and -1 for women, by record; NaN where not known.
        left_out
            Labels of which nothing was learnt.
        """
        parts = []
        for place, fold in enumerate(self.folds):
            others = Predictions.joined([f for at, f in enumerate(self.folds) if at != place])
            lines = fit_person_lines(others, *_of(others, ages, sexes), SPECIFICITY, left_out)
            years, signs = _of(fold, ages, sexes)
            known = ~(np.isnan(years) | np.isnan(signs))
            part = fold.rows(known).select([name for name in fold.labels if name in lines])
            logits = part.logits.copy()
            for column, label in enumerate(part.labels):
                odds = lines[label].log_odds(logits[:, column], years[known], signs[known])
                logits[:, column] = odds
            parts.append(replace(part, logits=logits))
        # The others of a fold may have too few positives for what all records have enough for.
        shared = set.intersection(*(set(part.labels) for part in parts))
        return Predictions.joined(parts) if shared else None

    def calibrated(self, left_out: Sequence[str] = ()) -> Predictions:
        """Return all records with log odds that were learnt on the other folds."""
        parts = []
        for place, fold in enumerate(self.folds):
            others = [other for at, other in enumerate(self.folds) if at != place]
            parts.append(
                recalibrated(fold, fit_recalibration(Predictions.joined(others), left_out))
            )
        return Predictions.joined(parts)


def _of(
    said: Predictions, ages: Mapping[str, float], sexes: Mapping[str, float]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    years = np.array([ages[name] for name in said.record_ids], dtype=np.float64)
    return years, np.array([sexes[name] for name in said.record_ids], dtype=np.float64)


def read_out_of_fold(files: Sequence[Path], labels: Sequence[str]) -> OutOfFold:
    """Read what a cross-validation's models said of their test folds.

    Parameters
    ----------
    files
        Tables of predictions, as the benchmark writes them for each fold and seed. Files of the
        same records are models of several seeds.
    labels
        The labels that are wanted.

    Raises
    ------
    PredictionsError
        If a file is no such table, is named twice or lacks a label, a record is in two folds, the
        folds were not judged by as many models each, or there are fewer than two folds.
    """
    if len({file.resolve() for file in files}) < len(files):
        twice = next(
            file for file in files if [f.resolve() for f in files].count(file.resolve()) > 1
        )
        raise PredictionsError(f"{twice}: is named twice, and would count for two seeds")
    by_records: dict[frozenset[str], list[tuple[Path, Predictions]]] = {}
    for file in files:
        said = Predictions.read(file)
        if missing := [name for name in labels if name not in said.labels]:
            raise PredictionsError(
                f"{file}: says nothing of {', '.join(missing)}, which the model says: give the "
                "predictions of its own recipe"
            )
        by_records.setdefault(frozenset(said.record_ids), []).append((file, said.select(labels)))
    counts = {len(models) for models in by_records.values()}
    if len(by_records) < 2 or len(counts) != 1:
        there = [f"{len(models)} of {len(ids)} records" for ids, models in by_records.items()]
        raise PredictionsError(
            f"predictions out of fold are files of two folds or more, as many seeds for each; "
            f"there are {', '.join(there) or 'none'}: give the files of every fold and seed"
        )
    folds = []
    for models in by_records.values():
        (_, first), *others = models
        logits = [first.logits]
        for file, said in others:
            place = {name: row for row, name in enumerate(said.record_ids)}
            rows = [place[name] for name in first.record_ids]
            if not np.array_equal(said.targets[rows], first.targets):
                raise PredictionsError(
                    f"{file}: other labels of the same records than {models[0][0]}: give files of "
                    "one store"
                )
            logits.append(said.logits[rows])
        folds.append(replace(first, logits=np.mean(logits, axis=0, dtype=np.float32)))
    made = OutOfFold(tuple(folds), counts.pop())
    made.pooled()  # no record in two folds
    return made
