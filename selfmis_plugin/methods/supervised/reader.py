"""ECGFounder's files as classifiers, by the head that they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.checkpoints.contract import Wanted, one_view
from selfmis_plugin.checkpoints.ecgfounder import ecgfounder_weights
from selfmis_plugin.checkpoints.reading import CheckpointError
from selfmis_plugin.checkpoints.weights import EncoderWeights, finite, part_of
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.supervised.ecgfounder_classes import CLASSES, CLASSES_OF_STATEMENT

__all__ = ["FILES", "ecgfounder_classifier"]


@dataclass(frozen=True)
class ECGFounderFile:
    """A file laid out as ECGFounder's: an encoder, and mostly a head."""

    path: Path
    weights: EncoderWeights

    def trained(self, labels: Sequence[str] | None, named: bool) -> LoadedClassifier:
        """Return the classifier that its head makes."""
        return ecgfounder_classifier(self.path, self.weights, labels, named)

    def encoder(self, wanted: Wanted) -> EncoderWeights:
        """Return its encoder."""
        one_view(self.path, ("encoder",), wanted)
        return self.weights


def _read_file(path: Path, payload: Mapping[str, Any]) -> ECGFounderFile | None:
    weights = ecgfounder_weights(path, payload)
    return None if weights is None else ECGFounderFile(path, weights)


#: Files that are recognised by their content (:mod:`selfmis_plugin.checkpoints.readers`).
FILES = (_read_file,)


def ecgfounder_classifier(
    path: Path, founder: EncoderWeights, labels: Sequence[str] | None, named: bool
) -> LoadedClassifier:
    """Return the classifier that an ECGFounder file holds.

    Parameters
    ----------
    path, founder
        The file, and what
        :func:`~selfmis_plugin.checkpoints.ecgfounder.ecgfounder_weights` found in it.
    labels, named
        See :func:`selfmis_plugin.load_trained`.

    Raises
    ------
    CheckpointError
        If it holds no whole head, or the labels of its outputs are not known.
    """
    if founder.preprocessing is None or "leads" not in founder.preprocessing:
        raise CheckpointError(
            f"{path}: its encoder reads {founder.config.in_leads} leads, and only of 1 or 12 it is "
            "known which: it can be an encoder to train on, not a classifier as it is"
        )
    weight, bias = _dense(path, founder)
    classes = None
    if labels is None and len(bias) == CLASSES:
        names = tuple(CLASSES_OF_STATEMENT)
        used = sorted({number for members in CLASSES_OF_STATEMENT.values() for number in members})
        weight, bias = weight[used], bias[used]
        classes = tuple(
            tuple(used.index(number) for number in members)
            for members in CLASSES_OF_STATEMENT.values()
        )
        if named and not weight.any():
            raise CheckpointError(
                f"{path}: its head is all zeros, as in an encoder that this plugin saved in "
                "ECGFounder's layout: train one on it (selfmis_linear_probe)"
            )
    elif labels is None and not named:
        names = tuple(f"output {number}" for number in range(len(bias)))
    else:
        names = _checked_labels(path, tuple(labels or ()), len(bias))
    weights = {f"encoder.{name}": value for name, value in founder.state_dict.items()}
    return LoadedClassifier(
        path,
        founder.config,
        names,
        Preprocessing.from_dict(founder.preprocessing),
        standardize=False,
        weights={**weights, "head.weight": weight, "head.bias": bias},
        classes=classes,
    )


def _dense(path: Path, founder: EncoderWeights) -> tuple[torch.Tensor, torch.Tensor]:
    """The head of an ECGFounder file, float32 and independent of the file."""
    try:
        head = part_of({f"dense.{name}": value for name, value in founder.head.items()}, "dense.")
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}: copy or download it again") from error
    weight, bias = head.get("weight"), head.get("bias")
    if weight is None or bias is None:
        raise CheckpointError(
            f"{path}: ECGFounder weights without a head (dense.weight, dense.bias): they are an "
            "encoder to train on, not a classifier; give the file as its authors publish it"
        )
    wanted = (len(bias) if bias.dim() == 1 else 0, founder.config.embedding_dim)
    if tuple(weight.shape) != wanted or not wanted[0]:
        raise CheckpointError(
            f"{path}: a head of shapes {tuple(weight.shape)} and {tuple(bias.shape)} does not fit "
            f"embeddings of {wanted[1]} values: copy or download it again"
        )
    finite(path, {f"dense.{name}": value for name, value in head.items()})
    return weight.to(torch.float32, copy=True), bias.to(torch.float32, copy=True)


def _checked_labels(path: Path, labels: tuple[str, ...], outputs: int) -> tuple[str, ...]:
    if len(labels) == outputs and len(set(labels)) == outputs:
        return labels
    if not labels:
        found = "the file does not name them"
    elif len(labels) != outputs:
        found = f"{len(labels)} were given ({', '.join(labels[:3])}{', ...' * (len(labels) > 3)})"
    else:
        twice = sorted({label for label in labels if labels.count(label) > 1})
        found = f"{', '.join(twice)} is given twice"
    raise CheckpointError(
        f"{path}: its head has {outputs} outputs, and {found}: give the {outputs} labels in the "
        "order of the outputs, as --labels NORM,IMI,... or --labels FILE with one a line"
    )
