"""The door for an encoder's weights: whatever file they come in, they leave here under the names
of this plugin's encoder of their shape."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from selfmis_plugin.checkpoints.contract import (
    HasEncoders,
    Tower,
    Wanted,
    capabilities,
    one_view,
)
from selfmis_plugin.checkpoints.ecgfounder import to_ecgfounder
from selfmis_plugin.checkpoints.facts import PROVENANCE, facts_values
from selfmis_plugin.checkpoints.model_folder import is_model_folder, read_folder
from selfmis_plugin.checkpoints.own_file import SUFFIX, read_own_file, write_own_file
from selfmis_plugin.checkpoints.readers import encoder_reader_of, foreign_file, reader_of
from selfmis_plugin.checkpoints.reading import (
    CheckpointError,
    mapping,
    model_name,
    read_checkpoint,
    some,
)
from selfmis_plugin.checkpoints.weights import EncoderWeights, check_names
from selfmis_plugin.data.provenance import Provenance
from selfmis_plugin.nn.net1d import Net1DConfig
from selfmis_plugin.utils.files import whole_file

__all__ = ["encoder_of", "load_encoder_weights", "save_encoder_weights"]


def load_encoder_weights(
    path: str | Path,
    tower: Tower | None = "single",
    view: str | None = None,
    leads: Sequence[str] | None = None,
) -> EncoderWeights:
    """Weights of one encoder from any file that has them.

    The content tells what a file is:

    - files of :func:`save_encoder_weights` (``.safetensors``);
    - folders of ``selfmis export``;
    - training checkpoints from either toolkit, pre-training or classifier, of every method that
      has a reader (:mod:`selfmis_plugin.checkpoints.readers`);
    - files of other projects that a reader recognises: ECGFounder's published ones and those that
      its authors' code saves after fine-tuning.

    Parameters
    ----------
    path
        The file.
    tower
        Which encoder of a pre-training of two towers.  Of other files there is only one, which has
        to read one lead for ``"single"`` and several for ``"multi"``.  None takes the single-lead
        encoder of a pre-training checkpoint, and of other files the one that is there.
    view
        Which encoder of a file that has several, by its name.
    leads
        Leads that the encoder must read, in their order; None leaves it to the file.

    Returns
    -------
    EncoderWeights

    Raises
    ------
    CheckpointError
        If the file cannot be read (:func:`read_checkpoint`), holds no encoder, several of which
        none is named, or its encoder does not fit.
    """
    path = Path(path)
    if tower not in ("single", "multi", None):
        raise ValueError(f"tower must be 'single' or 'multi', not {tower!r}")
    wanted = Wanted(tower, view, None if leads is None else tuple(leads))
    if path.suffix == SUFFIX:
        # It has one encoder: another view must not be ignored.
        one_view(path, ("encoder",), wanted)
        weights = read_own_file(path)
    elif is_model_folder(path):
        classifier = read_folder(path).classifier
        if not isinstance(classifier, HasEncoders):
            raise CheckpointError(f"{path}: has no encoder that can be taken out")
        weights = classifier.encoder(wanted)
    else:
        weights = encoder_of(path, read_checkpoint(path), wanted)
    if tower is not None:
        _check_leads(path, weights, tower)
    return weights


def encoder_of(path: Path, payload: Mapping[str, Any], wanted: Wanted) -> EncoderWeights:
    """Return one encoder of what a file holds; see :func:`load_encoder_weights`.

    Parameters
    ----------
    path
        What messages call the file.
    payload
        What it holds.
    wanted
        Which encoder.
    """
    foreign = foreign_file(path, payload)
    if foreign is not None:
        return foreign.encoder(wanted)
    state, cfg = payload.get("model"), payload.get("cfg")
    if not isinstance(state, Mapping) or not isinstance(cfg, Mapping):
        raise CheckpointError(
            f"{path}: neither a training checkpoint of this plugin nor ECGFounder weights "
            f"(it has {some(payload)}): give one of those"
        )
    read_encoder = encoder_reader_of(payload)
    if read_encoder is not None:
        return read_encoder(path, payload, wanted)
    read = reader_of(payload)
    if read is None:
        raise CheckpointError(
            f"{path}: a training checkpoint of the model {model_name(payload)!r}, not of this "
            f"plugin (its weights are {some(mapping(state))}): give a checkpoint of a run of one "
            "of its configs"
        )
    trained = read(path, payload)
    if not isinstance(trained, HasEncoders):
        can = " and ".join(capabilities(trained)) or "does nothing else"
        raise CheckpointError(
            f"{path}: a training checkpoint of the model {model_name(payload)!r}, which has no "
            f"encoder that can be taken out (it {can}): give another method's"
        )
    return trained.encoder(wanted)


def _check_leads(path: Path, weights: EncoderWeights, tower: Tower) -> None:
    """Raise a CheckpointError where the weights do not read as many leads as the tower does."""
    leads = weights.in_leads
    if leads and (leads == 1) != (tower == "single"):
        needed = "one lead" if tower == "single" else "several leads"
        raise CheckpointError(
            f"{path}: its encoder ({weights.kind}) reads {leads} lead{'s' if leads > 1 else ''}, "
            "and the "
            f"{tower}-lead tower needs weights for {needed}: give the other file, or the other "
            "tower"
        )


def save_encoder_weights(
    path: str | Path,
    state_dict: Mapping[str, Tensor],
    config: Any,
    preprocessing: Mapping[str, Any] | None = None,
    provenance: Provenance = (),
) -> None:
    """Write the weights of one encoder, whole or not at all.

    Parameters
    ----------
    path
        ``.safetensors`` for a file of this plugin, which also holds the shape and the
        preprocessing; ``.pth`` for one laid out as ECGFounder's, which its authors' code loads.
    state_dict
        State of an encoder of the shape ``config``.
    config
        Its shape, such as a :class:`~selfmis_plugin.nn.net1d.Net1DConfig`.
    preprocessing
        How signals were prepared for it, where that is known.
    provenance
        The trainings that went into it; a file of ECGFounder's layout has no place for them.

    Raises
    ------
    ValueError
        If the path ends in neither, or in ``.pth`` for another encoder than a Net1D.
    CheckpointError
        If the state does not fit the shape.
    """
    path = Path(path)
    weights = EncoderWeights(
        config, dict(state_dict), None if preprocessing is None else dict(preprocessing), "encoder"
    )
    check_names("state dict", state_dict, config, weights.in_leads)
    if path.suffix == ".pth":
        if not isinstance(config, Net1DConfig):
            raise ValueError(f"{path}: ECGFounder's layout is of a Net1D: name the file {SUFFIX}")
        with whole_file(path) as temporary:
            torch.save({"state_dict": to_ecgfounder(state_dict, config)}, temporary)
        return
    if path.suffix != SUFFIX:
        raise ValueError(
            f"{path}: name the file {SUFFIX} for this plugin, or .pth for ECGFounder's layout"
        )
    further = {PROVENANCE: json.dumps(facts_values(provenance))} if provenance else {}
    write_own_file(path, weights, further)
