"""How an exported model is to be used: the calibration and thresholds that its files bring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from selfmis_plugin.checkpoints.onnx_file import LoadedOnnx
from selfmis_plugin.checkpoints.reading import CheckpointError, first_line, mapping
from selfmis_plugin.data.digests import DigestsError, unpacked
from selfmis_plugin.data.exported import CONFIG, ONNX_SUFFIX, read_description
from selfmis_plugin.data.labels import ANY_INFARCTION
from selfmis_plugin.metrics.operation import (
    Operation,
    onnx_difference,
    onnx_operation,
    operation_in,
)
from selfmis_plugin.utils.fields import FieldError, Fields, shown

__all__ = ["read_operation"]


def read_operation(path: str | Path) -> Operation:
    """Read what an exported folder or an ONNX file says; other weights stay unread.

    Parameters
    ----------
    path
        Folder or file; any other kind of file brings nothing.

    Raises
    ------
    CheckpointError
        If its description cannot be read, names labels that the model does not have, or lies beside
        the ONNX file of another model.
    """
    file = Path(path)
    is_onnx = file.suffix == ONNX_SUFFIX and not file.is_dir()
    folder = file.parent if is_onnx else file
    source = folder / CONFIG
    try:
        if not source.is_file():
            return _of_lone(file) if is_onnx else Operation()
        said = read_description(folder)
        operation = operation_in(said, (*said.names("labels"), ANY_INFARCTION))
        operation = replace(operation, people=_people(said))
        differs = is_onnx and onnx_difference(LoadedOnnx.read(file).runtime, said, operation)
    except CheckpointError:
        raise
    except (OSError, RecursionError, TypeError, ValueError) as error:
        source = source if source.is_file() else file
        raise CheckpointError(
            f"{source}: does not describe a classifier ({first_line(error)}): export it again"
        ) from error
    if differs:
        raise CheckpointError(f"{file}: {differs}")
    return operation


def _people(said: Fields) -> str:
    """Digests of whose records calibration and thresholds were fitted to, where it says them."""
    fitted_to = mapping(mapping(said.get("provenance")).get("valid"))
    people = fitted_to.get("people", "")
    if not isinstance(people, str):
        raise FieldError(f"provenance.valid.people must be a text, not {shown(people)}")
    try:
        unpacked(people)
    except DigestsError as error:
        raise FieldError(f"provenance.valid.people {error}") from error
    return people


def _of_lone(file: Path) -> Operation:
    found = LoadedOnnx.read(file).runtime
    return onnx_operation(found, (*found.labels, ANY_INFARCTION))
