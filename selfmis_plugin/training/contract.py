"""How a task over a store, its model and its criterion meet.

The hosts hand each other over without saying what they are. What one needs of another here is
written down as protocols; a method of one's own fulfils those that it has a use for.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from selfmis_plugin.checkpoints.facts import LabelCounts
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.store import Store

__all__ = [
    "EmbedsForLoss",
    "FollowsEpochs",
    "KeepsEmbeddings",
    "LabelTask",
    "RecordTask",
    "SplitFigures",
    "StartsFromWeights",
    "frozen_encoder_of",
]


class RecordTask(Protocol):
    """What a model and a criterion may ask of a task over a store."""

    @property
    def cfg(self) -> Any:
        """The task's config."""

    @property
    def store(self) -> Store:
        """The store of the training split."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How the records are prepared when an encoder sees them."""

    @property
    def embedding_dim(self) -> int | None:
        """Size of the model's embeddings, once it is built and if it says it."""


class LabelTask(RecordTask, Protocol):
    """A task of which statements are learnt."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Statements, in the order of the outputs."""

    def label_counts(self) -> LabelCounts:
        """Return how many training records have each of them."""


@runtime_checkable
class EmbedsForLoss(Protocol):
    """A model that says how large its embeddings are, before the criterion is built."""

    @property
    def embedding_dim(self) -> int:
        """Size of an embedding."""


@runtime_checkable
class KeepsEmbeddings(Protocol):
    """A model with an encoder that may be frozen, so that what it says of a record can be kept."""

    def frozen_encoder(self) -> Any:
        """Return the encoder behind :meth:`embed_frozen`, a module with ``config`` and
        ``embedding_dim``; None if it is trained."""

    def frozen_leads(self) -> tuple[str, ...]:
        """Return the leads that it sees."""

    def embed_frozen(self, signal: torch.Tensor) -> torch.Tensor:
        """Embed raw signals of the task's leads, (batch, leads, samples) to (batch, embedding)."""

    def input_with_embeddings(self) -> tuple[str, tuple[str, ...]]:
        """Return what the model's forward calls kept embeddings, and the leads that it needs
        beside them."""


@runtime_checkable
class StartsFromWeights(Protocol):
    """A model class part of which is not trained, and is to start from weights."""

    def check_start(self, cfg: Any) -> None:
        """Refuse, or warn of, a config that would leave that part random. A class method, called
        where no checkpoint of the whole model fills it."""


class SplitFigures(Protocol):
    """A criterion whose validation figures are of a whole split."""

    def reset_validation(self) -> None:
        """Forget what has been collected."""

    def validation_metrics(self) -> dict[str, float]:
        """Return the figures of what has been collected."""


@runtime_checkable
class FollowsEpochs(Protocol):
    """A criterion that changes with the epochs."""

    def begin_epoch(self, epoch: int) -> None:
        """Take the number of an epoch, counted from 1; it is said after a resume too."""


def frozen_encoder_of(model: Any) -> nn.Module | None:
    """Return a model's frozen encoder; None where it has none."""
    encoder: nn.Module | None = (
        model.frozen_encoder() if isinstance(model, KeepsEmbeddings) else None
    )
    return encoder
