"""Models that embed every lead of a record by itself, whatever their method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.data.splits import Split
from selfmis_plugin.evaluation.evaluate import fitting_split, outputs, refuse_other_data
from selfmis_plugin.loading import load_trained

__all__ = [
    "LeadModel",
    "LeadNetwork",
    "embed_leads",
    "open_lead_model",
    "prepared_signals",
    "synthesise",
]

Floats = npt.NDArray[np.float32]


class LeadNetwork(Protocol):
    """What a network must do to be asked about its leads.

    Signals are raw microvolts of a store. A method whose networks do adds what reads its
    checkpoints to :mod:`selfmis_plugin.readers`: with ``leads``, and with ``model`` and
    ``untrained``, which return the network for a store's rate.
    """

    def prepare(self, signals: Tensor) -> Tensor:
        """Bring each lead, (batch, leads, samples), to the network's rate and to unit deviation."""

    def embed(self, signals: Tensor, leads: Sequence[int] | None = None) -> Tensor:
        """Embed leads, (batch, leads, samples) to (batch, leads, dimensions)."""

    def decode_from(self, signals: Tensor, lead: int) -> Tensor:
        """Make all leads of one, (batch, samples) to (batch, leads, samples), as prepared."""


@dataclass(frozen=True)
class LeadModel:
    """A trained model that embeds every lead.

    Attributes
    ----------
    trained
        What :func:`~selfmis_plugin.loading.load_trained` read.
    leads
        Names of the leads, in the network's order.
    sample_rate
        Samples a second of what the network decodes.
    """

    trained: Any
    leads: tuple[str, ...]
    sample_rate: float

    def network(self, store_rate: float) -> Any:
        """Return the network, a torch module and :class:`LeadNetwork`, for signals of a store."""
        return self.trained.model(store_rate)

    def untrained(self, store_rate: float, seed: int = 0) -> Any:
        """Return the same network with the weights that a training of that seed starts from."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.trained.untrained(store_rate)

    def check(self, part: Split, leads: Sequence[str]) -> None:
        """Refuse a split that was prepared otherwise, or lacks one of some of the leads.

        Raises
        ------
        CheckpointError, StoreError
            As :func:`~selfmis_plugin.evaluation.evaluate.fitting_split`.
        """
        refuse_other_data(self.trained.path, self.trained.preprocessing, part)
        part.require_leads(leads)

    def split(self, data: str | Path, split: str) -> Split:
        """Open a split that has all of the model's leads, prepared as they were in training."""
        return fitting_split(self.trained, data, split)

    def position(self, lead: str) -> int:
        """Return the place of a lead among the model's.

        Raises
        ------
        CheckpointError
            If the model does not have it.
        """
        if lead not in self.leads:
            raise CheckpointError(
                f"{self.trained.path} embeds no lead {lead}; it has {', '.join(self.leads)}"
            )
        return self.leads.index(lead)


def open_lead_model(checkpoint: str | Path) -> LeadModel:
    """Read the checkpoint of a model that embeds every lead, such as ``modally_reduced``'s.

    Raises
    ------
    CheckpointError
        If it cannot be read, or its model has one embedding a record.
    """
    trained: Any = load_trained(checkpoint)
    if not all(hasattr(trained, name) for name in ("leads", "model", "untrained")):
        raise CheckpointError(
            f"{checkpoint} has no embedding of each lead: give the checkpoint of a method that "
            "has, such as modally_reduced"
        )
    return LeadModel(trained, tuple(trained.leads), trained.preprocessing.sample_rate)


def embed_leads(
    network: nn.Module,
    part: Split,
    leads: Sequence[str],
    positions: Sequence[int] | None = None,
    batch_size: int = 128,
) -> Floats:
    """Embed leads of every record of a split.

    Parameters
    ----------
    network
        A :class:`LeadNetwork`.
    part
        The split.
    leads
        Names of the leads to embed.
    positions
        Their places among the network's; None: they are all of them.
    batch_size
        Records computed at once.

    Returns
    -------
    numpy.ndarray
        float32 (records, leads, dimensions).
    """
    return _collect(lambda raw: network.embed(raw, positions), network, part, leads, batch_size)  # type: ignore[operator]


def prepared_signals(
    network: nn.Module, part: Split, leads: Sequence[str], batch_size: int = 128
) -> Floats:
    """Return the signals of a split as the network decodes them, float32 (records, leads,
    samples)."""
    return _collect(network.prepare, network, part, leads, batch_size)  # type: ignore[arg-type]


def synthesise(
    network: nn.Module, part: Split, lead: str, position: int, batch_size: int = 128
) -> Floats:
    """Make all leads of every record from one, float32 (records, leads, samples)."""
    return _collect(
        lambda raw: network.decode_from(raw[:, 0], position),  # type: ignore[operator]
        network,
        part,
        [lead],
        batch_size,
    )


def _collect(
    compute: Callable[[Tensor], Tensor],
    network: nn.Module,
    part: Split,
    leads: Sequence[str],
    batch_size: int,
) -> Floats:
    rows = list(outputs(compute, network, part, leads, batch_size))
    values: Floats = torch.cat([row.float().cpu() for row in rows]).numpy()
    return values
