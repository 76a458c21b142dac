"""Probabilities that come true: a classifier's logits set against what it saw on validation.

Platt, "Probabilistic outputs for support vector machines" (1999): a logistic regression of the
label on the logit, with targets that are smoothed by one record of either kind. Labels of few
records share its slope, the temperature of Guo et al., "On calibration of modern neural networks"
(ICML 2017), and keep an intercept of their own, since how common they are differs most. Neither
changes the order of a label's records, so no AUC.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from selfmis_plugin.metrics.calibrated import (
    PersonLine,
    Recalibration,
    calibrated_probabilities,
    person_features,
)
from selfmis_plugin.metrics.calibration import calibrate, probabilities
from selfmis_plugin.metrics.operating_points import threshold_keeping
from selfmis_plugin.metrics.predictions import Predictions

__all__ = [
    "FEWEST",
    "PersonLine",
    "Recalibration",
    "calibrated_probabilities",
    "calibration_errors",
    "fit_person_lines",
    "fit_recalibration",
    "recalibrated",
]

#: Positives, and negatives, of a label that its own line is fitted to. With fewer the two numbers
#: of the line follow single records.
FEWEST = 10
PLATT, SHARED = "platt", "shared slope"
#: Positives of a label that a line with age and sex is fitted to: it has six numbers.
FEWEST_OF_PERSONS = 50
#: Records by which a label's expected positives may miss the observed ones.
_UNEXPLAINED = 1e-4
#: So little that it decides only where logits do not differ at all.
_RIDGE = 1e-6


def fit_recalibration(
    predictions: Predictions, left_out: Collection[str] = ()
) -> dict[str, Recalibration]:
    """Fit every label that the records allow.

    Parameters
    ----------
    predictions
        Of a split that nothing was trained on and no figure comes from: validation.
    left_out
        Labels of which nothing was learnt.

    Returns
    -------
    dict
        By label: a line of its own with :data:`FEWEST` positives and negatives or more, where it
        rises; for others that have one of either, the slope that they and all labels share, where
        there are :data:`FEWEST` positives of all labels together.
    """
    labels = [label for label in predictions.labels if label not in left_out]
    columns = [predictions.labels.index(label) for label in labels]
    shared = _shared_slope(predictions, columns)
    fitted = {}
    for label, column in zip(labels, columns, strict=True):
        own = _platt(predictions.logits[:, column], predictions.targets[:, column])
        chosen = own or shared.get(label)
        if chosen:
            fitted[label] = chosen
    return fitted


def fit_person_lines(
    predictions: Predictions,
    ages: npt.NDArray[np.float64],
    sexes: npt.NDArray[np.float64],
    specificity: float,
    left_out: Collection[str] = (),
) -> dict[str, PersonLine]:
    """Fit log odds on logit, age and sex, of labels with :data:`FEWEST_OF_PERSONS` positives.

    Logistic regression with a ridge of one standard deviation a number.

    Parameters
    ----------
    predictions
        Of records that nothing was trained on.
    ages, sexes
        Years, and 1 for men and -1 for women, float64 (records,); NaN where they are not known,
        and the record is left out.
    specificity
        What the thresholds keep of these records' negatives.
    left_out
        Labels of which nothing was learnt.

    Returns
    -------
    dict
        By label; none whose log odds do not rise with the logit.
    """
    known = ~(np.isnan(ages) | np.isnan(sexes))
    chosen = predictions.rows(known)
    of_person = np.column_stack(person_features(ages[known], sexes[known]))
    found: dict[str, PersonLine] = {}
    for column, label in enumerate(chosen.labels):
        target = chosen.targets[:, column]
        positives = int(target.sum())
        if label in left_out or min(positives, len(target) - positives) < FEWEST_OF_PERSONS:
            continue
        table = np.column_stack([chosen.logits[:, column].astype(np.float64), of_person])
        middle, scale = table.mean(0), table.std(0)
        scale[scale == 0] = 1.0
        # Newton's steps, as the intercept of a rare label counts little beside all records.
        model = LogisticRegression(solver="newton-cholesky", tol=1e-8, max_iter=1000)
        model.fit((table - middle) / scale, target)
        slope, *weights = (model.coef_[0] / scale).tolist()
        intercept = float(model.intercept_[0] - (model.coef_[0] * middle / scale).sum())
        if slope > 0:
            age, age_squared, sex, age_by_sex = weights
            line = PersonLine(slope, intercept, age, age_squared, sex, age_by_sex, 0.0, positives)
            odds = line.log_odds(chosen.logits[:, column], ages[known], sexes[known])
            found[label] = replace(line, threshold=threshold_keeping(odds[~target], specificity))
    return found


def recalibrated(predictions: Predictions, fitted: Mapping[str, Recalibration]) -> Predictions:
    """Return the same predictions with log odds in place of logits, where there is a line."""
    logits = predictions.logits.copy()
    for column, label in enumerate(predictions.labels):
        if label in fitted:
            logits[:, column] = fitted[label].log_odds(logits[:, column])
    return replace(predictions, logits=logits)


def calibration_errors(predictions: Predictions) -> dict[str, float]:
    """Return the expected calibration error of each label that some record has."""
    return {
        label: calibrate(
            predictions.targets[:, column], probabilities(predictions.logits[:, column])
        ).error
        for column, label in enumerate(predictions.labels)
        if predictions.targets[:, column].any()
    }


def _platt(logits: npt.NDArray[np.floating], target: npt.NDArray[np.bool_]) -> Recalibration | None:
    positives = int(target.sum())
    if min(positives, len(target) - positives) < FEWEST:
        return None
    slope, (intercept,) = _lines(logits[:, None], target[:, None])
    if not slope > 0:
        return None  # on validation the logits do not rise with the label
    return Recalibration(PLATT, slope, intercept, positives)


def _shared_slope(predictions: Predictions, columns: list[int]) -> dict[str, Recalibration]:
    targets = predictions.targets[:, columns]
    positives = targets.sum(0)
    there = np.flatnonzero((positives > 0) & (positives < len(targets)))
    if positives[there].sum() < FEWEST:
        return {}
    chosen = [columns[k] for k in there]
    slope, intercepts = _lines(predictions.logits[:, chosen], predictions.targets[:, chosen])
    if not slope > 0:
        return {}
    return {
        predictions.labels[column]: Recalibration(SHARED, slope, intercept, int(positives[k]))
        for k, column, intercept in zip(there, chosen, intercepts, strict=True)
    }


def _lines(
    logits: npt.NDArray[np.floating], target: npt.NDArray[np.bool_]
) -> tuple[float, list[float]]:
    """Return the slope of the logistic regression of all columns together, and each one's own
    intercept, for (records, labels)."""
    records, positives = len(target), target.sum(0)
    smoothed = np.where(target, (positives + 1) / (positives + 2), 1 / (records - positives + 2))
    values = logits.astype(np.float64)
    scale = float(values.std()) or 1.0
    values /= scale

    def loss(line: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        odds = line[0] * values + line[1:]
        off = expit(odds) - smoothed
        total = (np.logaddexp(0, odds) - smoothed * odds).sum() + _RIDGE * (line @ line) / 2
        return float(total), np.append((off * values).sum(), off.sum(0)) + _RIDGE * line

    def curvature(line: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        share = expit(line[0] * values + line[1:])
        weight = share * (1 - share)
        found = np.diag(np.append((weight * values**2).sum(), weight.sum(0)) + _RIDGE)
        found[0, 1:] = found[1:, 0] = (weight * values).sum(0)
        return found

    # Newton's steps: an intercept of a rare label counts little beside all records, and a method
    # that follows the gradient alone stops before it.
    begin = np.append(0.0, logit(smoothed.mean(0)))
    line = minimize(
        loss, begin, jac=True, hess=curvature, method="trust-exact", options={"gtol": _UNEXPLAINED}
    ).x
    return float(line[0]) / scale, line[1:].tolist()
