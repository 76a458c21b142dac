"""A trained classifier, whatever its encoder, and a pre-trained encoder that stands alone."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from selfmis_plugin.checkpoints.contract import Wanted, one_view
from selfmis_plugin.checkpoints.reading import CheckpointError, not_whole
from selfmis_plugin.checkpoints.weights import (
    EncoderWeights,
    check_fit,
    checked,
    filled,
    finite,
    part_of,
)
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.nn.any_class import AnyClass
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.embedder import Embedder
from selfmis_plugin.nn.encoder import build_encoder, build_input, is_portable
from selfmis_plugin.utils.fields import FieldError, Fields, shown

__all__ = ["LoadedClassifier", "LoadedEncoder", "described", "measured"]

#: What the only encoder of a file is called.
ENCODER = "encoder"


class _OneEncoder:
    """What has one encoder, over the leads of its preprocessing."""

    path: Path
    preprocessing: Preprocessing

    @property
    def required_leads(self) -> tuple[str, ...]:
        """Leads that a record must have."""
        return self.preprocessing.leads

    @property
    def views(self) -> tuple[str, ...]:
        """Name of its one embedding."""
        return (ENCODER,)

    encoder_views = views

    def _refuse_others(self, wanted: Wanted) -> None:
        one_view(self.path, self.encoder_views, wanted)
        has = self.preprocessing.leads
        # That it was trained on another channel is for who uses it to judge; see encoder_config.
        if wanted.leads is not None and len(wanted.leads) != len(has):
            raise CheckpointError(
                f"{self.path} has an encoder of lead {', '.join(has)}, and one of lead "
                f"{', '.join(wanted.leads)} is needed: choose the leads with task.leads, or give "
                "another file"
            )


@dataclass(frozen=True)
class LoadedClassifier(_OneEncoder):
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

    def __post_init__(self) -> None:
        """Refuse weights that are not those of the network.

        Raises
        ------
        CheckpointError
            If they do not fit, or are not finite. Where a toolkit builds the encoder, which takes
            seconds and may not be here, :meth:`network` says the first.
        """
        if is_portable(self.config):
            rate = self.preprocessing.sample_rate
            check_fit(self.path, lambda: self._build(rate), self.weights, self.config)
        finite(self.path, self.weights)

    def network(self, store_rate: float) -> EncoderClassifier:
        """Return the network, float32, in evaluation mode, for signals of *store_rate* Hz."""
        network: EncoderClassifier = filled(
            self.path, lambda: self._build(store_rate), self.weights, self.config
        )
        return network

    def _build(self, store_rate: float) -> EncoderClassifier:
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
        return network

    def embedder(self, store_rate: float, view: str = ENCODER) -> nn.Module:
        """Return its encoder from raw signals to embeddings."""
        network = self.network(store_rate)
        return Embedder(network.input, network.encoder).eval()

    def encoder(self, wanted: Wanted) -> EncoderWeights:
        """Return its encoder.

        Raises
        ------
        CheckpointError
            If another one is wanted.
        """
        self._refuse_others(wanted)
        return EncoderWeights(
            self.config,
            part_of(self.weights, "encoder."),
            self.preprocessing.to_dict(),
            self.kind,
        )


@dataclass(frozen=True)
class LoadedEncoder(_OneEncoder):
    """An encoder that a pre-training has left: all that most methods need of their reader.

    Attributes
    ----------
    path
        The file.
    kind
        What it is, in one word for reports.
    config
        Shape of the encoder, of a registered class.
    preprocessing
        How the records were prepared that it reads, with its leads.
    weights
        Its state dict.
    validation
        What its training measured last, by name.
    """

    path: Path
    kind: str
    config: Any
    preprocessing: Preprocessing
    weights: dict[str, torch.Tensor]
    validation: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_training(
        cls, path: Path, payload: Mapping[str, Any], config: Any, prefix: str
    ) -> LoadedEncoder:
        """Take it out of a training checkpoint of a task over a store.

        Parameters
        ----------
        path, payload
            The file, and what it holds.
        config
            Shape of the encoder.
        prefix
            What the names of its weights begin with in the model.

        Raises
        ------
        CheckpointError
            If the file is not whole, or the weights do not fit the shape.
        """
        try:
            task = Fields(payload["task_state"], "task_state")
            preprocessing = Preprocessing.from_dict(task["preprocessing"])
            weights = part_of(payload["model"], prefix)
            kind = Fields(payload["cfg"], "cfg").part("model").text("_name")
            validation = measured(task)
        except (KeyError, TypeError, ValueError) as error:
            raise not_whole(path, error) from error
        weights = checked(path, weights, config, len(preprocessing.leads))
        return cls(path, kind, config, preprocessing, weights, validation)

    def embedder(self, store_rate: float, view: str = ENCODER) -> nn.Module:
        """Return the encoder from raw signals of *store_rate* Hz to embeddings (batch, dim)."""
        leads, rate = self.preprocessing.leads, self.preprocessing.sample_rate
        encoder = filled(
            self.path, lambda: build_encoder(self.config, len(leads)), self.weights, self.config
        )
        return Embedder(build_input(self.config, leads, store_rate, rate), encoder).eval()

    def encoder(self, wanted: Wanted) -> EncoderWeights:
        """Return it with what is needed to use it.

        Raises
        ------
        CheckpointError
            If another one is wanted.
        """
        self._refuse_others(wanted)
        return EncoderWeights(self.config, self.weights, self.preprocessing.to_dict(), self.kind)


def described(payload: Mapping[str, Any]) -> tuple[Fields, Fields, Preprocessing]:
    """Return what a checkpoint of a task over a store says: the model's config, the task's state,
    and how records were prepared.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it lacks one of them, or one is of another kind.
    """
    model = Fields(payload["cfg"], "cfg").part("model")
    task = Fields(payload["task_state"], "task_state")
    return model, task, Preprocessing.from_dict(task["preprocessing"])


def measured(task_state: Fields) -> dict[str, float]:
    """Return what a training measured last, by name.

    Raises
    ------
    FieldError
        If it is no table of numbers.
    """
    found = Fields(task_state.get("validation") or {}, task_state.named("validation"))
    for name, value in found.items():
        # NaN is what a diverged training measures.
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise FieldError(f"{found.named(name)} must be a number, not {shown(value)}")
    return {str(name): float(value) for name, value in found.items()}
