"""A classifier's figures with intervals, and the difference of two classifiers."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.metrics.bootstrap import DrawnPatients, Estimate, drawn_patients, estimate
from selfmis_plugin.metrics.calibration import Calibration, calibrate, probabilities
from selfmis_plugin.metrics.defaults import DRAWS, FEW_PATIENTS, SPECIFICITY
from selfmis_plugin.metrics.intervals import (
    AUCs,
    Difference,
    auc_estimates,
    difference_estimates,
    mean_difference,
    mean_estimate,
    measure_aucs,
    share_limits,
)
from selfmis_plugin.metrics.predictions import Predictions, PredictionsError
from selfmis_plugin.metrics.ranking import LabelScores

__all__ = [
    "DRAWS", "FEW_PATIENTS", "SPECIFICITY", "Comparison", "Difference", "LabelFigures", "Mean",
    "Report", "compare", "judge",
]  # fmt: skip

#: Patients whose squares are added up in float32.
_TOGETHER = 1024


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
        With 95 % intervals, which hold with few positives; sensitivity is that at 90 % specificity.
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
    fewest
        Fewest positive patients of one of them, whose uncertainty the mean's interval has in it.
    """

    estimate: Estimate
    labels: tuple[str, ...]
    fewest: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**self.estimate.to_dict(), "labels": len(self.labels), "fewest": self.fewest}


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
class Comparison:
    """Differences of two classifiers by label, and of their means."""

    records: int
    labels: dict[str, Difference]
    macro_auc: Difference
    mi_auc: Difference

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "records": self.records,
            "macro_auc": self.macro_auc.to_dict(),
            "mi_auc": self.mi_auc.to_dict(),
            "labels": {label: difference.to_dict() for label, difference in self.labels.items()},
        }


def judge(predictions: Predictions, draws: int = DRAWS, seed: int = 0) -> Report:
    """Return a classifier's figures with 95 % intervals by patient.

    Those of AUCs and their means need no draws (:mod:`selfmis_plugin.metrics.intervals`). Average
    precision and sensitivity take their variance, and the Brier score its interval, from draws that
    resample a label's positive and negative patients apart, so that every draw has both. Where no
    patient is without the label, a draw may have no negative record, and is left out.

    Parameters
    ----------
    predictions
        Logits and truth; :meth:`Predictions.by_patient` for patients in place of records.
    draws
        Number of bootstrap draws; with 0 nothing has an interval.
    seed
        Seed of the draws.
    """
    patient, names = predictions.patient_index()
    probability = probabilities(predictions.logits)
    aucs = measure_aucs(predictions.targets, predictions.logits, patient)
    with_interval = auc_estimates(aucs)
    drawn = _drawn(predictions, probability, patient, draws, seed)
    labels = {}
    for column, label in enumerate(predictions.labels):
        target = predictions.targets[:, column]
        average_precision, sensitivity, brier = drawn[column]
        own = patient[target]
        labels[label] = LabelFigures(
            positives=int(target.sum()),
            positive_patients=len(np.unique(own)),
            auc=_if_drawn(with_interval[column], draws),
            average_precision=_share(average_precision, own),
            sensitivity=_share(sensitivity, own),
            brier=estimate(float(brier[0]), brier[1:]),
            calibration=calibrate(target, probability[:, column]),
        )
    fewest = {label: figures.positive_patients for label, figures in labels.items()}
    return Report(
        units=len(predictions),
        patients=len(names),
        draws=draws,
        labels=labels,
        macro_auc=_mean(aucs, fewest, fewest, draws),
        mi_auc=_mean(aucs, fewest, INFARCTION_TYPES, draws),
    )


def compare(first: Predictions, second: Predictions) -> Comparison:
    """Return AUCs of the first minus those of the second, with intervals and p-values.

    Both are of the same patients, so what their errors have in common leaves the difference; labels
    that only one of them has are left out.

    Raises
    ------
    PredictionsError
        If they are of different records, share no label or disagree about the truth.
    """
    first, second = _matched(first, second)
    patient, _ = first.patient_index()
    sides = [measure_aucs(one.targets, one.logits, patient) for one in (first, second)]
    labels = dict(zip(first.labels, difference_estimates(*sides), strict=True))

    def mean(wanted: Collection[str]) -> Difference:
        chosen = _defined(sides[0], first.labels, wanted)
        return mean_difference(*(side.chosen(chosen) for side in sides))

    return Comparison(
        records=len(first),
        labels=labels,
        macro_auc=mean(first.labels),
        mi_auc=mean(INFARCTION_TYPES),
    )


