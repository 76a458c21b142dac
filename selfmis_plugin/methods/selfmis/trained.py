"""Trained towers, as a checkpoint tells them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from selfmis_plugin.checkpoints.contract import Wanted, one_view
from selfmis_plugin.checkpoints.reading import CheckpointError
from selfmis_plugin.checkpoints.weights import (
    EncoderWeights,
    check_fit,
    filled,
    finite,
    part_of,
)
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.selfmis.towers import TwoTowers
from selfmis_plugin.nn.net1d import Net1DConfig

__all__ = ["LoadedTowers"]

SINGLE, MULTI = "single", "multi"


class _Single(nn.Module):
    """The single-lead tower over records of all leads."""

    def __init__(self, towers: TwoTowers) -> None:
        super().__init__()
        self.towers = towers

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        row = self.towers.lead_row
        return self.towers.embed_single(signal[:, row : row + 1])


class _Multi(nn.Module):
    """The multi-lead tower, centred as the loss compared it."""

    def __init__(self, towers: TwoTowers, center: torch.Tensor | None) -> None:
        super().__init__()
        self.towers = towers
        self.center: torch.Tensor | None
        self.register_buffer("center", center)

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        embedding = self.towers.embed_multi(signal).float()
        return embedding if self.center is None else embedding - self.center


@dataclass(frozen=True)
class LoadedTowers:
    """Trained towers: their leads, the preprocessing, the weights, and the mean multi-lead
    embedding where the loss subtracted it."""

    kind: ClassVar[str] = "towers"
    path: Path
    config: Net1DConfig
    lead: str
    multi_leads: tuple[str, ...]
    allow_absent_leads: bool
    preprocessing: Preprocessing
    center: torch.Tensor | None
    weights: dict[str, torch.Tensor]

    def __post_init__(self) -> None:
        """Refuse weights that are not those of the towers.

        Raises
        ------
        CheckpointError
            If they, or the centre, do not fit, or are not finite.
        """
        rate = self.preprocessing.sample_rate
        check_fit(self.path, lambda: self._build(rate), self.weights, self.config)
        finite(self.path, self.weights)
        if self.center is None:
            return
        size = tuple(getattr(self.center, "shape", ()))
        if not isinstance(self.center, torch.Tensor) or size != (self.config.embedding_dim,):
            raise CheckpointError(
                f"{self.path}: task_state.center has the shape {size} instead of "
                f"{(self.config.embedding_dim,)}: copy or download it again"
            )
        finite(self.path, {"task_state.center": self.center})

    @property
    def required_leads(self) -> tuple[str, ...]:
        """Leads that a record must have; others may be absent if they were in training."""
        return (self.lead,) if self.allow_absent_leads else self.preprocessing.leads

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the towers."""
        return SINGLE, MULTI

    encoder_views = views

    def pair_network(self, store_rate: float) -> TwoTowers:
        """Return the towers, float32, for signals of *store_rate* Hz."""
        towers: TwoTowers = filled(
            self.path, lambda: self._build(store_rate), self.weights, self.config
        )
        return towers

    def _build(self, store_rate: float) -> TwoTowers:
        return TwoTowers(
            self.config,
            leads=self.preprocessing.leads,
            lead=self.lead,
            store_rate=store_rate,
            sample_rate=self.preprocessing.sample_rate,
            multi_leads=self.multi_leads,
        )

    #: As version 0.1 called it.
    network = pair_network

    def embedder(self, store_rate: float, view: str = SINGLE) -> nn.Module:
        """Return one tower over records of all leads; the multi-lead one is centred."""
        towers = self.pair_network(store_rate)
        return (_Single(towers) if view == SINGLE else _Multi(towers, self.center)).eval()

    def encoder(self, wanted: Wanted) -> EncoderWeights:
        """Return one tower's encoder: the wanted one, the single-lead one where it is left open.

        Raises
        ------
        CheckpointError
            If there is no such tower.
        """
        view = one_view(self.path, self.views, replace(wanted, view=tower_view(wanted)))
        leads = (self.lead,) if view == SINGLE else self.multi_leads
        return EncoderWeights(
            replace(self.config, in_leads=len(leads)),
            part_of(self.weights, f"{view}."),
            replace(self.preprocessing, leads=leads).to_dict(),
            "selfmis",
        )


def tower_view(wanted: Wanted) -> str:
    """Return the view of two towers that is wanted: of several leads the multi-lead one."""
    several = wanted.leads is not None and len(wanted.leads) > 1
    return wanted.view or wanted.tower or (MULTI if several else SINGLE)
