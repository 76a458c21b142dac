"""Training of generators that make twelve leads of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch.distributed as dist
from omegaconf import II
from torch import nn

from selfmis_plugin import toolkit
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.nn.exchange import is_distributed
from selfmis_plugin.training.store_task import StoreTask, StoreTaskConfig


@dataclass
class LeadSynthesisConfig(StoreTaskConfig):
    """Keys of ``task: {_name: lead_synthesis}``."""

    fp16: bool = II("common.fp16")


@toolkit.register_task("lead_synthesis", dataclass=LeadSynthesisConfig)
class LeadSynthesisTask(StoreTask):
    """Whole records of which every standard lead is needed: one is given, the others compared.

    Raises
    ------
    ValueError
        If ``common.fp16`` is set.
    """

    def __init__(self, cfg: Any, **kwargs: Any) -> None:
        if cfg.fp16:
            raise ValueError(
                "common.fp16=true is not for generators: half precision trains with one loss "
                "scale, and where the discriminator's gradient overflows at it the generator's "
                "step is dropped too. Use model.precision=bfloat16"
            )
        super().__init__(cfg, **kwargs)

    def required_leads(self) -> Sequence[str]:
        """Return the leads that are made."""
        return STANDARD_LEADS

    def begin_valid_epoch(self, epoch: int, model: Any) -> None:
        """Let every process validate, and the first one save, the same model.

        Batch norms keep statistics of their own process's batches.
        """
        if is_distributed():
            _share_statistics(model)
        super().begin_valid_epoch(epoch, model)


def _share_statistics(model: nn.Module) -> None:
    """Replace what norms keep by its mean over the processes."""
    for value in model.buffers():
        if value.is_floating_point():
            dist.all_reduce(value)
            value /= dist.get_world_size()
