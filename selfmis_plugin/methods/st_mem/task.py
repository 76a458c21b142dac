"""Pre-training of one encoder of all leads by masked patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selfmis_plugin import toolkit
from selfmis_plugin.training.store_task import StoreTask, StoreTaskConfig


@dataclass
class StMemPretrainingConfig(StoreTaskConfig):
    """Keys of ``task: {_name: st_mem_pretraining}``."""


@toolkit.register_task("st_mem_pretraining", dataclass=StMemPretrainingConfig)
class StMemPretrainingTask(StoreTask):
    """Whole records, of which every lead is embedded (Na et al., 2024)."""

    def __init__(self, cfg: Any, **kwargs: Any) -> None:
        super().__init__(cfg, **kwargs)
        self._leads: Sequence[str] | None = None

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the model; none of its leads may be absent from a record."""
        model = super().build_model(cfg, from_checkpoint)
        self._leads = model.leads
        return model

    def required_leads(self) -> Sequence[str]:
        """Return the leads that are embedded."""
        return super().required_leads() if self._leads is None else self._leads
