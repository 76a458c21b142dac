"""A classifier's calibration, its own or fitted on validation, measured on the split that is
evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.facts import read_facts
from selfmis_plugin.data.provenance import TrainedOn
from selfmis_plugin.data.splits import Split
from selfmis_plugin.data.store import StoreError
from selfmis_plugin.data.trained_people import seen_in_training
from selfmis_plugin.evaluation.evaluate import predict_split
from selfmis_plugin.metrics.operation import Operation
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.metrics.recalibration import (
    FEWEST,
    PLATT,
    Recalibration,
    calibration_errors,
    fit_recalibration,
    recalibrated,
)

__all__ = [
    "OWN",
    "VALID",
    "PERHAPS_FITTED_HERE",
    "Fitted",
    "calibration_of",
    "calibration_text",
    "fit_on_validation",
    "fitted_to",
    "line_of_any",
    "measured",
    "perhaps_fitted_here",
]

#: The split that a calibration is fitted to where the model brings none.
VALID = "valid"
#: What a calibration was fitted to that an exported model brings.
OWN = "model"
#: What :func:`perhaps_fitted_here` means, in words.
PERHAPS_FITTED_HERE = (
    "WARNING: the calibration and thresholds that the model brings may have been fitted to these "
    "records, and then look better here than they are: judge them on records of other people"
)


@dataclass(frozen=True)
class Fitted:
    """A calibration, or why there is none.

    Attributes
    ----------
    labels
        How each label's logits become probabilities; labels without are missing.
    problem
        Why there is none at all; empty where there is one.
    unlearned
        Labels without a positive among the training records.
    on
        What it was fitted to: the validation split, or, as "model", what the model's folder brings
        was fitted to.
    """

    labels: Mapping[str, Recalibration] = field(default_factory=dict)
    problem: str = ""
    unlearned: tuple[str, ...] = ()
    on: str = VALID


def calibration_of(
    checkpoint: str | Path,
    data: str | Path,
    predictions: Predictions,
    brought: Operation,
    split: str = "test",
    batch_size: int = 128,
    labels: Sequence[str] | None = None,
) -> Fitted:
    """Return the calibration that an exported model brings; fit one to the validation split for a
    model that brings none.

    Parameters
    ----------
    checkpoint, data, split, batch_size, labels
        As of :func:`fit_on_validation`.
    predictions
        What it is for: the model's own is asked for their labels.
    brought
        What the model brings.

    Raises
    ------
    CheckpointError
        If the checkpoint cannot be read.
    """
    own = {name: line for name, line in brought.calibration.items() if name in predictions.labels}
    if own:
        return Fitted(own, "", read_facts(checkpoint).unlearned, OWN)
    return fit_on_validation(checkpoint, data, split, batch_size, labels)


def perhaps_fitted_here(brought: Operation, part: Split, split: str) -> bool:
    """Whether what a model brings may have been fitted to the very records that are evaluated.

    An export fits to the validation split, or to predictions out of fold of all records, and keeps
    digests of whose they are; one of an older version keeps none.
    """
    if not (brought.calibration or brought.points):
        return False
    fitted_to = TrainedOn("calibration", people=brought.people)
    return split == VALID or seen_in_training([fitted_to], part) is not None


def fit_on_validation(
    checkpoint: str | Path,
    data: str | Path,
    split: str = "test",
    batch_size: int = 128,
    labels: Sequence[str] | None = None,
) -> Fitted:
    """Fit a classifier's calibration to the validation split, for figures of another split.

    A validation split that is not there, or that the classifier cannot read, is no error but a
    reason for there being none.

    Raises
    ------
    CheckpointError
        If the checkpoint cannot be read.
    """
    unlearned = read_facts(checkpoint).unlearned
    if split == VALID:
        return Fitted({}, f"the figures are of {VALID} itself", unlearned)
    if not (Path(data) / f"{VALID}.tsv").is_file():
        # Of another split it would be no calibration to judge: what open_split advises is wrong.
        problem = (
            f"no validation split to fit it to ({data} has no {VALID}.tsv), and the model brings "
            "none (selfmis export --data STORE gives it one)"
        )
        return Fitted({}, problem, unlearned)
    try:
        predictions = predict_split(checkpoint, data, VALID, batch_size, labels)
    except (CheckpointError, StoreError) as error:
        # The figures of the other split do not need it.
        return Fitted({}, f"no validation split to fit it to ({error})", unlearned)
    return fitted_to(predictions, unlearned)


def fitted_to(predictions: Predictions, unlearned: Sequence[str] = ()) -> Fitted:
    """Fit a calibration to predictions of the validation split."""
    found = fit_recalibration(predictions, unlearned)
    problem = ""
    if not found and predictions.targets.sum() < FEWEST:
        problem = f"fewer than {FEWEST} positives in the validation split"
    elif not found:
        problem = "in the validation split the logits do not rise with the labels"
    return Fitted(found, problem, tuple(unlearned))


def measured(
    fitted: Fitted,
    predictions: Predictions,
    calibrated: Predictions | None = None,
    fitted_on: str | None = None,
) -> dict[str, Any]:
    """Return what a calibration does to predictions of records that it was not fitted to.

    Parameters
    ----------
    fitted
        The calibration.
    predictions
        Of other records.
    calibrated
        The same as log odds, where these come from elsewhere, such as folds in turn.
    fitted_on
        What it was fitted to, in words, where that is neither the validation split nor the model's
        own.

    Returns
    -------
    dict
        JSON-ready: ``fitted_on``, None without one, then with ``problem``; ``labels``: method,
        slope, intercept, positives, calibration ``error`` and ``raw_error``, that of the logits
        as they are; ``error`` and ``raw_error``, means over the labels; ``not_calibrated`` and
        ``unlearned``.
    """
    raw = calibration_errors(predictions)
    if calibrated is None:
        calibrated = recalibrated(predictions, fitted.labels)
    after = calibration_errors(calibrated)
    judged = [name for name in raw if name in fitted.labels]
    return {
        "fitted_on": (fitted_on or fitted.on) if fitted.labels else None,
        "problem": fitted.problem or None,
        "labels": {
            name: {**line.to_dict(), "error": after.get(name), "raw_error": raw.get(name)}
            for name, line in fitted.labels.items()
        },
        "error": float(np.mean([after[name] for name in judged])) if judged else None,
        "raw_error": float(np.mean([raw[name] for name in judged])) if judged else None,
        "not_calibrated": [
            name
            for name in predictions.labels
            if name not in fitted.labels and name not in fitted.unlearned
        ],
        "unlearned": [name for name in predictions.labels if name in fitted.unlearned],
    }


def line_of_any(line: Recalibration, either: Predictions) -> dict[str, Any]:
    """Return what a model's own line does to predictions of any infarction, as a label's in
    :func:`measured`."""
    raw = calibration_errors(either)
    after = calibration_errors(recalibrated(either, dict.fromkeys(either.labels, line)))
    (name,) = either.labels
    return {**line.to_dict(), "error": after.get(name), "raw_error": raw.get(name)}


def calibration_text(figures: Mapping[str, Any]) -> list[str]:
    """Return :func:`measured` in words."""
    lines = []
    if figures["fitted_on"] is None:
        lines.append(f"probabilities are not calibrated: {figures['problem']}")
    else:
        methods = [line["method"] for line in figures["labels"].values()]
        own = methods.count(PLATT)
        how = f"Platt's line for {own} labels, a shared slope for {len(methods) - own}"
        by = f"calibrated on {figures['fitted_on']}"
        if figures["fitted_on"] == OWN:
            by = "by the calibration that the model brings"
        if figures["error"] is not None:
            lines.append(
                f"calibration error, mean over labels: {figures['raw_error']:.3f} as the network "
                f"gives it, {figures['error']:.3f} {by} ({how})"
            )
        else:
            lines.append(f"{by} ({how})")
        if figures["not_calibrated"]:
            lines.append(f"not calibrated: {', '.join(figures['not_calibrated'])}")
    if figures["unlearned"]:
        lines.append(
            "without a positive among the training records, so nothing was learnt of them: "
            f"{', '.join(figures['unlearned'])}"
        )
    return lines
