"""Networks from this plugin's training checkpoints and ECGFounder's files, without a toolkit."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from selfmis_plugin import readers
from selfmis_plugin.checkpoints import (
    CheckpointError,
    EncoderWeights,
    ecgfounder_weights,
    read_checkpoint,
)
from selfmis_plugin.data.ecgfounder_classes import CLASSES, CLASSES_OF_STATEMENT
from selfmis_plugin.data.leads import reference_leads
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.nn.any_class import AnyClass
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.host_shape import HostShape
from selfmis_plugin.nn.net1d import Net1DConfig
from selfmis_plugin.nn.towers import TwoTowers


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


def load_trained(
    path: str | Path, labels: Sequence[str] | None = None, named: bool = True
) -> LoadedClassifier | LoadedTowers:
    """Read a training checkpoint of this plugin, of either host, or an ECGFounder file.

    Parameters
    ----------
    path
        A training checkpoint; ``1_lead_ECGFounder.pth`` or ``12_lead_ECGFounder.pth``, whose own
        head becomes a classifier of the statements that its classes name
        (:mod:`selfmis_plugin.data.ecgfounder_classes`); or what its authors' code saves after
        fine-tuning.
    labels
        What the outputs of a fine-tuned ECGFounder file's head mean, in their order; the file does
        not say it.
    named
        Whether the labels matter. Where they do not, the outputs of such a head are numbered.

    Checkpoints of other methods than SelfMIS are read by :mod:`selfmis_plugin.readers`.

    Raises
    ------
    CheckpointError
        If the file cannot be read, is neither, or its labels are not known.
    """
    file = Path(path)
    state = read_checkpoint(file)
    reader = readers.reader_of(state)
    if reader is not None:
        return reader(file, state)
    founder = ecgfounder_weights(file, state)
    if founder is not None:
        return _ecgfounder_classifier(file, founder, labels, named)
    if labels is not None:
        raise CheckpointError(
            f"{file} is no ECGFounder file, the only kind that does not hold the names of its "
            "labels: leave out the labels"
        )
    try:
        model: dict[str, Any] = state["cfg"]["model"]
        weights: dict[str, torch.Tensor] = state["model"]
        task: dict[str, Any] = state["task_state"]
        name = model["_name"]
        preprocessing = Preprocessing.from_dict(task["preprocessing"])
        standardize = bool(model.get("standardize_embeddings", False))
        config: Any = Net1DConfig.from_mapping(model, in_leads=len(preprocessing.leads))
        if "host_encoder" in task:
            config = HostShape(**task["host_encoder"])
            # It needs the toolkit, which takes seconds to import, and which nothing else here does.
            importlib.import_module("selfmis_plugin.toolkit.recipes")
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{file} is not a training checkpoint of this plugin ({error!r}), nor an ECGFounder "
            "file. Give the checkpoint_best.pt of a run"
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


def _ecgfounder_classifier(
    path: Path, founder: EncoderWeights, labels: Sequence[str] | None, named: bool
) -> LoadedClassifier:
    if founder.preprocessing is None or "leads" not in founder.preprocessing:
        raise CheckpointError(
            f"{path}: its encoder reads {founder.config.in_leads} leads, and only of 1 or 12 it is "
            "known which: it can be an encoder to train on, not a classifier as it is"
        )
    weight, bias = _dense(path, founder)
    classes = None
    if labels is None and len(bias) == CLASSES:
        names = tuple(CLASSES_OF_STATEMENT)
        used = sorted({number for members in CLASSES_OF_STATEMENT.values() for number in members})
        weight, bias = weight[used], bias[used]
        classes = tuple(
            tuple(used.index(number) for number in members)
            for members in CLASSES_OF_STATEMENT.values()
        )
        if named and not weight.any():
            raise CheckpointError(
                f"{path}: its head is all zeros, as in an encoder that this plugin saved in "
                "ECGFounder's layout: train one on it (selfmis_linear_probe)"
            )
    elif labels is None and not named:
        names = tuple(f"output {number}" for number in range(len(bias)))
    else:
        names = _checked_labels(path, tuple(labels or ()), len(bias))
    weights = {f"encoder.{name}": value for name, value in founder.state_dict.items()}
    return LoadedClassifier(
        path,
        founder.config,
        names,
        Preprocessing.from_dict(founder.preprocessing),
        standardize=False,
        weights={**weights, "head.weight": weight, "head.bias": bias},
        classes=classes,
    )


def _dense(path: Path, founder: EncoderWeights) -> tuple[torch.Tensor, torch.Tensor]:
    """The head of an ECGFounder file, float32 and independent of the file."""
    weight, bias = (founder.head.get(name) for name in ("weight", "bias"))
    if not isinstance(weight, torch.Tensor) or not isinstance(bias, torch.Tensor):
        raise CheckpointError(
            f"{path}: ECGFounder weights without a head (dense.weight, dense.bias): they are an "
            "encoder to train on, not a classifier; give the file as its authors publish it"
        )
    wanted = (len(bias) if bias.dim() == 1 else 0, founder.config.embedding_dim)
    if tuple(weight.shape) != wanted or not wanted[0]:
        raise CheckpointError(
            f"{path}: a head of shapes {tuple(weight.shape)} and {tuple(bias.shape)} does not fit "
            f"embeddings of {wanted[1]} values: copy or download it again"
        )
    head = weight.to(torch.float32, copy=True), bias.to(torch.float32, copy=True)
    if not all(bool(torch.isfinite(value).all()) for value in head):
        raise CheckpointError(
            f"{path}: NaN or Inf in its head: the training diverged; take an earlier checkpoint"
        )
    return head


def _checked_labels(path: Path, labels: tuple[str, ...], outputs: int) -> tuple[str, ...]:
    if len(labels) == outputs and len(set(labels)) == outputs:
        return labels
    if not labels:
        found = "the file does not name them"
    elif len(labels) != outputs:
        found = f"{len(labels)} were given ({', '.join(labels[:3])}{', ...' * (len(labels) > 3)})"
    else:
        twice = sorted({label for label in labels if labels.count(label) > 1})
        found = f"{', '.join(twice)} is given twice"
    raise CheckpointError(
        f"{path}: its head has {outputs} outputs, and {found}: give the {outputs} labels in the "
        "order of the outputs, as --labels NORM,IMI,... or --labels FILE with one a line"
    )


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
