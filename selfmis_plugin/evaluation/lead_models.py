"""Models that embed every lead of a record by itself, whatever their method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.contract import EmbedsLeads, LeadNetwork, MakesLeads, require
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.data.splits import Split
from selfmis_plugin.evaluation.evaluate import fitting_split, outputs, refuse_other_data
from selfmis_plugin.metrics.beats import r_peaks, shift_peaks

__all__ = [
    "LeadModel",
    "LeadNetwork",
    "embed_beats",
    "embed_leads",
    "open_lead_maker",
    "open_lead_model",
    "prepared_signals",
    "synthesise",
    "untrained_network",
]

Floats = npt.NDArray[np.float32]

#: Seconds of a beat that is embedded by itself, before its R peak and in all; windows at once.
BEAT_START, BEAT_WINDOW, _BEATS = 0.25, 0.75, 1024


@dataclass(frozen=True)
class LeadModel:
    """A trained model of every lead by itself.

    Attributes
    ----------
    trained
        What :func:`selfmis_plugin.load_trained` read.
    network
        Returns the network, a torch module that does what was asked for of a
        :class:`~selfmis_plugin.checkpoints.contract.LeadNetwork`, for signals of a store's rate.
    """

    trained: EmbedsLeads | MakesLeads
    network: Callable[[float], Any]

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the leads, in the network's order."""
        return self.trained.leads

    @property
    def sample_rate(self) -> float:
        """Samples a second of what the network reads and makes."""
        return self.trained.preprocessing.sample_rate

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
    """Read the checkpoint of a model that embeds every lead by itself.

    Raises
    ------
    CheckpointError
        If it cannot be read, or its model has one embedding a record.
    """
    trained = require(load_trained(checkpoint), EmbedsLeads, *_instead("no embedding of each lead"))
    return LeadModel(trained, trained.lead_network)


def open_lead_maker(checkpoint: str | Path) -> LeadModel:
    """Read the checkpoint of a model that makes the leads of a record from one.

    Raises
    ------
    CheckpointError
        If it cannot be read, or its model makes none.
    """
    trained = require(load_trained(checkpoint), MakesLeads, *_instead("no decoder of leads"))
    return LeadModel(trained, trained.lead_maker)


def untrained_network(model: LeadModel, store_rate: float, seed: int = 0) -> Any:
    """Return the network of a model that embeds leads with the weights that a training of that
    seed starts from."""
    trained = require(model.trained, EmbedsLeads, *_instead("no embedding of each lead"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return trained.untrained(store_rate)


def _instead(lacking: str) -> tuple[str, str]:
    return f"has {lacking}", "give the checkpoint of a method that has"


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


def embed_beats(network: nn.Module, part: Split, lead: str, position: int) -> Floats:
    """Embed the beats of one lead and average them.

    A window of 0.75 s is embedded for each R peak, from 0.25 s before it. Unlike the embedding of
    a whole record, which hears mostly how fast the heart beats and when, this one is of the shape
    of a beat.

    Parameters
    ----------
    network
        A :class:`LeadNetwork`; 0.75 s must be a whole number of its patches.
    part
        The split.
    lead, position
        Name of the lead, and its place among the network's.

    Returns
    -------
    numpy.ndarray
        float32 (records, dimensions); zeros for a record without a whole beat.

    Raises
    ------
    ValueError
        If no record has one.
    """
    rate = part.store.info.sample_rate
    signals = part.store.read(part.rows, [lead])[:, 0]
    before, length = round(BEAT_START * rate), round(BEAT_WINDOW * rate)
    starts = [found - before for found in shift_peaks(r_peaks(signals, rate)[1], rate)]
    whole = [found[(found >= 0) & (found + length <= signals.shape[1])] for found in starts]
    counts = np.array([len(found) for found in whole])
    if not counts.any():
        raise ValueError(f"{part.manifest}: no beat is found in lead {lead} of any record")
    record = np.repeat(np.arange(len(signals)), counts)
    windows = signals[record[:, None], np.concatenate(whole)[:, None] + np.arange(length)]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device).eval()
    with torch.inference_mode():
        rows = [
            network.embed(raw.to(device), [position])[:, 0].float().cpu()  # type: ignore[operator]
            for raw in torch.from_numpy(windows)[:, None].split(_BEATS)
        ]
    embeddings = torch.cat(rows).numpy()
    total = np.zeros((len(signals), embeddings.shape[1]), dtype=np.float32)
    np.add.at(total, record, embeddings)
    mean: Floats = total / np.maximum(1, counts)[:, None].astype(np.float32)
    return mean


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
