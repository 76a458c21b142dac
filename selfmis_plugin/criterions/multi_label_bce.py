"""Binary cross-entropy of every statement, judged by macro AUC."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from selfmis_plugin import toolkit
from selfmis_plugin.criterions.split_criterion import SplitCriterion
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.evaluation.auc import auc_report

logger = logging.getLogger(__name__)


@dataclass
class MultiLabelBCEConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Keys of ``criterion: {_name: multi_label_bce}``."""


@toolkit.register_criterion("multi_label_bce", dataclass=MultiLabelBCEConfig)
class MultiLabelBCE(SplitCriterion):
    """Binary cross-entropy with logits, averaged over statements.

    Validation reports over the whole split: ``macro_auc`` over all statements, ``mi_auc`` over the
    nine infarction types, and ``auc_NAME`` of each. Statements without a positive (or without a
    negative) have no AUC: they are left out of the means and named in the log.
    """

    figure_names = ("macro_auc", "mi_auc")

    def __init__(self, cfg: MultiLabelBCEConfig, task: Any) -> None:
        super().__init__(task)
        self.labels: tuple[str, ...] = task.labels

    @classmethod
    def build_criterion(cls, cfg: MultiLabelBCEConfig, task: Any) -> MultiLabelBCE:
        """Build the criterion from its config."""
        return cls(cfg, task)

    def compute(self, model: Any, sample: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        """Return the loss summed over records and averaged over statements, and the logits."""
        logits = model(**sample["net_input"]).float()
        target = sample["target"].float()
        loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(1).sum()
        return loss, {"logits": logits, "target": target}

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
