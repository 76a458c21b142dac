"""Binary cross-entropy of every statement, judged by macro AUC."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import Any, Optional

import torch
import torch.nn.functional as F

from selfmis_plugin import toolkit
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.metrics.auc import auc_report
from selfmis_plugin.training.contract import LabelTask
from selfmis_plugin.training.split_criterion import SplitCriterion

logger = logging.getLogger(__name__)


@dataclass
class MultiLabelBCEConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Keys of ``criterion: {_name: multi_label_bce}``."""

    positive_weight_cap: Optional[float] = field(  # noqa: UP045  (read by omegaconf)
        default=None,
        metadata={
            "help": "weigh a statement's positives by its negatives over its positives among the "
            "training records, at most by this; default: no weights"
        },
    )
    ridge: float = field(
        default=0.0,
        metadata={
            "help": "a linear probe's ridge: half of this times the squares of a statement's "
            "weights beside its mean loss, whatever the optimizer; biases are free"
        },
    )


@toolkit.register_criterion("multi_label_bce", dataclass=MultiLabelBCEConfig)
class MultiLabelBCE(SplitCriterion):
    """Binary cross-entropy with logits, averaged over statements.

    With ``positive_weight_cap`` rare statements count more in training: the loss of a positive is
    multiplied by ``min(cap, negatives / positives)``, counted in the training manifest; where one
    of the two is missing, by the cap without positives, and by 1 without negatives. The loss of
    validation has no weights, so that it is one quantity whatever the cap. Weighted training
    moves probabilities up, not their order: the threshold of a weighted classifier is not 0.5.

    With ``ridge`` r, training adds r/2 times the squared weights of each statement in the head,
    averaged over statements: a probe whose optimum is that of a logistic regression with
    C = 1 / (r * records). An optimizer's weight decay is no substitute: it draws the biases, which
    say how rare a statement is, to zero too, so that the loss rises while it trains.

    Validation reports over the whole split: ``macro_auc`` over all statements, ``mi_auc`` over the
    nine infarction types, and ``auc_NAME`` of each. Statements without a positive (or without a
    negative) have no AUC: they are left out of the means and named in the log.
    """

    figure_names = ("macro_auc", "mi_auc")
    positive_weight: torch.Tensor | None

    def __init__(self, cfg: MultiLabelBCEConfig, task: LabelTask) -> None:
        super().__init__(task)
        self.labels: tuple[str, ...] = task.labels
        cap = cfg.positive_weight_cap
        if cap is not None and not (math.isfinite(cap) and cap > 0):
            raise ValueError(f"criterion.positive_weight_cap={cap} is not a number above zero")
        if not (math.isfinite(cfg.ridge) and cfg.ridge >= 0):
            raise ValueError(f"criterion.ridge={cfg.ridge} must not be below 0")
        self.ridge = float(cfg.ridge)
        weight = None if cap is None else _positive_weight(cap, task)
        self.register_buffer("positive_weight", weight, persistent=False)

    @classmethod
    def build_criterion(cls, cfg: MultiLabelBCEConfig, task: LabelTask) -> MultiLabelBCE:
        """Build the criterion from its config."""
        return cls(cfg, task)

    def compute(self, model: Any, sample: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        """Return the loss summed over records and averaged over statements, and the logits."""
        logits = model(**sample["net_input"]).float()
        target = sample["target"].float()
        loss = self.each(logits, target).mean(1).sum()
        if self.training and self.ridge:
            loss = loss + len(logits) * self.ridge_loss(model)
        return loss, {"logits": logits, "target": target}

    def ridge_loss(self, model: Any) -> torch.Tensor:
        """Return half the ridge times the squared weights of a statement, mean over statements."""
        while not hasattr(model, "head_weight"):
            model = model.module  # what trains on several devices wraps it
        weight: torch.Tensor = model.head_weight()
        return self.ridge / 2 * weight.float().square().sum(1).mean()

    def each(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss of each statement of each record, (batch, labels), weighted in
        training."""
        weight = self.positive_weight if self.training else None
        return F.binary_cross_entropy_with_logits(
            logits, target, pos_weight=None if weight is None else weight.float(), reduction="none"
        )

    def figures(self, collected: dict[str, torch.Tensor]) -> dict[str, float]:
        """Return the AUCs of the whole split."""
        report = auc_report(
            collected["target"].numpy(),
            collected["logits"].numpy(),
            self.labels,
            INFARCTION_TYPES,
        )
        if report.undefined:
            logger.info(
                "no AUC for %s: no record of the split has, or all have, the statement",
                ", ".join(report.undefined),
            )
        means = {"macro_auc": report.macro_auc, "mi_auc": report.mi_auc}
        figures = {name: math.nan if value is None else value for name, value in means.items()}
        return figures | {f"auc_{name}": value for name, value in report.per_label.items()}


def _weight(cap: float, positives: int, negatives: int) -> float:
    if not positives:
        return cap
    # Without a negative there is nothing to balance, and a weight of 0 would leave no loss at all.
    return min(cap, negatives / positives if negatives else 1.0)


def _positive_weight(cap: float, task: LabelTask) -> torch.Tensor:
    """Return the weight of each statement's positives, float32 (labels,), and log the counts."""
    counts = task.label_counts()
    records = counts.records
    positives = [counts.positives[name] for name in task.labels]
    weights = [_weight(cap, count, records - count) for count in positives]
    logger.info(
        "weights of positives, at most %g, from %d training records: %s",
        cap,
        records,
        ", ".join(
            f"{name} {weight:.3g} ({count} positives)"
            for name, weight, count in zip(task.labels, weights, positives, strict=True)
        ),
    )
    return torch.tensor(weights, dtype=torch.float32)
