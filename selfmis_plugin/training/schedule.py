"""Cosine annealing over the epochs of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, List  # noqa: UP035  (older omegaconf reads only typing.List)

from omegaconf import II

from selfmis_plugin import toolkit
from selfmis_plugin.training import plan as training_plan


@dataclass
class CosineEpochsConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Keys of ``lr_scheduler: {_name: cosine_epochs}``."""

    warmup_updates: int = field(
        default=0, metadata={"help": "updates over which the rate first rises from 0"}
    )
    min_lr: float = field(default=0.0, metadata={"help": "learning rate at the end of the run"})
    lr: List[float] = II("optimization.lr")  # noqa: UP006
    max_epoch: int = II("optimization.max_epoch")
    max_update: int = II("optimization.max_update")
    update_freq: List[int] = II("optimization.update_freq")  # noqa: UP006


@toolkit.register_lr_scheduler("cosine_epochs", dataclass=CosineEpochsConfig)
class CosineEpochs(toolkit.BaseLRScheduler):  # type: ignore[misc, name-defined]
    """Anneal the learning rate from ``lr`` to ``min_lr`` over ``optimization.max_epoch`` epochs.

    fairseq's own ``cosine`` wants the number of updates written down and fairseq-signals has
    none; this one counts the batches of the training data, and so serves both hosts with one
    config. SelfMIS paper, tables 7 and 8 (``Cosine``).

    Raises
    ------
    ValueError
        If ``optimization.max_epoch`` is not set, or the rates do not fit together.
    """

    def __init__(self, cfg: CosineEpochsConfig, optimizer: Any) -> None:
        super().__init__(cfg, optimizer)
        if cfg.max_epoch < 1:
            raise ValueError(
                "the schedule cosine_epochs needs the number of epochs: set optimization.max_epoch"
            )
        self.max_lr = float(cfg.lr[0])
        if not 0 <= cfg.min_lr <= self.max_lr:
            raise ValueError(
                f"lr_scheduler.min_lr={cfg.min_lr} must lie between 0 and "
                f"optimization.lr={self.max_lr}"
            )
        self.lr = self._rate(0)
        self.optimizer.set_lr(self.lr)

    def step_update(self, num_updates: int) -> float:
        """Set and return the learning rate for the update after *num_updates* updates."""
        self.lr = self._rate(num_updates)
        self.optimizer.set_lr(self.lr)
        return self.lr

    def _rate(self, num_updates: int) -> float:
        cfg = self.cfg
        if num_updates < cfg.warmup_updates:
            return self.max_lr * (num_updates + 1) / (cfg.warmup_updates + 1)
        total = training_plan.total_updates(cfg.max_epoch, cfg.update_freq, cfg.max_update)
        if total is None:
            # The hosts ask before the first batch exists; they ask again before the first update.
            return self.max_lr
        period = max(1, total - cfg.warmup_updates)
        progress = min(1.0, (num_updates - cfg.warmup_updates) / period)
        return cfg.min_lr + (self.max_lr - cfg.min_lr) * (1 + math.cos(math.pi * progress)) / 2
