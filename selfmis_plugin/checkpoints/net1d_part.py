"""A Net1D out of a training checkpoint of this plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from selfmis_plugin.checkpoints.reading import CheckpointError, mapping, not_whole
from selfmis_plugin.checkpoints.weights import EncoderWeights, checked, part_of
from selfmis_plugin.nn.net1d import Net1DConfig

__all__ = ["net1d_part"]


def net1d_part(
    path: Path,
    payload: Mapping[str, Any],
    prefix: str,
    kind: str,
    leads: Sequence[str] | None = None,
) -> EncoderWeights:
    """Return the Net1D whose weights lie below *prefix* in a training checkpoint.

    Parameters
    ----------
    path, payload
        The file, and what it holds.
    prefix
        What the names of its weights begin with.
    kind
        The model's registered name.
    leads
        Leads that it reads, if not all of those that were prepared.

    Raises
    ------
    CheckpointError
        If there is none, or it does not fit the config that the file holds.
    """
    try:
        weights = part_of(mapping(payload.get("model")), prefix)
    except ValueError as error:
        raise not_whole(path, error) from error
    first = weights.get("first_conv.weight")
    if not isinstance(first, Tensor) or first.dim() != 3:
        raise CheckpointError(f"{path}: {prefix}first_conv.weight is missing or misshapen")
    try:
        model = mapping(mapping(payload.get("cfg")).get("model"))
        config = Net1DConfig.from_mapping(model, in_leads=first.shape[1])
    except KeyError as error:
        raise CheckpointError(
            f"{path}: its configuration (cfg.model) does not give {error.args[0]}: it is not a "
            "checkpoint of this plugin, or was edited"
        ) from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: its configuration (cfg.model) is not usable: {error}"
        ) from error
    preprocessing = dict(mapping(mapping(payload.get("task_state")).get("preprocessing")))
    if preprocessing and leads is not None:
        preprocessing["leads"] = list(leads)
    return EncoderWeights(
        config=config,
        state_dict=checked(path, weights, config, config.in_leads),
        preprocessing=preprocessing or None,
        kind=kind,
    )
