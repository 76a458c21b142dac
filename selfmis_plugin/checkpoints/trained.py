"""What was trained, as a checkpoint tells it: shape, labels or leads, preprocessing and weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from selfmis_plugin.checkpoints import CheckpointError, fill
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.selfmis.towers import TwoTowers
from selfmis_plugin.nn.any_class import AnyClass
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.net1d import Net1DConfig

__all__ = ["LoadedClassifier", "LoadedTowers", "not_whole"]


@dataclass(frozen=True)
class LoadedClassifier:
    """A trained classifier: its labels, its preprocessing and its weights.

    ``classes`` tells which outputs of the head make each label, where a label is not one output.
    """

    kind: ClassVar[str] = "classifier"
    path: Path
    config: Any
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    standardize: bool
    weights: dict[str, torch.Tensor]
    classes: tuple[tuple[int, ...], ...] | None = None

    @property
    def required_leads(self) -> tuple[str, ...]:
        """Leads that a record must have."""
        return self.preprocessing.leads

    def network(self, store_rate: float) -> EncoderClassifier:
        """Return the network, float32, for signals of *store_rate* Hz."""
        leads = self.preprocessing.leads
        network = EncoderClassifier(
            self.config,
            labels=len(self.labels),
            leads=leads,
            input_leads=leads,
            store_rate=store_rate,
            sample_rate=self.preprocessing.sample_rate,
            standardize=self.standardize,
        )
        if self.classes is not None:
            network.head = AnyClass(network.encoder.embedding_dim, self.classes)
        fill(network, self.weights, self.path)
        return network


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

    @property
    def required_leads(self) -> tuple[str, ...]:
        """Leads that a record must have; others may be absent if they were in training."""
        return (self.lead,) if self.allow_absent_leads else self.preprocessing.leads

    def network(self, store_rate: float) -> TwoTowers:
        """Return the towers, float32, for signals of *store_rate* Hz."""
        towers = TwoTowers(
            self.config,
            leads=self.preprocessing.leads,
            lead=self.lead,
            store_rate=store_rate,
            sample_rate=self.preprocessing.sample_rate,
            multi_leads=self.multi_leads,
        )
        fill(towers, self.weights, self.path)
        return towers


def not_whole(file: Path, error: Exception) -> CheckpointError:
    """Return the error for a training checkpoint that lacks what *error* says."""
    return CheckpointError(
        f"{file} is not a whole training checkpoint ({error!r}). Give the checkpoint_best.pt of a "
        "run"
    )
