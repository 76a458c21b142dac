"""Networks from this plugin's training checkpoints and ECGFounder's files, without a toolkit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from selfmis_plugin.checkpoints import (
    CheckpointError,
    ecgfounder_weights,
    model_name,
    read_checkpoint,
)
from selfmis_plugin.checkpoints.own_file import SUFFIX
from selfmis_plugin.checkpoints.readers import reader_of
from selfmis_plugin.checkpoints.trained import LoadedClassifier, LoadedTowers
from selfmis_plugin.methods.supervised.reader import ecgfounder_classifier

__all__ = ["LoadedClassifier", "LoadedTowers", "load_trained"]


def load_trained(
    path: str | Path, labels: Sequence[str] | None = None, named: bool = True
) -> LoadedClassifier | LoadedTowers:
    """Read a training checkpoint of this plugin, of either host, or an ECGFounder file.

    A training checkpoint is read as its method says: :mod:`selfmis_plugin.checkpoints.readers`.

    Parameters
    ----------
    path
        A training checkpoint; ``1_lead_ECGFounder.pth`` or ``12_lead_ECGFounder.pth``, whose own
        head becomes a classifier of the statements that its classes name
        (:mod:`selfmis_plugin.methods.supervised.ecgfounder_classes`); or what its authors' code
        saves after fine-tuning.
    labels
        What the outputs of a fine-tuned ECGFounder file's head mean, in their order; the file does
        not say it.
    named
        Whether the labels matter. Where they do not, the outputs of such a head are numbered.

    Returns
    -------
    LoadedClassifier or LoadedTowers
        A classifier, or the encoders of a pre-training; other methods' readers return what stands
        for theirs.

    Raises
    ------
    CheckpointError
        If the file cannot be read, is neither, or its labels are not known.
    """
    file = Path(path)
    if file.suffix == SUFFIX:
        raise CheckpointError(
            f"{file} holds an encoder alone, as save_encoder writes it: read it with "
            "selfmis_plugin.load_encoder, or give the checkpoint_best.pt of a run"
        )
    state = read_checkpoint(file)
    founder = ecgfounder_weights(file, state)
    if founder is not None:
        return ecgfounder_classifier(file, founder, labels, named)
    if labels is not None:
        raise CheckpointError(
            f"{file} is no ECGFounder file, the only kind that does not hold the names of its "
            "labels: leave out the labels"
        )
    reader = reader_of(state)
    if reader is not None:
        return reader(file, state)
    name = model_name(state)
    if name is not None:
        raise CheckpointError(f"{file} holds the model {name!r}, which is not one of this plugin")
    raise CheckpointError(
        f"{file} is not a training checkpoint of this plugin, nor an ECGFounder file. Give the "
        "checkpoint_best.pt of a run"
    )
