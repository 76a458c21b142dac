"""A classifier that starts where another one ended: linear probing, then fine-tuning."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import torch

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.checkpoints.contract import lacks
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.net1d import Net1DConfig
from selfmis_plugin.training.encoder_config import refuse_other_preprocessing, refuse_other_size

__all__ = ["start_from_classifier"]

logger = logging.getLogger(__name__)

_STATISTICS = ("embedding_mean", "embedding_deviation", "embedding_known")


def start_from_classifier(
    network: EncoderClassifier,
    path: str,
    config: Net1DConfig,
    labels: Sequence[str],
    preprocessing: Preprocessing,
) -> None:
    """Fill encoder and head, so that *network* gives the logits of the classifier in *path*.

    Fine-tuning from a trained head distorts the encoder less than from a random one (Kumar et
    al., "Fine-tuning can distort pretrained features and underperform out-of-distribution",
    ICLR 2022). Where the checkpoint standardises embeddings and *network* does not, the
    statistics are folded into the head: with mean m and deviation s, the weight is W / s and the
    bias is b - (W / s) m.

    Parameters
    ----------
    network
        Classifier of the size *config*.
    path
        Training checkpoint of a classifier.
    config
        Size of its encoder.
    labels
        Statements of *network*, in their order.
    preprocessing
        How this run prepares what the encoder sees.

    Raises
    ------
    CheckpointError
        If the file is not such a checkpoint, or its size, labels, preprocessing or
        standardisation do not fit.
    """
    found = load_trained(path)
    if not isinstance(found, LoadedClassifier):
        lacks(
            found,
            "has no head",
            "give a classifier's checkpoint, or start from this one with model.encoder_checkpoint",
        )
    refuse_other_size(path, found.config, config)
    refuse_other_preprocessing(path, found.preprocessing, preprocessing)
    if tuple(found.labels) != tuple(labels):
        raise CheckpointError(
            f"{path} was trained on other labels: {_difference(found.labels, labels)}. Choose its "
            "labels with task.label_set or task.labels, or take only its encoder, with "
            "model.encoder_checkpoint"
        )
    if network.standardize and not found.standardize:
        raise CheckpointError(
            f"{path} does not standardise embeddings: start from it with "
            "model.standardize_embeddings=false"
        )
    weights = found.weights
    network.encoder.load_state_dict(_part(weights, "encoder."))
    if network.standardize or not found.standardize:
        network.head.load_state_dict(_part(weights, "head."))
        for name in _STATISTICS if network.standardize else ():
            getattr(network, name).copy_(weights[name])
    else:
        network.head.load_state_dict(_folded(weights))
    logger.info("%s: weights of the encoder and of the head loaded", path)


def _part(weights: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in weights.items()
        if name.startswith(prefix)
    }


def _folded(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    weight = weights["head.weight"].double() / weights["embedding_deviation"].double()
    bias = weights["head.bias"].double() - weight @ weights["embedding_mean"].double()
    return {"weight": weight.float(), "bias": bias.float()}


def _difference(theirs: Sequence[str], ours: Sequence[str]) -> str:
    if set(theirs) == set(ours):
        return "the same in another order"
    lines = [
        f"{who} {', '.join(sorted(names)[:5])}{' ...' if len(names) > 5 else ''}"
        for who, names in (
            ("only it has", set(theirs) - set(ours)),
            ("only this run has", set(ours) - set(theirs)),
        )
        if names
    ]
    return "; ".join(lines)
