"""How an exported model is to be used: the calibration and thresholds that its folder brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from selfmis_plugin.checkpoints.reading import CheckpointError, first_line
from selfmis_plugin.data.exported import CONFIG, ONNX_SUFFIX, read_description
from selfmis_plugin.data.labels import ANY_INFARCTION
from selfmis_plugin.metrics.calibrated import Recalibration, recalibrations_in
from selfmis_plugin.metrics.operating_point import OperatingPoint, points_from

__all__ = ["Operation", "read_operation"]


@dataclass(frozen=True)
class Operation:
    """What a model brings to make probabilities and decisions of its logits.

    Attributes
    ----------
    calibration
        How logits become probabilities, by label; any infarction may be one.
    specificity
        What the thresholds kept on the records that they were chosen on; None without any.
    points
        Operating points by label; any infarction may be one.
    """

    calibration: Mapping[str, Recalibration] = field(default_factory=dict)
    specificity: float | None = None
    points: Mapping[str, OperatingPoint] = field(default_factory=dict)


def read_operation(path: str | Path) -> Operation:
    """Read what an exported folder, or the folder of an ONNX file, says; the weights stay unread.

    Parameters
    ----------
    path
        Folder or file; any other kind of file brings nothing.

    Raises
    ------
    CheckpointError
        If its description cannot be read, or names labels that the model does not have.
    """
    file = Path(path)
    folder = file.parent if file.suffix == ONNX_SUFFIX and not file.is_dir() else file
    if not (folder / CONFIG).is_file():
        return Operation()
    try:
        said = read_description(folder)
        known = (*said.names("labels"), ANY_INFARCTION)
        points = said.part("operating_points") if "operating_points" in said else None
        specificity, chosen = points_from(points, known) if points else (None, {})
        return Operation(recalibrations_in(said, known), specificity, chosen)
    except (OSError, RecursionError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder / CONFIG}: does not describe a classifier ({first_line(error)}): export it "
            "again"
        ) from error
