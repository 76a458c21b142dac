"""Any file that a training left: what was trained, without a toolkit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints.contract import Classifies, require
from selfmis_plugin.checkpoints.facts import read_facts
from selfmis_plugin.checkpoints.model_folder import SavedModel, is_model_folder, read_folder
from selfmis_plugin.checkpoints.onnx_file import LoadedOnnx
from selfmis_plugin.checkpoints.own_file import SUFFIX
from selfmis_plugin.checkpoints.readers import foreign_file, reader_of
from selfmis_plugin.checkpoints.reading import (
    CheckpointError,
    folder_of_weights,
    model_name,
    read_checkpoint,
)
from selfmis_plugin.data.exported import ONNX_MODEL, ONNX_SUFFIX, WEIGHTS

__all__ = ["load_trained", "read_model"]

#: Samples a second that stores have, and filters are applied at.
_STORE_RATE = 500.0


def load_trained(path: str | Path, labels: Sequence[str] | None = None, named: bool = True) -> Any:
    """Read a training checkpoint of either host, or a file of another project's.

    What reads it is found by its content (:mod:`selfmis_plugin.checkpoints.readers`).

    Parameters
    ----------
    path
        A training checkpoint; a folder of ``selfmis export``, or a ``model.onnx`` of one (a folder
        without its weights is read by that file); ``1_lead_ECGFounder.pth`` or
        ``12_lead_ECGFounder.pth``, whose own head becomes a classifier of the statements that its
        classes name; or what its authors' code saves after fine-tuning.
    labels
        What the outputs of a fine-tuned ECGFounder file's head mean, in their order; the file does
        not say it.
    named
        Whether the labels matter. Where they do not, the outputs of such a head are numbered.

    Returns
    -------
    Trained
        With the capabilities of :mod:`selfmis_plugin.checkpoints.contract` that its method has: a
        :class:`~selfmis_plugin.checkpoints.classifier.LoadedClassifier`, the encoders of a
        pre-training, or what another method's reader returns.

    Raises
    ------
    CheckpointError
        If the file cannot be read, is nothing that is known, or its labels are not known.
    """
    file = Path(path)
    if folder := folder_of_weights(file):
        raise CheckpointError(f"{file} holds the weights of an exported folder: give {folder}")
    if file.suffix == SUFFIX:
        raise CheckpointError(
            f"{file} holds an encoder alone, as save_encoder writes it: read it with "
            "selfmis_plugin.load_encoder, or give the checkpoint_best.pt of a run"
        )
    if is_model_folder(file) or file.suffix == ONNX_SUFFIX:
        if labels is not None:
            raise CheckpointError(f"{file}: an exported model names its labels: leave them out")
        return _exported(file)
    payload = read_checkpoint(file)
    foreign = foreign_file(file, payload)
    if foreign is not None:
        return foreign.trained(labels, named)
    if labels is not None:
        raise CheckpointError(
            f"{file} is no ECGFounder file, the only kind that does not hold the names of its "
            "labels: leave out the labels"
        )
    reader = reader_of(payload)
    if reader is not None:
        return reader(file, payload)
    name = model_name(payload)
    if name is not None:
        raise CheckpointError(f"{file} holds the model {name!r}, which is not one of this plugin")
    raise CheckpointError(
        f"{file} is not a training checkpoint of this plugin, nor an ECGFounder file. Give the "
        "checkpoint_best.pt of a run"
    )


def read_model(path: str | Path, labels: Sequence[str] | None = None) -> SavedModel:
    """Read a folder of ``selfmis export``, a classifier's checkpoint, or an ECGFounder file.

    Only a folder has operating points. No code from the files is run.

    Parameters
    ----------
    path
        The folder or file.
    labels
        Of a fine-tuned ECGFounder file: see :func:`load_trained`.

    Raises
    ------
    CheckpointError
        If it cannot be read, or is no classifier.
    """
    path = Path(path)
    if is_model_folder(path) and labels is None and not _is_onnx_alone(path):
        return read_folder(path)
    classifier = require(
        load_trained(path, labels),
        Classifies,
        "predicts no label",
        "give a classifier's checkpoint, such as a linear probe's on it",
    )
    rate = max(_STORE_RATE, classifier.preprocessing.sample_rate)
    if isinstance(classifier, LoadedOnnx):
        rate = classifier.preprocessing.sample_rate
    return SavedModel(classifier, rate, facts=read_facts(path))


def _exported(path: Path) -> Any:
    """What an exported folder, or an ONNX file, holds."""
    if path.suffix == ONNX_SUFFIX and not path.is_dir():
        return LoadedOnnx.read(path)
    return (
        LoadedOnnx.read(path / ONNX_MODEL) if _is_onnx_alone(path) else read_folder(path).classifier
    )


def _is_onnx_alone(folder: Path) -> bool:
    """Whether a folder was brought to a device without the weights that PyTorch reads."""
    return (folder / ONNX_MODEL).is_file() and not (folder / WEIGHTS).exists()
