"""Logistic regression of the infarction types on a store's columns ``age`` and ``sex``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.splits import Split
from selfmis_plugin.data.store import StoreError
from selfmis_plugin.metrics.predictions import Predictions

__all__ = ["PREDICTORS", "age_and_sex"]

#: What an unknown sex counts as: neither.
_SEX = {"female": -1.0, "male": 1.0}


def age_and_sex(known: Split, asked: Split) -> Predictions:
    """Return what age and sex say of each record's infarction types.

    Parameters
    ----------
    known
        Records to learn from. An age that is not known counts as their median.
    asked
        Records to judge.

    Returns
    -------
    Predictions
        Of the types that the store's records are labelled with, (records, types). A type that all
        or none of the known records have gets one logit for everybody.

    Raises
    ------
    StoreError
        If none of the known records has an age or a sex.
    """
    labels = [name for name in INFARCTION_TYPES if name in known.store.info.labels]
    ages = _ages(known)
    sexes = _sexes(known)
    if np.isnan(ages).all() and not sexes.any():
        raise StoreError(
            f"{known.manifest}: no record has an age or a sex, so nothing can be learnt of them: "
            "leave out the row age_and_sex"
        )
    usual = 0.0 if np.isnan(ages).all() else float(np.nanmedian(ages))
    features = _features(ages, sexes, usual)
    of_asked = _features(_ages(asked), _sexes(asked), usual)
    targets = known.store.targets(known.rows, labels) > 0
    logits = np.empty((len(asked.rows), len(labels)), dtype=np.float32)
    for column, target in enumerate(targets.T):
        if target.all() or not target.any():
            # Half a record of the kind that is not there.
            count = np.array([target.sum(), (~target).sum()]) + 0.5
            logits[:, column] = np.log(count[0] / count[1])
        else:
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
            logits[:, column] = model.fit(features, target).decision_function(of_asked)
    records = asked.store.records
    return Predictions(
        tuple(records["record_id"].to_numpy()[asked.rows].tolist()),
        tuple(records["patient_id"].to_numpy()[asked.rows].tolist()),
        tuple(labels),
        asked.store.targets(asked.rows, labels) > 0,
        logits,
    )


#: By the name that a classifier of the benchmark gives.
PREDICTORS = {"age_and_sex": age_and_sex}


def _ages(split: Split) -> npt.NDArray[np.float64]:
    return split.store.records["age"].to_numpy(dtype=float, na_value=np.nan)[split.rows]


def _sexes(split: Split) -> npt.NDArray[np.float64]:
    named = split.store.records["sex"].to_numpy()[split.rows]
    return np.array([_SEX.get(name, 0.0) for name in named])


def _features(
    ages: npt.NDArray[np.float64], sexes: npt.NDArray[np.float64], usual: float
) -> npt.NDArray[np.float64]:
    """Return age, its square, sex, and age of each sex apart, (records, 4)."""
    years = np.where(np.isnan(ages), usual, ages)
    return np.column_stack([years, years**2, sexes, sexes * years])
