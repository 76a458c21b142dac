"""The door for an encoder's weights: whatever file they come in, they leave here under the names
of :class:`~selfmis_plugin.nn.net1d.Net1D`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from selfmis_plugin.checkpoints.ecgfounder import ecgfounder_weights, to_ecgfounder
from selfmis_plugin.checkpoints.own_file import SUFFIX, read_own_file, write_own_file
from selfmis_plugin.checkpoints.reading import CheckpointError, read_checkpoint, some
from selfmis_plugin.checkpoints.training import from_training
from selfmis_plugin.checkpoints.weights import EncoderWeights, Tower, check_leads, check_names
from selfmis_plugin.nn.net1d import Net1DConfig
from selfmis_plugin.utils.files import whole_file

__all__ = ["load_encoder_weights", "save_encoder_weights"]


def load_encoder_weights(path: str | Path, tower: Tower | None = "single") -> EncoderWeights:
    """Weights of one encoder from any file that has them.

    The content tells what a file is:

    - ECGFounder's published files and those that its authors' code saves after fine-tuning,
      ``{"state_dict": ...}`` (:func:`ecgfounder_weights`);
    - training checkpoints of this plugin from either toolkit, pre-training or classifier;
    - files of :func:`save_encoder_weights` (``.safetensors``).

    Parameters
    ----------
    path
        The file.
    tower
        Which encoder of a pre-training checkpoint.  Of other files there is only one, which has
        to read one lead for ``"single"`` and several for ``"multi"``.  None takes the single-lead
        encoder of a pre-training checkpoint, and of other files the one that is there.

    Returns
    -------
    EncoderWeights

    Raises
    ------
    CheckpointError
        If the file cannot be read (:func:`read_checkpoint`), holds no encoder, or its encoder
        does not fit.
    """
    path = Path(path)
    if tower not in ("single", "multi", None):
        raise ValueError(f"tower must be 'single' or 'multi', not {tower!r}")
    if path.suffix == SUFFIX:
        weights = read_own_file(path)
    else:
        payload = read_checkpoint(path)
        state = payload.get("model")
        if isinstance(state, Mapping) and isinstance(payload.get("cfg"), Mapping):
            weights = from_training(path, payload, state, tower or "single")
        else:
            founder = ecgfounder_weights(path, payload)
            if founder is None:
                raise CheckpointError(
                    f"{path}: neither a training checkpoint of this plugin nor ECGFounder weights "
                    f"(it has {some(payload)}): give one of those"
                )
            weights = founder
    if tower is not None:
        check_leads(path, weights, tower)
    return weights


def save_encoder_weights(
    path: str | Path,
    state_dict: Mapping[str, Tensor],
    config: Net1DConfig,
    preprocessing: Mapping[str, Any] | None = None,
) -> None:
    """Write the weights of one encoder, whole or not at all.

    Parameters
    ----------
    path
        ``.safetensors`` for a file of this plugin, which also holds the shape and the
        preprocessing; ``.pth`` for one laid out as ECGFounder's, which its authors' code loads.
    state_dict
        State of a :class:`~selfmis_plugin.nn.net1d.Net1D` of shape ``config``.
    config
        Its shape.
    preprocessing
        How signals were prepared for it, where that is known.

    Raises
    ------
    ValueError
        If the path ends in neither.
    CheckpointError
        If the state does not fit the shape.
    """
    path = Path(path)
    check_names("state dict", state_dict, config)
    if path.suffix == ".pth":
        with whole_file(path) as temporary:
            torch.save({"state_dict": to_ecgfounder(state_dict, config)}, temporary)
        return
    if path.suffix != SUFFIX:
        raise ValueError(
            f"{path}: name the file {SUFFIX} for this plugin, or .pth for ECGFounder's layout"
        )
    write_own_file(path, state_dict, config, preprocessing)
