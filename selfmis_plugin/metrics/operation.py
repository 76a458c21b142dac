"""How a model is to be used: its calibration and thresholds, as exported files say them.

Nothing here needs PyTorch, as a ``model.onnx`` does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.metrics.calibrated import Recalibration, recalibrations_in
from selfmis_plugin.metrics.operating_point import OperatingPoint, points_from
from selfmis_plugin.nn.onnx_runtime import OPERATION, OnnxClassifier
from selfmis_plugin.utils.fields import Fields

__all__ = ["Operation", "onnx_difference", "onnx_operation", "operation_in"]


@dataclass(frozen=True)
class Operation:
    """What a model brings to make probabilities and decisions of its logits.

    Attributes
    ----------
    calibration
        How logits become probabilities, by label; any infarction may be one.
    specificity
        What the thresholds kept on the records that they were chosen on; None without any, or
        where that is not known.
    points
        Operating points by label; any infarction may be one.
    people
        Digests of whose records both were fitted to
        (:func:`selfmis_plugin.data.trained_people.people_of`); empty where that is not known.
    """

    calibration: Mapping[str, Recalibration] = field(default_factory=dict)
    specificity: float | None = None
    points: Mapping[str, OperatingPoint] = field(default_factory=dict)
    people: str = ""


def operation_in(said: Fields, labels: Sequence[str]) -> Operation:
    """Read what a description says of *labels*.

    Raises
    ------
    ValueError
        If an entry is of the wrong kind, or names another label.
    """
    points = said.part("operating_points") if "operating_points" in said else None
    specificity, chosen = points_from(points, labels) if points else (None, {})
    return Operation(recalibrations_in(said, labels), specificity, chosen)


def onnx_operation(found: OnnxClassifier, labels: Sequence[str]) -> Operation:
    """Return what an ONNX file brings by itself; raises as :func:`operation_in`."""
    if found.operation is not None:
        return operation_in(Fields(found.operation, OPERATION), labels)
    # Older versions have not written what they were chosen on, nor how.
    points = {
        label: OperatingPoint(logit, math.nan, None, 0, 0)
        for label, logit in found.thresholds.items()
    }
    lines = {
        label: Recalibration("not recorded", slope, intercept, 0)
        for label, (slope, intercept) in found.calibration.items()
    }
    return Operation(lines, None, points)


def onnx_difference(found: OnnxClassifier, said: Fields, operation: Operation) -> str:
    """Return in what an ONNX file is not of the model that a folder describes; nothing where it is.

    Parameters
    ----------
    found
        The file.
    said, operation
        The folder's description, and :func:`operation_in` of it.
    """
    preprocessing = Preprocessing.from_dict(said["preprocessing"])
    lines = {name: (line.slope, line.intercept) for name, line in operation.calibration.items()}
    own_lines = {label: tuple(line) for label, line in found.calibration.items()}
    samples = round(found.rate * preprocessing.seconds)
    thresholds = {name: point.logit for name, point in operation.points.items()}
    differences = {
        "labels": found.labels != said.names("labels"),
        "leads": found.leads != preprocessing.leads,
        "filters": found.filter != preprocessing.filter,
        "windows": (found.rate, found.samples) != (said.number("input_rate"), samples),
        "thresholds": found.thresholds != thresholds,
        # Version 0.1 has not written it.
        "calibrations": bool(found.operation or own_lines) and own_lines != lines,
    }
    names = ", ".join(name for name, differ in differences.items() if differ)
    return names and (
        f"is not of the model that config.json beside it describes ({names} differ): copy the "
        "exported folder whole, or the file into a folder of its own"
    )
