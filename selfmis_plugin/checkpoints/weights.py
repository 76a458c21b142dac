"""Weights of one encoder or network, and whether they fit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from selfmis_plugin.checkpoints.reading import CheckpointError, some
from selfmis_plugin.nn.net1d import Net1D, Net1DConfig

__all__ = [
    "EncoderWeights",
    "Tower",
    "check_leads",
    "check_names",
    "checked",
    "fill",
    "part_of",
]

Tower = Literal["single", "multi"]


@dataclass(frozen=True)
class EncoderWeights:
    """Weights of one encoder, with what is needed to use them.

    Attributes
    ----------
    config
        Shape of the network that the weights fit.
    state_dict
        Float32 tensors under the names of :class:`~selfmis_plugin.nn.net1d.Net1D`, independent of
        the file.
    preprocessing
        How signals were prepared for these weights; None where the file does not say.
    kind
        ``"ecgfounder"``, ``"selfmis"`` (pre-training), ``"selfmis_classifier"`` or ``"encoder"``
        (a file of :func:`~selfmis_plugin.checkpoints.save_encoder_weights`).
    head
        What an ECGFounder file has in its ``dense`` layer, ``weight`` and ``bias``, unchecked.
    """

    config: Net1DConfig
    state_dict: dict[str, Tensor]
    preprocessing: dict[str, Any] | None
    kind: str
    head: Mapping[str, Any] = field(default_factory=dict)


def checked(path: Path, weights: Mapping[str, Any], config: Net1DConfig) -> dict[str, Tensor]:
    """Return float32 copies of the weights of a Net1D, which hang on no file.

    Raises
    ------
    CheckpointError
        If they do not fit the shape *config*, or are not finite.
    """
    check_names(str(path), weights, config)
    state = {name: value.detach().to(torch.float32, copy=True) for name, value in weights.items()}
    broken = [name for name, value in state.items() if not torch.isfinite(value).all()]
    if broken:
        raise CheckpointError(
            f"{path}: NaN or Inf in {some(broken)}: the training diverged; take an earlier "
            "checkpoint"
        )
    return state


def check_names(source: str, weights: Mapping[str, Any], config: Net1DConfig) -> None:
    """Raise a CheckpointError, which names *source*, where the weights do not fit *config*."""
    with torch.device("meta"):
        wanted = {name: tensor.shape for name, tensor in Net1D(config).state_dict().items()}
    missing = [name for name in wanted if name not in weights]
    extra = [name for name in weights if name not in wanted]
    misshapen = [
        f"{name} {tuple(getattr(weights[name], 'shape', ()))} instead of {tuple(shape)}"
        for name, shape in wanted.items()
        if name in weights and getattr(weights[name], "shape", None) != shape
    ]
    complaints = [
        f"{what} {some(names)}"
        for what, names in (("missing", missing), ("unknown", extra), ("misshapen", misshapen))
        if names
    ]
    if complaints:
        raise CheckpointError(
            f"{source}: its weights do not make a Net1D of {config}: {'; '.join(complaints)}"
        )


def check_leads(path: Path, weights: EncoderWeights, tower: Tower) -> None:
    """Raise a CheckpointError where the weights do not read as many leads as the tower does."""
    leads = weights.config.in_leads
    if (leads == 1) != (tower == "single"):
        needed = "one lead" if tower == "single" else "several leads"
        raise CheckpointError(
            f"{path}: its encoder ({weights.kind}) reads {leads} lead{'s' if leads > 1 else ''}, "
            "and the "
            f"{tower}-lead tower needs weights for {needed}: give the other file, or the other "
            "tower"
        )


def part_of(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights below *prefix*, by the rest of their names, floating ones as float32."""
    return {
        key[len(prefix) :]: value.float() if value.is_floating_point() else value
        for key, value in weights.items()
        if key.startswith(prefix)
    }


def fill(network: torch.nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Load *weights*; raise a CheckpointError that names *path* where they do not fit."""
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit its own config: {error}") from error
