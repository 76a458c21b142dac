"""Rows of a whole split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from selfmis_plugin.training import collector as module
from selfmis_plugin.training.collector import SplitCollector
from tests.processes import run_processes


def test_each_record_once_in_order() -> None:
    collector = SplitCollector()
    collector.add(torch.tensor([4, 2]), {"a": torch.tensor([[4.0], [2.0]])})
    collector.add(torch.tensor([9, 4]), {"a": torch.tensor([[9.0], [4.0]]).half()})
    assert collector.rows()["a"].tolist() == [[2.0], [4.0], [9.0]]


def test_an_empty_split_is_said() -> None:
    with pytest.raises(ValueError, match="no records"):
        SplitCollector().rows()


def collect_own_batches(rank: int) -> dict[str, Any]:
    module.ROWS_AT_ONCE = 2
    collector = SplitCollector()
    batches = [[0, 2, 4], [6, 8]] if rank == 0 else [[1]]
    for ids in batches:
        collector.add(torch.tensor(ids), {"a": torch.tensor(ids)[:, None] * 10.0})
    return collector.rows()


def test_processes_may_have_different_numbers_of_batches(tmp_path: Path) -> None:
    for rows in run_processes(collect_own_batches, 2, tmp_path):
        assert rows["a"].flatten().tolist() == [0, 10, 20, 40, 60, 80]
