"""The leads of a batch spread over processes: each computes some leads of all records."""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from selfmis_plugin.nn.exchange import rows_by_process

__all__ = ["SpreadLeads", "lead_groups"]


def lead_groups(leads: int, processes: int) -> list[list[int]]:
    """Divide the positions of leads among processes, neighbours together.

    Raises
    ------
    ValueError
        If there are more processes than leads.
    """
    if processes > leads:
        raise ValueError(
            f"{leads} leads cannot be spread over {processes} processes: use at most {leads}, or "
            "criterion.spread_leads=false"
        )
    return [part.tolist() for part in np.array_split(np.arange(leads), processes)]


class SpreadLeads:
    """The records of all processes, and the leads of them that this process computes.

    Each process has to make one at the same time.

    Parameters
    ----------
    signals
        This process's records with all leads, ``(records, leads, samples)``; any number, none too.
    records
        Their numbers, int64 ``(records,)``.
    leads
        Number of leads that are computed.

    Attributes
    ----------
    signals, records
        Those of all processes, in the order of their ranks.
    leads
        Positions of the leads that this process computes.
    own
        Where this process's records are.
    """

    def __init__(self, signals: Tensor, records: Tensor, leads: int) -> None:
        self.leads = lead_groups(leads, dist.get_world_size())[dist.get_rank()]
        # Neither gloo nor NCCL sends int16.
        wide = signals if signals.is_floating_point() else signals.int()
        parts = rows_by_process(records)
        before = sum(len(part) for part in parts[: dist.get_rank()])
        self.own = slice(before, before + len(records))
        self.records = torch.cat(parts)
        self.signals = torch.cat(rows_by_process(wide))

    def gather_leads(self, computed: Tensor) -> Tensor:
        """Return all leads, of which only this process's own carry a gradient.

        Parameters
        ----------
        computed
            ``(records, leads of this process, ...)``.

        Returns
        -------
        Tensor
            ``(records, leads, ...)``.
        """
        by_lead = computed.transpose(0, 1)
        parts = rows_by_process(by_lead)
        parts[dist.get_rank()] = by_lead
        return torch.cat(parts).transpose(0, 1)
