"""Weights of one encoder or network, and whether they fit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from selfmis_plugin.checkpoints.reading import CheckpointError, some
from selfmis_plugin.nn.encoder import build_encoder

__all__ = [
    "EncoderWeights",
    "check_names",
    "checked",
    "fill",
    "part_of",
]


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

    config: Any
    state_dict: dict[str, Tensor]
    preprocessing: dict[str, Any] | None
    kind: str
    head: Mapping[str, Any] = field(default_factory=dict)

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the leads that it reads; none where the file does not say them."""
        return tuple((self.preprocessing or {}).get("leads") or ())

    @property
    def in_leads(self) -> int:
        """Number of leads that it reads; 0 where neither shape nor file says it."""
        return int(getattr(self.config, "in_leads", 0) or len(self.leads))


def checked(path: Path, weights: Mapping[str, Any], config: Any, leads: int) -> dict[str, Tensor]:
    """Return float32 copies of the weights of an encoder of *leads* leads, which hang on no file.

    Raises
    ------
    CheckpointError
        If they do not fit the shape *config*, or are not finite.
    """
    check_names(str(path), weights, config, leads)
    state = {
        name: value.detach().to(torch.float32, copy=True)
        if value.is_floating_point()
        else value.detach().clone()
        for name, value in weights.items()
    }
    broken = [name for name, value in state.items() if not torch.isfinite(value).all()]
    if broken:
        raise CheckpointError(
            f"{path}: NaN or Inf in {some(broken)}: the training diverged; take an earlier "
            "checkpoint"
        )
    return state


def check_names(source: str, weights: Mapping[str, Any], config: Any, leads: int) -> None:
    """Raise a CheckpointError, which names *source*, where the weights do not fit *config*."""
    with torch.device("meta"):
        network = build_encoder(config, leads)
        wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
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
            f"{source}: its weights do not make a {type(network).__name__} of {config}: "
            + "; ".join(complaints)
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
