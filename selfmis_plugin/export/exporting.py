"""From a run's checkpoint to a model with thresholds, figures and its provenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from selfmis_plugin._version import __version__
from selfmis_plugin.checkpoints.loading import read_model
from selfmis_plugin.checkpoints.model_folder import (
    SavedModel,
    file_digest,
    portable_classifier,
)
from selfmis_plugin.data.exported import WEIGHTS
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.evaluation.calibrating import fitted_to, measured
from selfmis_plugin.evaluation.evaluate import predict_split
from selfmis_plugin.metrics.defaults import DRAWS, SPECIFICITY
from selfmis_plugin.metrics.operating_points import (
    OperatingPoint,
    at_operating_points,
    choose_operating_points,
)
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.metrics.statistics import judge

VALID, TEST = "valid", "test"


def prepare_export(
    checkpoint: Path,
    data: Path | None = None,
    specificity: float = SPECIFICITY,
    draws: int = DRAWS,
    labels: Sequence[str] | None = None,
) -> SavedModel:
    """Read a checkpoint and, with *data*, choose its thresholds and measure its figures.

    Parameters
    ----------
    checkpoint
        A classifier's, a folder of an earlier export, or an ECGFounder file.
    data
        Folder of a store or of manifests: thresholds come from ``valid``, figures from ``test``.
    specificity
        What the thresholds keep.
    draws
        Bootstrap draws of the intervals.
    labels
        Of a fine-tuned ECGFounder file: see :func:`selfmis_plugin.load_trained`.

    Raises
    ------
    CheckpointError
        If the checkpoint cannot be read, is no classifier's, or does not fit the data.
    StoreError
        If the data cannot be read.
    """
    model = read_model(checkpoint, labels)
    portable_classifier(model)
    unlearned = model.facts.unlearned
    provenance: dict[str, Any] = {
        "plugin_version": __version__,
        "checkpoint": checkpoint.resolve().name,
        "checkpoint_sha256": file_digest(
            checkpoint / WEIGHTS if checkpoint.is_dir() else checkpoint
        ),
    }
    if data is None:
        # What an earlier export has chosen and measured holds for the same weights.
        return replace(model, provenance={**model.provenance, **provenance})
    valid, test = open_split(data, VALID), open_split(data, TEST)
    chosen_on = predict_split(checkpoint, data, VALID, labels=labels)
    points = choose_operating_points(chosen_on, specificity)
    points = {label: point for label, point in points.items() if label not in unlearned}
    fitted = fitted_to(chosen_on, unlearned)
    predictions = predict_split(checkpoint, data, TEST, labels=labels)
    provenance["valid"] = {**_about(data, valid), "records": len(chosen_on)}
    provenance["test"] = {
        **_about(data, test),
        **_figures(predictions, points, draws),
        "calibrated": measured(fitted, predictions),
    }
    rate = float(test.store.info.sample_rate)
    return replace(
        model,
        input_rate=rate,
        specificity=specificity,
        points=points,
        provenance=provenance,
        calibration=fitted.labels,
    )


def _about(data: Path, part: Split) -> dict[str, Any]:
    info = part.store.info
    return {
        "data": data.resolve().name,
        "database": info.database,
        "origins": [origin.to_dict() for origin in info.origins],
    }


def _figures(
    predictions: Predictions, points: dict[str, OperatingPoint], draws: int
) -> dict[str, Any]:
    report = judge(predictions, draws)
    reached = at_operating_points(predictions, points)
    return {
        "records": report.units,
        "patients": report.patients,
        "draws": report.draws,
        "macro_auc": report.macro_auc.to_dict(),
        "mi_auc": report.mi_auc.to_dict(),
        "labels": {
            label: {
                "positives": figures.positives,
                "auc": figures.auc.to_dict(),
                "sensitivity": reached[label].sensitivity if label in reached else None,
                "specificity": reached[label].specificity if label in reached else None,
            }
            for label, figures in report.labels.items()
        },
    }