def _drawn(
    predictions: Predictions,
    probability: npt.NDArray[np.float64],
    patient: npt.NDArray[np.int64],
    draws: int,
    seed: int,
) -> npt.NDArray[np.float64]:
    """Return average precision, sensitivity and Brier score of each label of the data themselves,
    every record once, and then of the draws: (labels, 3, 1 + draws)."""
    patients = int(patient.max()) + 1 if len(patient) else 0
    records = np.bincount(patient, minlength=patients).astype(np.float32)
    found = np.empty((len(predictions.labels), 3, 1 + draws))
    once = DrawnPatients(np.ones((patients, 1), dtype=np.float32), np.zeros((1, 0), dtype=np.int64))
    # All labels share the draws, which take longer than what a label makes of them.
    start = 0
    for some in (once, *drawn_patients(patients, draws, seed)) if draws else (once,):
        stop = start + some.counts.shape[1]
        for column in range(len(predictions.labels)):
            target, logits = predictions.targets[:, column], predictions.logits[:, column]
            scores = LabelScores(target, logits)
            squares = np.bincount(
                patient, (probability[:, column] - target) ** 2, minlength=patients
            ).astype(np.float64)
            has = np.zeros(patients, dtype=bool)
            has[patient[target]] = True
            rng = np.random.default_rng((seed, column, start))
            with (
                contextlib.nullcontext(some.counts)
                if some is once
                else some.apart(has, rng) as counts
            ):
                ranking = scores.ranking_of(counts, patient, SPECIFICITY)
                shares = _weighted(counts, squares, records)
            found[column, :, start:stop] = ranking.average_precision, ranking.sensitivity, shares
            if some is once:  # the figure itself is in float64
                found[column, 2, 0] = squares.sum() / max(1, len(patient))
        start = stop
    return found


def _weighted(
    counts: npt.NDArray[np.float32],
    squares: npt.NDArray[np.float64],
    records: npt.NDArray[np.float32],
) -> npt.NDArray[np.float64]:
    """Return the mean square over the records in each draw.

    Parameters
    ----------
    counts
        How often each patient is in each draw, (patients, draws).
    squares, records
        Sum of each patient's squares, and number of its records, (patients,).
    """
    total, number = np.zeros(counts.shape[1]), np.zeros(counts.shape[1])
    # In float32 some thousands add up well, and their sums in float64.
    for k in range(0, len(counts), _TOGETHER):
        rows = slice(k, k + _TOGETHER)
        total += squares[rows].astype(np.float32) @ counts[rows]
        number += records[rows] @ counts[rows]
    return np.asarray(total / np.maximum(number, 1))


def _share(values: npt.NDArray[np.float64], positives: npt.NDArray[np.int64]) -> Estimate:
    """A mean over positives: of the data, and then of the draws."""
    own, drawn = float(values[0]), values[1:]
    if np.isnan(own):
        return Estimate(None, None, None)
    drawn = drawn[~np.isnan(drawn)]
    if len(drawn) < 2:
        return Estimate(own, None, None)
    low, high = share_limits(own, positives, drawn.var())
    return Estimate(own, float(low), float(high))


def _if_drawn(figure: Estimate, draws: int) -> Estimate:
    return figure if draws else Estimate(figure.value, None, None)


def _mean(
    aucs: AUCs, positive_patients: Mapping[str, int], wanted: Collection[str], draws: int
) -> Mean:
    labels = list(positive_patients)
    chosen = _defined(aucs, labels, wanted)
    names = tuple(labels[k] for k in chosen)
    return Mean(
        _if_drawn(mean_estimate(aucs.chosen(chosen)), draws),
        names,
        min((positive_patients[name] for name in names), default=0),
    )


def _defined(aucs: AUCs, labels: Sequence[str], wanted: Collection[str]) -> list[int]:
    """Columns of the wanted labels that the data define."""
    return [k for k, label in enumerate(labels) if label in wanted and not np.isnan(aucs.value[k])]


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
