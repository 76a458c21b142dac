"""A classifier's figures with intervals, and the difference of two classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.metrics.bootstrap import (
    Estimate,
    difference_p_value,
    draw_patients,
    draw_patients_apart,
    estimate,
)
from selfmis_plugin.metrics.calibration import Calibration, calibrate, probabilities
from selfmis_plugin.metrics.defaults import DRAWS, SPECIFICITY
from selfmis_plugin.metrics.predictions import Predictions, PredictionsError
from selfmis_plugin.metrics.ranking import LabelScores

__all__ = ["Comparison", "Difference", "LabelFigures", "Mean", "Report", "compare", "judge"]


@dataclass(frozen=True)
class LabelFigures:
    """Figures of one label.

    Attributes
    ----------
    positives
        Units (records or patients) that have the label.
    positive_patients
        Patients who have it: what the interval is made of.
    auc, average_precision, sensitivity, brier
        With 95 % intervals; sensitivity is that at 90 % specificity.
    calibration
        Reliability of the probabilities.
    """

    positives: int
    positive_patients: int
    auc: Estimate
    average_precision: Estimate
    sensitivity: Estimate
    brier: Estimate
    calibration: Calibration

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "positives": self.positives,
            "positive_patients": self.positive_patients,
            "auc": self.auc.to_dict(),
            "average_precision": self.average_precision.to_dict(),
            "sensitivity_at_90_specificity": self.sensitivity.to_dict(),
            "brier": self.brier.to_dict(),
            "calibration": self.calibration.to_dict(),
        }


@dataclass(frozen=True)
class Mean:
    """Mean AUC over labels.

    Attributes
    ----------
    estimate
        The mean over the labels that are defined, with its interval.
    labels
        Labels that it is the mean of.
    undefined_draws
        Pairs of a draw and a label in which the label had no positive, or no negative, and was
        left out of the draw's mean.
    """

    estimate: Estimate
    labels: tuple[str, ...]
    undefined_draws: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            **self.estimate.to_dict(),
            "labels": len(self.labels),
            "undefined_draws": self.undefined_draws,
        }


@dataclass(frozen=True)
class Report:
    """Figures of a split.

    Attributes
    ----------
    units
        Records, or patients.
    patients, draws
        Number of patients and of bootstrap draws.
    labels
        Figures by label.
    macro_auc, mi_auc
        Mean over all labels, and over the nine infarction types.
    """

    units: int
    patients: int
    draws: int
    labels: dict[str, LabelFigures]
    macro_auc: Mean
    mi_auc: Mean

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "units": self.units,
            "patients": self.patients,
            "draws": self.draws,
            "macro_auc": self.macro_auc.to_dict(),
            "mi_auc": self.mi_auc.to_dict(),
            "labels": {label: figures.to_dict() for label, figures in self.labels.items()},
        }


@dataclass(frozen=True)
class Difference:
    """AUC of one classifier minus that of another, on the same draws."""

    estimate: Estimate
    p_value: float | None

    def to_dict(self) -> dict[str, float | None]:
        """As JSON can hold it."""
        return {**self.estimate.to_dict(), "p_value": self.p_value}


@dataclass(frozen=True)
class Comparison:
    """Differences of two classifiers by label, and of their means."""

    records: int
    draws: int
    labels: dict[str, Difference]
    macro_auc: Difference
    mi_auc: Difference

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "records": self.records,
            "draws": self.draws,
            "macro_auc": self.macro_auc.to_dict(),
            "mi_auc": self.mi_auc.to_dict(),
            "labels": {label: difference.to_dict() for label, difference in self.labels.items()},
        }


def judge(predictions: Predictions, draws: int = DRAWS, seed: int = 0) -> Report:
    """Return a classifier's figures with 95 % bootstrap intervals by patient.

    A label's intervals come from draws that resample its positive and its negative patients apart,
    so that every draw defines them; those of the means from draws of all patients together, in
    which a label may be undefined: it is left out of that draw's mean, and counted.

    Parameters
    ----------
    predictions
        Logits and truth; :meth:`Predictions.by_patient` for patients in place of records.
    draws
        Number of bootstrap draws.
    seed
        Seed of the draws.
    """
    patient, names = predictions.patient_index()
    probability = probabilities(predictions.logits)
    labels = {}
    for column, label in enumerate(predictions.labels):
        target, logits = predictions.targets[:, column], predictions.logits[:, column]
        weights = _with_data(
            draw_patients_apart(patient, target, draws, np.random.default_rng((seed, column)))
        )
        scores = LabelScores(target, logits)
        ranking = scores.ranking(
            weights[:, scores.positive], weights[:, scores.negative], SPECIFICITY
        )
        squares = (probability[:, column] - target) ** 2
        brier = (weights @ squares) / np.maximum(weights.sum(axis=1, dtype=np.float64), 1)
        labels[label] = LabelFigures(
            positives=int(target.sum()),
            positive_patients=len(np.unique(patient[target])),
            auc=_estimate(ranking.auc),
            average_precision=_estimate(ranking.average_precision),
            sensitivity=_estimate(ranking.sensitivity),
            brier=_estimate(brier),
            calibration=calibrate(target, probability[:, column]),
        )
    drawn = _joint_aucs(predictions, patient, draws, seed)
    return Report(
        units=len(predictions),
        patients=len(names),
        draws=draws,
        labels=labels,
        macro_auc=_mean(drawn, predictions.labels, predictions.labels),
        mi_auc=_mean(drawn, predictions.labels, INFARCTION_TYPES),
    )


def compare(
    first: Predictions, second: Predictions, draws: int = DRAWS, seed: int = 0
) -> Comparison:
    """Return AUCs of the first minus those of the second, with intervals and p-values.

    Both are weighted by the same draws of patients (paired bootstrap); labels that only one of
    them has are left out.

    Raises
    ------
    PredictionsError
        If they are of different records, share no label or disagree about the truth.
    """
    first, second = _matched(first, second)
    patient, _ = first.patient_index()
    labels = {}
    for column, label in enumerate(first.labels):
        target = first.targets[:, column]
        weights = _with_data(
            draw_patients_apart(patient, target, draws, np.random.default_rng((seed, column)))
        )
        one, other = (
            LabelScores(target, predictions.logits[:, column]) for predictions in (first, second)
        )
        apart = weights[:, one.positive], weights[:, one.negative]
        labels[label] = _difference(one.auc(*apart) - other.auc(*apart))
    aucs = [_joint_aucs(predictions, patient, draws, seed) for predictions in (first, second)]
    return Comparison(
        records=len(first),
        draws=draws,
        labels=labels,
        macro_auc=_mean_difference(aucs, first.labels, first.labels),
        mi_auc=_mean_difference(aucs, first.labels, INFARCTION_TYPES),
    )


def _with_data(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Put the data themselves, every record once, before the draws."""
    return np.concatenate([np.ones((1, weights.shape[1]), dtype=np.float32), weights])


