"""A classifier that onnxruntime computes, asked about single recordings without PyTorch."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.exported import CONFIG, ONNX_MODEL, ONNX_SUFFIX, read_description
from selfmis_plugin.data.labels import ANY_INFARCTION
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.provenance import TrainedOn, provenance_from
from selfmis_plugin.metrics.calibrated import person_lines_in
from selfmis_plugin.metrics.operation import onnx_difference, onnx_operation, operation_in
from selfmis_plugin.nn.onnx_runtime import NEEDS_RUNTIME, OnnxClassifier
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
        asked = (*found.labels, ANY_INFARCTION)
        try:
            if config.is_file():
                described = read_description(file.parent)
                preprocessing = Preprocessing.from_dict(described["preprocessing"])
            said = Fields(described)
            training = said.part("training") if "training" in said else Fields({})
            provenance = provenance_from(training.get("provenance") or ())
            operation = operation_in(said, asked) if described else onnx_operation(found, asked)
            with_person = person_lines_in(said, asked)
            if described:
                differs = onnx_difference(found, said, operation)
        except (OSError, RecursionError, TypeError, ValueError) as error:
            source = config if config.is_file() else file
            raise ValueError(
                f"{source}: does not describe a classifier ({error}): export it again"
            ) from error
        if differs:
            raise ValueError(f"{file}: {differs}")
        super().__init__(
            path,
            found.labels,
            preprocessing,
            found.rate,
            found.unlearned,
            provenance or (TrainedOn(path.resolve().name),),
            operation.points,
            operation.specificity,
            operation.calibration,
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
