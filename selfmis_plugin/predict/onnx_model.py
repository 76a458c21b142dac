"""A classifier that onnxruntime computes, asked about single recordings without PyTorch."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.exported import CONFIG, ONNX_MODEL, ONNX_SUFFIX, read_description
from selfmis_plugin.data.labels import ANY_INFARCTION
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.provenance import TrainedOn, provenance_from
from selfmis_plugin.metrics.calibrated import Recalibration, person_lines_in, recalibrations_in
from selfmis_plugin.metrics.operating_point import OperatingPoint, points_from
from selfmis_plugin.nn.onnx_runtime import NEEDS_RUNTIME, OPERATION, OnnxClassifier
from selfmis_plugin.predict.strip_model import StripModel
from selfmis_plugin.utils.fields import Fields

__all__ = ["OnnxModel", "onnx_file", "runs_here"]


def onnx_file(path: Path) -> Path | None:
    """Return the ONNX file that a path is, or that an exported folder holds; None without one."""
    if path.suffix == ONNX_SUFFIX and path.is_file():
        return path
    file = path / ONNX_MODEL
    return file if file.is_file() else None


def runs_here() -> bool:
    """Whether onnxruntime is installed."""
    return importlib.util.find_spec("onnxruntime") is not None


class OnnxModel(StripModel):
    """A ``model.onnx`` with its thresholds and calibration, and what its folder says of the rest.

    A file that lies alone has its own thresholds and calibration; what they were chosen on, what
    the model knows of age and sex and on what it was trained is in its folder.

    Parameters
    ----------
    path
        The folder, or the file.
    threads
        Threads to compute with; None leaves it to onnxruntime.

    Raises
    ------
    ValueError
        If it cannot be read, or the folder is of another model than the file.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        file = onnx_file(path)
        if file is None:
            raise ValueError(f"{path}: no {ONNX_MODEL} there")
        self._file = file
        try:
            self._runtime = found = OnnxClassifier(file, threads)
        except ImportError as error:
            raise ValueError(f"{file}: {NEEDS_RUNTIME}") from error
        except Exception as error:  # whatever a damaged file makes of the library
            line = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise ValueError(
                f"{file}: cannot be read as a model of `selfmis export` ({line}): copy or export "
                "it again"
            ) from error
        preprocessing = Preprocessing(
            found.rate, found.samples / found.rate, found.leads, found.filter
        )
        described: Mapping[str, Any] = {}
        differs = ""
        config = file.parent / CONFIG
        try:
            if config.is_file():
                described = read_description(file.parent)
                preprocessing = Preprocessing.from_dict(described["preprocessing"])
            said = Fields(described)
            training = said.part("training") if "training" in said else Fields({})
            provenance = provenance_from(training.get("provenance") or ())
            asked = (*found.labels, ANY_INFARCTION)
            if described:
                specificity, chosen = points_from(said.part("operating_points"), asked)
                calibration = recalibrations_in(said, asked)
            else:
                specificity, chosen, calibration = _own_operation(found, asked)
            with_person = person_lines_in(said, asked)
            if described:
                differs = _differs(found, preprocessing, said, chosen, calibration)
        except (OSError, RecursionError, TypeError, ValueError) as error:
            source = config if config.is_file() else file
            raise ValueError(
                f"{source}: does not describe a classifier ({error}): export it again"
            ) from error
        if differs:
            raise ValueError(
                f"{file}: is not of the model that {CONFIG} beside it describes ({differs} "
                "differ): copy the exported folder whole, or the file into a folder of its own"
            )
        super().__init__(
            path,
            found.labels,
            preprocessing,
            found.rate,
            found.unlearned,
            provenance or (TrainedOn(path.resolve().name),),
            chosen,
            specificity,
            calibration,
            with_person,
        )

    def logits(
        self, signals: Sequence[npt.NDArray[np.int16]], batch_size: int = 32
    ) -> npt.NDArray[np.float32]:
        """Return the logits of prepared windows, (windows, labels)."""
        outputs = [np.empty((0, len(self._runtime.labels)), dtype=np.float32)]
        for first in range(0, len(signals), batch_size):
            batch = np.stack(signals[first : first + batch_size])
            outputs.append(self._runtime.logits(batch, filtered=True))
        logits = np.concatenate(outputs)
        if not np.isfinite(logits).all():
            raise ValueError(
                f"{self._file}: gives NaN or Inf of a recording that has neither: it is damaged; "
                "copy or export it again"
            )
        return logits


def _own_operation(
    found: OnnxClassifier, labels: Sequence[str]
) -> tuple[float | None, dict[str, OperatingPoint], dict[str, Recalibration]]:
    """Return the specificity, thresholds and calibration that a file has by itself."""
    if found.operation is not None:
        own = Fields(found.operation, OPERATION)
        return *points_from(own.part("operating_points"), labels), recalibrations_in(own, labels)
    # Older versions have not written what they were chosen on, nor how.
    points = {
        label: OperatingPoint(logit, math.nan, None, 0, 0)
        for label, logit in found.thresholds.items()
    }
    lines = {
        label: Recalibration("not recorded", slope, intercept, 0)
        for label, (slope, intercept) in found.calibration.items()
    }
    return None, points, lines


def _differs(
    found: OnnxClassifier,
    preprocessing: Preprocessing,
    said: Fields,
    points: Mapping[str, OperatingPoint],
    calibration: Mapping[str, Recalibration],
) -> str:
    """Return in what a file is not of the model that the folder describes; nothing where it is."""
    lines = {label: (line.slope, line.intercept) for label, line in calibration.items()}
    own_lines = {label: tuple(line) for label, line in found.calibration.items()}
    samples = round(found.rate * preprocessing.seconds)
    differences = {
        "labels": found.labels != said.names("labels"),
        "leads": found.leads != preprocessing.leads,
        "filters": found.filter != preprocessing.filter,
        "windows": (found.rate, found.samples) != (said.number("input_rate"), samples),
        "thresholds": found.thresholds != {name: point.logit for name, point in points.items()},
        # Version 0.1 has not written it.
        "calibrations": bool(found.operation or own_lines) and own_lines != lines,
    }
    return ", ".join(name for name, differ in differences.items() if differ)
