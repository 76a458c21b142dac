"""Rows of a whole split, gathered from the batches of every process."""

from __future__ import annotations

import torch

from selfmis_plugin.nn.exchange import gather_rows

ROWS_AT_ONCE = 2**16
"""Rows of each process that pass through its device together: the whole split may not fit."""


class SplitCollector:
    """Collects named rows of records, each record once.

    Where batches do not divide evenly, a host lets a process repeat a batch that it has had; and
    processes see records in different orders. Rows are therefore kept by record number.
    """

    def __init__(self) -> None:
        self._ids: list[torch.Tensor] = []
        self._rows: dict[str, list[torch.Tensor]] = {}
        self._device = torch.device("cpu")

    def add(self, ids: torch.Tensor, rows: dict[str, torch.Tensor]) -> None:
        """Add a batch of this process; nothing is exchanged yet.

        Parameters
        ----------
        ids
            Record numbers, int64 (batch,).
        rows
            Named float tensors of shape (batch, ...), kept as float32.
        """
        self._device = ids.device
        self._ids.append(ids.cpu())
        for name, values in rows.items():
            self._rows.setdefault(name, []).append(values.detach().float().cpu())

    def rows(self) -> dict[str, torch.Tensor]:
        """Return every record's rows in the order of the record numbers.

        All processes must call this together; each has to have had a batch, however many.

        Raises
        ------
        ValueError
            If nothing was collected.
        """
        if not self._ids:
            raise ValueError("the split has no records to compute its figures from")
        ids = self._of_all(self._ids)
        order = torch.argsort(ids, stable=True)
        first = torch.ones(len(ids), dtype=torch.bool)
        first[1:] = ids[order][1:] != ids[order][:-1]
        keep = order[first]
        return {name: self._of_all(values)[keep] for name, values in self._rows.items()}

    def _of_all(self, batches: list[torch.Tensor]) -> torch.Tensor:
        own = torch.cat(batches)
        longest = int(gather_rows(torch.tensor([len(own)], device=self._device)).max())
        blocks = [
            gather_rows(own[start : start + ROWS_AT_ONCE].to(self._device)).cpu()
            for start in range(0, longest, ROWS_AT_ONCE)
        ]
        return torch.cat(blocks)
