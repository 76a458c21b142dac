"""Networks from this plugin's training checkpoints, without a toolkit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from selfmis_plugin import readers
from selfmis_plugin.checkpoints import CheckpointError, read_checkpoint
from selfmis_plugin.data.leads import reference_leads
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.net1d import Net1DConfig
from selfmis_plugin.nn.towers import TwoTowers


@dataclass(frozen=True)
class LoadedClassifier:
    """A trained classifier: its labels, its preprocessing and its weights."""

    kind: ClassVar[str] = "classifier"
    path: Path
    config: Any
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    standardize: bool
    weights: dict[str, torch.Tensor]

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


def load_trained(path: str | Path) -> LoadedClassifier | LoadedTowers:
    """Read a training checkpoint of this plugin, of either host.

    Checkpoints of other methods than SelfMIS are read by :mod:`selfmis_plugin.readers`.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or is not a checkpoint of this plugin.
    """
    file = Path(path)
    state = read_checkpoint(file)
    reader = readers.reader_of(state)
    if reader is not None:
        return reader(file, state)
    try:
        model: dict[str, Any] = state["cfg"]["model"]
        weights: dict[str, torch.Tensor] = state["model"]
        task: dict[str, Any] = state["task_state"]
        name = model["_name"]
        preprocessing = Preprocessing.from_dict(task["preprocessing"])
        standardize = bool(model.get("standardize_embeddings", False))
        config = Net1DConfig.from_mapping(model, in_leads=len(preprocessing.leads))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{file} is not a training checkpoint of this plugin ({error!r}). Give the "
            "checkpoint_best.pt of a run"
        ) from error
    if name == "selfmis_classifier":
        return LoadedClassifier(
            file,
            config,
            tuple(task["labels"]),
            preprocessing,
            standardize,
            part_of(weights, "network."),
        )
    if name == "selfmis":
        return LoadedTowers(
            file,
            config,
            model["lead"],
            reference_leads(preprocessing.leads, model.get("multi_leads")),
            bool(state["cfg"]["task"].get("allow_absent_leads", False)),
            preprocessing,
            task.get("center"),
            part_of(weights, "towers."),
        )
    raise CheckpointError(f"{file} holds the model {name!r}, which is not one of this plugin")


def part_of(weights: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the weights below *prefix*, by the rest of their names, floating ones as float32."""
    return {
        key[len(prefix) :]: value.float() if value.is_floating_point() else value
        for key, value in weights.items()
        if key.startswith(prefix)
    }


def fill(network: torch.nn.Module, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Load *weights*; raise a CheckpointError that names *path* where they do not fit."""
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit its own config: {error}") from error
