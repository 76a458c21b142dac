"""Weights of one encoder or network, and whether they fit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from selfmis_plugin.checkpoints.fitting import check_fit, fill, filled
from selfmis_plugin.checkpoints.reading import CheckpointError, some
from selfmis_plugin.checkpoints.tensors import part_of
from selfmis_plugin.nn.encoder import build_encoder

__all__ = [
    "EncoderWeights",
    "check_names",
    "checked",
    "fill",
    "filled",
    "finite",
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
        (a file of :func:`~selfmis_plugin.checkpoints.encoder_weights.save_encoder_weights`).
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
    try:
        plain = part_of(weights, "")
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}: copy or download it again") from error
    check_names(str(path), plain, config, leads)
    state = {
        name: (value.clone() if value is weights[name] else value).detach()
        for name, value in plain.items()
    }
    finite(path, state)
    return state


def check_names(source: str, weights: Mapping[str, Any], config: Any, leads: int) -> None:
    """Raise a CheckpointError, which names *source*, where the weights do not fit *config*."""
    check_fit(source, lambda: build_encoder(config, leads), weights, config)


def finite(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Raise a CheckpointError where a weight is NaN or infinite."""
    broken = [name for name, value in weights.items() if not torch.isfinite(value).all()]
    if broken:
        raise CheckpointError(
            f"{path}: NaN or Inf in {some(broken)}: the training diverged; take an earlier "
            "checkpoint"
        )
