"""A classifier's calibration: fitted on validation, measured on the split that is evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.facts import read_facts
from selfmis_plugin.data.store import StoreError
from selfmis_plugin.evaluation.evaluate import predict_split
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.metrics.recalibration import (
    FEWEST,
    PLATT,
    Recalibration,
    calibration_errors,
    fit_recalibration,
    recalibrated,
)

__all__ = ["Fitted", "calibration_figures", "calibration_text", "fit_on_validation", "measured"]

VALID = "valid"


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
    """

    labels: Mapping[str, Recalibration] = field(default_factory=dict)
    problem: str = ""
    unlearned: tuple[str, ...] = ()


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
    fitted_on: str = VALID,
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
        What it was fitted to, in words.

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
        "fitted_on": fitted_on if fitted.labels else None,
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


def calibration_figures(
    checkpoint: str | Path,
    data: str | Path,
    split: str,
    predictions: Predictions,
    batch_size: int = 128,
    labels: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return what the calibration on validation does to predictions of *split*."""
    return measured(fit_on_validation(checkpoint, data, split, batch_size, labels), predictions)


def calibration_text(figures: Mapping[str, Any]) -> list[str]:
    """Return :func:`measured` in words."""
    lines = []
    if figures["fitted_on"] is None:
        lines.append(f"probabilities are not calibrated: {figures['problem']}")
    else:
        methods = [line["method"] for line in figures["labels"].values()]
        own = methods.count(PLATT)
        how = f"Platt's line for {own} labels, a shared slope for {len(methods) - own}"
        if figures["error"] is not None:
            lines.append(
                f"calibration error, mean over labels: {figures['raw_error']:.3f} as the network "
                f"gives it, {figures['error']:.3f} calibrated on {figures['fitted_on']} ({how})"
            )
        else:
            lines.append(f"calibrated on {figures['fitted_on']} ({how})")
        if figures["not_calibrated"]:
            lines.append(f"not calibrated: {', '.join(figures['not_calibrated'])}")
    if figures["unlearned"]:
        lines.append(
            "without a positive among the training records, so nothing was learnt of them: "
            f"{', '.join(figures['unlearned'])}"
        )
    return lines
