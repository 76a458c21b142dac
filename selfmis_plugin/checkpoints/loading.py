"""Any file that a training left: what was trained, without a toolkit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints.own_file import SUFFIX
from selfmis_plugin.checkpoints.readers import foreign_file, reader_of
from selfmis_plugin.checkpoints.reading import CheckpointError, model_name, read_checkpoint

__all__ = ["load_trained"]


def load_trained(path: str | Path, labels: Sequence[str] | None = None, named: bool = True) -> Any:
    """Read a training checkpoint of either host, or a file of another project's.

    What reads it is found by its content (:mod:`selfmis_plugin.checkpoints.readers`).

    Parameters
    ----------
    path
        A training checkpoint; ``1_lead_ECGFounder.pth`` or ``12_lead_ECGFounder.pth``, whose own
        head becomes a classifier of the statements that its classes name; or what its authors'
        code saves after fine-tuning.
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
    if file.suffix == SUFFIX:
        raise CheckpointError(
            f"{file} holds an encoder alone, as save_encoder writes it: read it with "
            "selfmis_plugin.load_encoder, or give the checkpoint_best.pt of a run"
        )
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
