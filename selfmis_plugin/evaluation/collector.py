"""Rows of a whole split, gathered from the batches of every process."""

from __future__ import annotations

import torch

from selfmis_plugin.nn.gather import gather_rows


class SplitCollector:
    """Collects named rows of records, each record once.

    Where batches do not divide evenly, a host lets a process repeat a batch that it has had; and
    processes see records in different orders. Rows are therefore kept by record number.
    """

    def __init__(self) -> None:
        self._ids: list[torch.Tensor] = []
        self._rows: dict[str, list[torch.Tensor]] = {}

    def add(self, ids: torch.Tensor, rows: dict[str, torch.Tensor]) -> None:
        """Add a batch of every process; all processes must call this together.

        Parameters
        ----------
        ids
            Record numbers, int64 (batch,).
        rows
            Named float tensors of shape (batch, ...), kept as float32.
        """
        self._ids.append(gather_rows(ids).cpu())
        for name, values in rows.items():
            gathered = gather_rows(values.detach().float()).cpu()
            self._rows.setdefault(name, []).append(gathered)

    def rows(self) -> dict[str, torch.Tensor]:
        """Return every record's rows in the order of the record numbers.

        Raises
        ------
        ValueError
            If nothing was collected.
        """
        if not self._ids:
            raise ValueError("the split has no records to compute its figures from")
        ids = torch.cat(self._ids)
        order = torch.argsort(ids, stable=True)
        first = torch.ones(len(ids), dtype=torch.bool)
        first[1:] = ids[order][1:] != ids[order][:-1]
        keep = order[first]
        return {name: torch.cat(values)[keep] for name, values in self._rows.items()}
