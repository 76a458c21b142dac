"""Rows of a whole split."""

from __future__ import annotations

import pytest
import torch

from selfmis_plugin.evaluation.collector import SplitCollector


def test_each_record_once_in_order() -> None:
    collector = SplitCollector()
    collector.add(torch.tensor([4, 2]), {"a": torch.tensor([[4.0], [2.0]])})
    collector.add(torch.tensor([9, 4]), {"a": torch.tensor([[9.0], [4.0]]).half()})
    assert collector.rows()["a"].tolist() == [[2.0], [4.0], [9.0]]


def test_an_empty_split_is_said() -> None:
    with pytest.raises(ValueError, match="no records"):
        SplitCollector().rows()
