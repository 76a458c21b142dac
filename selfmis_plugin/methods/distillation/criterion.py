"""Binary cross-entropy with a teacher's probabilities and, where they are known, the labels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from selfmis_plugin import toolkit
from selfmis_plugin.nn.losses.soft_targets import (
    EMBEDDING_LOSSES,
    embedding_loss,
    soft_target_loss,
)
from selfmis_plugin.probe.criterion import MultiLabelBCE, MultiLabelBCEConfig
from selfmis_plugin.training.contract import LabelTask

__all__ = ["SoftTargets", "SoftTargetsConfig"]


class _TaughtTask(LabelTask, Protocol):
    """A task of labels with teachers."""

    def wants_embeddings(self, teachers: bool) -> tuple[int, int]:
        """Return the number of teachers and the size of their embeddings; with *teachers* the
        batches have those embeddings from now on."""


@dataclass
class SoftTargetsConfig(MultiLabelBCEConfig):
    """Keys of ``criterion: {_name: soft_targets}``."""

    temperature: float = field(
        default=1.0,
        metadata={"help": "logits of both are divided by this; above 1: softer targets"},
    )
    hard_weight: float = field(
        default=0.5,
        metadata={
            "help": "weight of the labels where they are known, from 0 to 1; the rest is the "
            "teacher's, and all of it where they are not"
        },
    )
    embedding_weight: float = field(
        default=0.0,
        metadata={"help": "weight of the distance to the teacher's embedding; 0 leaves it out"},
    )
    embedding_loss: str = field(default="cosine", metadata={"help": "that distance: cosine or mse"})


@toolkit.register_criterion("soft_targets", dataclass=SoftTargetsConfig)
class SoftTargets(MultiLabelBCE):
    """Soft targets (Hinton et al., 2015) of a teacher that sees more leads.

    The loss of a labelled record is h hard + (1 - h) soft, of an unlabelled one soft, and of both
    w times the distance to the teacher's embedding more. Each teacher embeds in a space of its
    own, so a linear map a teacher, learnt here and kept in no student, stands before that distance.

    Validation is by the labels alone, as in
    :class:`~selfmis_plugin.probe.criterion.MultiLabelBCE`.
    """

    def __init__(self, cfg: SoftTargetsConfig, task: _TaughtTask) -> None:
        super().__init__(cfg, task)
        _check(cfg)
        self.temperature = float(cfg.temperature)
        self.hard_weight = float(cfg.hard_weight)
        self.embedding_weight = float(cfg.embedding_weight)
        self.embedding_kind = cfg.embedding_loss
        self.maps: nn.Parameter | None = None
        if self.embedding_weight:
            teachers, dim = task.wants_embeddings(True)
            own = int(task.embedding_dim or 0)
            # One tensor for all of them: each has a gradient in every batch, which the hosts'
            # distributed training expects.
            self.maps = nn.Parameter(torch.randn(teachers, own, dim) / math.sqrt(own))

    def compute(self, model: Any, sample: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        """Return the loss summed over records, and the logits with the labels that are known."""
        if not self.training:
            return super().compute(model, sample)
        signal = sample["net_input"]["signal"]
        if self.maps is None:
            logits = model(signal=signal)
            distance = torch.zeros(len(logits), device=logits.device)
        else:
            logits, embedding = model(signal=signal, with_embedding=True)
            own = self.maps.float()[sample["teacher"].long()]
            mapped = torch.einsum("be,bed->bd", embedding.float(), own)
            distance = embedding_loss(mapped, sample["taught_embedding"], self.embedding_kind)
        logits, target = logits.float(), sample["target"].float()
        soft = soft_target_loss(logits, sample["taught"], self.temperature)
        hard = self.each(logits, target).mean(1)
        weight = self.hard_weight * sample["labelled"].float()
        # Chosen and not multiplied: labels that are not known have no loss, whatever it is.
        known = torch.where(weight > 0, hard, torch.zeros_like(hard))
        loss = weight * known + (1 - weight) * soft + self.embedding_weight * distance
        total = loss.sum()
        if self.ridge:
            total = total + len(logits) * self.ridge_loss(model)
        return total, {"logits": logits, "target": target}


def _check(cfg: SoftTargetsConfig) -> None:
    if not (math.isfinite(cfg.temperature) and cfg.temperature > 0):
        raise ValueError(f"criterion.temperature={cfg.temperature} must be above 0")
    if not 0 <= cfg.hard_weight <= 1:
        raise ValueError(f"criterion.hard_weight={cfg.hard_weight} must be from 0 to 1")
    if not (math.isfinite(cfg.embedding_weight) and cfg.embedding_weight >= 0):
        raise ValueError(f"criterion.embedding_weight={cfg.embedding_weight} must not be below 0")
    if cfg.embedding_loss not in EMBEDDING_LOSSES:
        raise ValueError(
            f"criterion.embedding_loss={cfg.embedding_loss}: choose {' or '.join(EMBEDDING_LOSSES)}"
        )
