"""Pre-training of all leads' encoders by alignment and reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selfmis_plugin import toolkit
from selfmis_plugin.training.store_task import StoreTask, StoreTaskConfig


@dataclass
class ModallyReducedPretrainingConfig(StoreTaskConfig):
    """Keys of ``task: {_name: modally_reduced_pretraining}``."""


@toolkit.register_task("modally_reduced_pretraining", dataclass=ModallyReducedPretrainingConfig)
class ModallyReducedPretrainingTask(StoreTask):
    """Whole records, of which every lead is embedded (Ibtehaz and Mortazavi, 2024)."""

    def __init__(self, cfg: Any, **kwargs: Any) -> None:
        super().__init__(cfg, **kwargs)
        self._leads: Sequence[str] | None = None

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the model; none of its leads may be absent from a record."""
        model = super().build_model(cfg, from_checkpoint)
        self._leads = model.network.config.leads
        return model

    def required_leads(self) -> Sequence[str]:
        """Return the leads that are embedded."""
        return super().required_leads() if self._leads is None else self._leads

    def train_step(
        self,
        sample: dict[str, Any],
        model: Any,
        criterion: Any,
        optimizer: Any,
        update_num: int,
        ignore_grad: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Train on a batch.

        On a process that is out of data while others are not, the hosts repeat a batch and drop
        its gradient. Where leads are spread, that gradient is also of the others' records: the
        criterion leaves the repeated ones out, and it is kept.
        """
        if ignore_grad and self._criterion.spread_leads:
            sample, ignore_grad = {**sample, "ignored": True}, False
        return super().train_step(
            sample, model, criterion, optimizer, update_num, ignore_grad, **kwargs
        )
