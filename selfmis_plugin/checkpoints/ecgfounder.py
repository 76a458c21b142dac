"""ECGFounder's layout of files: its weights under this plugin's names, and the other way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from selfmis_plugin.checkpoints.reading import CheckpointError, first_line
from selfmis_plugin.checkpoints.weights import EncoderWeights, check_names, checked, part_of
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.nn.net1d import Net1DConfig

__all__ = ["ecgfounder_weights", "to_ecgfounder"]

_FIRST = "first_conv.conv.weight"
_UNUSED = re.compile(r"(^|\.)(first_bn|bn[123])\.|^dense\.")
_STRIDE = 2


def _name_here(name: str) -> str:
    name = re.sub(r"^stage_list\.(\d+)\.block_list\.(\d+)\.", r"stages.\1.\2.", name)
    return re.sub(r"conv(\d?)\.conv\.", r"conv\1.", name)


def _name_there(name: str) -> str:
    name = re.sub(r"^stages\.(\d+)\.(\d+)\.", r"stage_list.\1.block_list.\2.", name)
    return re.sub(r"conv(\d?)\.(weight|bias)$", r"conv\1.conv.\2", name)


def _unused_norm(name: str, channels: int) -> dict[str, Tensor]:
    return {
        f"{name}.weight": torch.ones(channels),
        f"{name}.bias": torch.zeros(channels),
        f"{name}.running_mean": torch.zeros(channels),
        f"{name}.running_var": torch.ones(channels),
        f"{name}.num_batches_tracked": torch.tensor(0),
    }


def ecgfounder_weights(path: Path, payload: Mapping[str, Any]) -> EncoderWeights | None:
    """Weights of a file laid out as ECGFounder's, published or fine-tuned by its authors' code.

    Its batch norms, which the authors leave unused, are dropped. The shape of the network is read
    off the tensors, its stride is taken as 2.

    Parameters
    ----------
    path
        The file.
    payload
        What :func:`~selfmis_plugin.checkpoints.reading.read_checkpoint` found in it.

    Returns
    -------
    EncoderWeights or None
        With the ``dense`` layer as its head; None where the file is laid out in another way.

    Raises
    ------
    CheckpointError
        If its tensors make no network.
    """
    state = payload.get("state_dict", payload)
    if not isinstance(state, Mapping):
        return None
    state = {str(name).removeprefix("module."): value for name, value in state.items()}
    if _FIRST not in state:
        return None
    try:
        used = part_of({n: value for n, value in state.items() if not _UNUSED.search(n)}, "")
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}: copy or download it again") from error
    weights = {_name_here(name): value for name, value in used.items()}
    config = _config(path, weights)
    return EncoderWeights(
        config=config,
        state_dict=checked(path, weights, config, config.in_leads),
        preprocessing=_preprocessing(config.in_leads),
        kind="ecgfounder",
        head={
            name.removeprefix("dense."): value
            for name, value in state.items()
            if name in ("dense.weight", "dense.bias")
        },
    )


def _config(path: Path, weights: Mapping[str, Any]) -> Net1DConfig:
    """Shape of the network, read off its tensors (all but the stride, which leaves no trace in
    them)."""
    blocks: dict[int, int] = {}
    try:
        for name in weights:
            if found := re.match(r"stages\.(\d+)\.(\d+)\.", name):
                stage = int(found[1])
                blocks[stage] = max(blocks.get(stage, 0), int(found[2]) + 1)
        filters, widths = [], []
        for stage in range(len(blocks)):
            channels, middle = weights[f"stages.{stage}.0.conv3.weight"].shape[:2]
            width = weights[f"stages.{stage}.0.conv2.weight"].shape[1]
            filters.append(channels)
            # Inner channels over groups is the convolution's width; groups follow from the outer
            # channels.
            widths.append(channels * width // middle)
        first = weights["first_conv.weight"]
        ratio = weights["stages.0.0.conv3.weight"].shape[1] / filters[0]
        return Net1DConfig(
            base_filters=first.shape[0],
            filters=tuple(filters),
            blocks=tuple(blocks[stage] for stage in range(len(blocks))),
            kernel_size=first.shape[2],
            stride=_STRIDE,
            group_width=widths[0],
            ratio=ratio,
            in_leads=first.shape[1],
        )
    except (
        KeyError,
        IndexError,
        AttributeError,
        TypeError,
        ValueError,
        ZeroDivisionError,
    ) as error:
        raise CheckpointError(
            f"{path}: looks like ECGFounder weights, but its tensors do not make a network "
            f"({first_line(error)}): copy or download it again"
        ) from error


def _preprocessing(in_leads: int) -> dict[str, Any]:
    """What ECGFounder's authors did to a signal, and warn that its weights need."""
    preprocessing: dict[str, Any] = {
        "sample_rate": 500,
        "seconds": 10.0,
        # 50 Hz notch, 0.67-40 Hz band-pass, minus a 0.4 s median filter.
        "filter": "ecgfounder",
        "units": "uV",
        "normalisation": "zscore",
    }
    if in_leads in (1, len(STANDARD_LEADS)):
        preprocessing["leads"] = list(STANDARD_LEADS[:in_leads])
    return preprocessing


def to_ecgfounder(
    state_dict: Mapping[str, Tensor], config: Net1DConfig, classes: int = 150
) -> dict[str, Tensor]:
    """Weights of a :class:`~selfmis_plugin.nn.net1d.Net1D` as the state of ECGFounder's own
    module, complete: with the batch norms, which ``use_bn=False`` leaves unused, as they are
    initialised, and a ``dense`` head of zeros.

    Parameters
    ----------
    state_dict
        State of a network of shape ``config``.
    config
        Its shape.
    classes
        Outputs of the head.

    Returns
    -------
    dict
        Clones of the tensors, and the additional ones.

    Raises
    ------
    CheckpointError
        If the state does not fit the shape.
    """
    check_names("state dict", state_dict, config, config.in_leads)
    state = {_name_there(name): tensor.detach().clone() for name, tensor in state_dict.items()}
    state |= _unused_norm("first_bn", config.base_filters)
    channels = config.base_filters
    for stage, (filters, blocks) in enumerate(zip(config.filters, config.blocks, strict=True)):
        for block in range(blocks):
            name = f"stage_list.{stage}.block_list.{block}"
            state |= _unused_norm(f"{name}.bn1", channels)
            state |= _unused_norm(f"{name}.bn2", config.middle_channels(filters))
            state |= _unused_norm(f"{name}.bn3", config.middle_channels(filters))
            channels = filters
    state["dense.weight"] = torch.zeros(classes, channels)
    state["dense.bias"] = torch.zeros(classes)
    return state
