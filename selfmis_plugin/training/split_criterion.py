"""A criterion whose validation figures are of a whole split, not of its batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch

from selfmis_plugin import toolkit
from selfmis_plugin.training.collector import SplitCollector
from selfmis_plugin.training.contract import RecordTask


class SplitCriterion(toolkit.BaseCriterion, ABC):  # type: ignore[misc, name-defined]
    """Base of the plugin's criteria.

    A subclass gives :meth:`compute` and :meth:`figures`. In validation the outputs of every
    process are collected, and gathered once at the end (not through the hosts' logging outputs:
    their buffer of 16,384 bytes is too small), so that figures of the whole split are the same in
    one process and in several, however many batches each had.

    Attributes
    ----------
    figure_names
        Names of what :meth:`figures` returns; the hosts want each to exist while they average
        over batches, before the whole split is known.
    """

    figure_names: tuple[str, ...] = ()

    def __init__(self, task: RecordTask) -> None:
        super().__init__(task)
        self.collector = SplitCollector()

    @abstractmethod
    def compute(self, model: Any, sample: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        """Return the loss summed over records, and named rows (batch, ...) to collect."""

    @abstractmethod
    def figures(self, collected: dict[str, torch.Tensor]) -> dict[str, float]:
        """Return the split's figures from the collected rows."""

    def forward(
        self, model: Any, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[torch.Tensor, int, dict[str, Any]]:
        """Compute the loss of a batch, as the hosts call it.

        Returns
        -------
        tuple
            Loss summed over the batch's records, number of records, logging output.
        """
        loss, rows = self.compute(model, sample)
        records = sample["id"].numel()
        if not self.training:
            self.collector.add(sample["id"], rows)
        log = {
            "loss": loss.detach().float(),
            "nsignals": records,
            "sample_size": records,
            "validation": 0 if self.training else 1,
        }
        return loss, records, log

    def reset_validation(self) -> None:
        """Forget what has been collected."""
        self.collector = SplitCollector()

    def validation_metrics(self) -> dict[str, float]:
        """Return the figures of what has been collected since :meth:`reset_validation`."""
        return self.figures(self.collector.rows())

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]], *_: Any) -> None:
        """Log the mean loss a record; in validation also a place for each whole-split figure."""
        records = sum(int(log["sample_size"]) for log in logging_outputs)
        loss = float(sum(float(log["loss"]) for log in logging_outputs))
        toolkit.metrics.log_scalar("loss", loss / max(records, 1), records, round=4)
        if not any(int(log["validation"]) for log in logging_outputs):
            toolkit.metrics.log_speed("ecg_per_s", records, round=1)
        else:
            for name in cls.figure_names:
                toolkit.metrics.log_scalar(name, float("nan"), weight=0, round=4)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """Return True: every entry is a number, and they add up over processes."""
        return True
