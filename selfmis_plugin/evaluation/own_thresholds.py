"""What the thresholds that an exported model brings reach on the records that are evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfmis_plugin.data.labels import ANY_INFARCTION, INFARCTION_TYPES, infarctions_first
from selfmis_plugin.metrics.operating_points import at_operating_points, threshold_of
from selfmis_plugin.metrics.operation import Operation
from selfmis_plugin.metrics.predictions import Predictions

__all__ = ["threshold_figures", "threshold_text"]


def threshold_figures(
    operation: Operation, predictions: Predictions, either: Predictions | None
) -> dict[str, Any] | None:
    """Return sensitivity and specificity at a model's own thresholds.

    Parameters
    ----------
    operation
        What the model brings.
    predictions
        Of each label.
    either
        Of any infarction, where the thresholds hold for it; None otherwise.

    Returns
    -------
    dict or None
        JSON-ready: ``specificity``, what the thresholds kept where they were chosen, and
        ``labels``: ``threshold`` (a probability, as a prediction is compared with it),
        ``sensitivity`` (None without a positive), ``specificity``, ``positives``, ``negatives``.
        None where the model brings none of these labels.
    """
    points = operation.points
    reached = at_operating_points(predictions, points)
    if either is not None:
        reached |= at_operating_points(either, points)
    if not reached:
        return None
    return {
        "specificity": operation.specificity,
        "labels": {
            name: {
                "threshold": threshold_of(name, points, operation.calibration),
                "sensitivity": found.sensitivity,
                "specificity": found.specificity,
                "positives": found.positives,
                "negatives": found.negatives,
            }
            for name, found in reached.items()
        },
    }


def threshold_text(figures: Mapping[str, Any]) -> list[str]:
    """Return :func:`threshold_figures` in words: of the infarction types, where there are some."""
    labels = figures["labels"]
    types = [name for name in labels if name in (ANY_INFARCTION, *INFARCTION_TYPES)]
    kept = "" if figures["specificity"] is None else f" (chosen to keep {figures['specificity']:g})"
    lines = [
        f"at the thresholds that the model brings{kept}; one unit is a record",
        f"{'label':14} {'threshold':>9}  {'sensitivity':22} {'specificity':22}",
    ]
    for name in infarctions_first(types or labels):
        row = labels[name]
        lines.append(
            f"{name:14} {row['threshold']:>9.3f}  "
            f"{_share(row['sensitivity'], row['positives']):22} "
            f"{_share(row['specificity'], row['negatives']):22}".rstrip()
        )
    if types and len(types) < len(labels):
        lines.append("the other labels are in --json")
    return lines


def _share(share: float | None, number: int) -> str:
    return "-" if share is None else f"{share:.3f} ({round(share * number):,} of {number:,})"
