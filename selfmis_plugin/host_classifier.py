"""Classifiers over the encoders of fairseq-signals' own pre-trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selfmis_plugin.checkpoints import CheckpointError, read_checkpoint
from selfmis_plugin.host_recipes import HostEncoder, describe_pretraining
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.zero_masked import ZeroMaskedInput

__all__ = ["build_host_classifier", "describe_host_encoder", "load_host_encoder"]


def describe_host_encoder(path: str, sample_rate: float) -> dict[str, Any] | None:
    """Describe the encoder of a checkpoint that a pre-training of the host's own has written.

    Parameters
    ----------
    path
        The checkpoint.
    sample_rate
        Hz that the encoder will see.

    Returns
    -------
    dict or None
        Plain values, see :func:`~selfmis_plugin.host_recipes.describe_pretraining`; None for other
        files.

    Raises
    ------
    CheckpointError
        If the encoder was trained at another sample rate, or the file cannot be read.
    """
    if path.endswith(".safetensors"):
        return None
    cfg = read_checkpoint(path).get("cfg")
    found = describe_pretraining(cfg) if isinstance(cfg, Mapping) else None
    if found is not None and found["sample_rate"] not in (None, sample_rate):
        raise CheckpointError(
            f"{path} was pre-trained on signals of {found['sample_rate']:g} Hz, and this run reads "
            f"{sample_rate:g} Hz: task.sample_rate={found['sample_rate']:g}"
        )
    return found


def build_host_classifier(
    description: Mapping[str, Any],
    labels: int,
    leads: Sequence[str],
    store_rate: float,
    sample_rate: float,
    freeze_encoder: bool = False,
    standardize: bool = False,
) -> EncoderClassifier:
    """Return a classifier with fresh weights over the encoder that is described.

    The encoder reads twelve leads: those that are not among *leads* are zero. For the other
    parameters see :class:`~selfmis_plugin.nn.classifier.EncoderClassifier`.

    Raises
    ------
    ToolkitError
        If the host here is not fairseq-signals.
    """
    return EncoderClassifier(
        None,
        labels=labels,
        leads=leads,
        input_leads=leads,
        freeze_encoder=freeze_encoder,
        standardize=standardize,
        encoder=HostEncoder(description["model"]),
        preparation=ZeroMaskedInput(leads, store_rate, sample_rate, description["scale"]),
    )


def load_host_encoder(encoder: HostEncoder, path: str) -> None:
    """Fill *encoder* with the weights of the checkpoint that describes it.

    Raises
    ------
    CheckpointError
        If they do not fit.
    """
    try:
        encoder.load_pretrained(read_checkpoint(path)["model"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path}: its weights do not fit its own config: {error}") from error
