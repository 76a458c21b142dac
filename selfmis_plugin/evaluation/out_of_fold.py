"""Predictions out of fold, put together: what a recipe says of records that it was not trained on.

A benchmark's cross-validation writes a file a fold and seed. Each model has a scale of its own:
figures that compare records are of their ranks in their fold, as the benchmark's, and what a logit
is worth is learnt on the others' folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from selfmis_plugin.metrics.predictions import Predictions, PredictionsError
from selfmis_plugin.metrics.recalibration import fit_recalibration, recalibrated

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

    def calibrated(self, left_out: Sequence[str] = ()) -> Predictions:
        """Return all records with log odds that were learnt on the other folds."""
        parts = []
        for place, fold in enumerate(self.folds):
            others = [other for at, other in enumerate(self.folds) if at != place]
            parts.append(
                recalibrated(fold, fit_recalibration(Predictions.joined(others), left_out))
            )
        return Predictions.joined(parts)


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
        If a file is no such table or lacks a label, a record is in two folds, the folds were not
        judged by as many models each, or there are fewer than two folds.
    """
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