def _estimate(values: npt.NDArray[np.float64]) -> Estimate:
    return estimate(float(values[0]), values[1:])


def _difference(values: npt.NDArray[np.float64]) -> Difference:
    return Difference(_estimate(values), difference_p_value(values[1:]))


def _joint_aucs(
    predictions: Predictions, patient: npt.NDArray[np.int64], draws: int, seed: int
) -> npt.NDArray[np.float64]:
    """AUC of the data and of each draw of all patients, (1 + draws, labels)."""
    weights = _with_data(draw_patients(patient, draws, np.random.default_rng(seed)))
    aucs = np.empty((len(weights), len(predictions.labels)))
    for column in range(len(predictions.labels)):
        scores = LabelScores(predictions.targets[:, column], predictions.logits[:, column])
        aucs[:, column] = scores.auc(weights[:, scores.positive], weights[:, scores.negative])
    return aucs


def _mean(aucs: npt.NDArray[np.float64], labels: Sequence[str], wanted: Sequence[str]) -> Mean:
    chosen = _defined(aucs, labels, wanted)
    values = _row_means(aucs[:, chosen])
    return Mean(
        _estimate(values),
        tuple(labels[k] for k in chosen),
        int(np.isnan(aucs[1:, chosen]).sum()),
    )


def _mean_difference(
    aucs: Sequence[npt.NDArray[np.float64]], labels: Sequence[str], wanted: Sequence[str]
) -> Difference:
    chosen = _defined(aucs[0], labels, wanted)
    return _difference(_row_means(aucs[0][:, chosen]) - _row_means(aucs[1][:, chosen]))


def _defined(
    aucs: npt.NDArray[np.float64], labels: Sequence[str], wanted: Sequence[str]
) -> list[int]:
    """Columns of the wanted labels that the data define."""
    return [k for k, label in enumerate(labels) if label in wanted and not np.isnan(aucs[0, k])]


def _row_means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _matched(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """Bring both to the same records and labels, in the first's order."""
    rows = {record: row for row, record in enumerate(second.record_ids)}
    if len(rows) != len(second) or rows.keys() != set(first.record_ids):
        raise PredictionsError(
            "the two are of different records, so they cannot be compared: evaluate both on the "
            "same split of the same store"
        )
    labels = [label for label in first.labels if label in second.labels]
    if not labels:
        raise PredictionsError(
            f"the two share no label ({', '.join(first.labels[:5])} ... and "
            f"{', '.join(second.labels[:5])} ...), so they cannot be compared"
        )
    order = np.array([rows[record] for record in first.record_ids], dtype=np.int64)
    columns = [[one.labels.index(label) for label in labels] for one in (first, second)]
    left = Predictions(
        first.record_ids,
        first.patient_ids,
        tuple(labels),
        first.targets[:, columns[0]],
        first.logits[:, columns[0]],
    )
    right = Predictions(
        first.record_ids,
        first.patient_ids,
        tuple(labels),
        second.targets[order][:, columns[1]],
        second.logits[order][:, columns[1]],
    )
    if not np.array_equal(left.targets, right.targets):
        raise PredictionsError("the two disagree about which records have which label")
    return left, right
