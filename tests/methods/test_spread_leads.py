"""The leads of a batch spread over processes, as the hosts wrap model and criterion on GPUs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.modally_reduced.criterion import (
    AlignReconstruct,
    AlignReconstructConfig,
)
from selfmis_plugin.methods.modally_reduced.model import ModallyReducedModel
from selfmis_plugin.methods.modally_reduced.network import ModallyReduced, ModallyReducedConfig
from selfmis_plugin.methods.modally_reduced.spread_leads import lead_groups
from selfmis_plugin.methods.modally_reduced.task import ModallyReducedPretrainingTask
from tests.processes import run_processes

FIRST, RECORDS = 5, 8


class Wrapped(DistributedDataParallel):
    """Finds the model's attributes, as the hosts' wrapper does."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.module, name)


class Optimizer:
    """The part of a host's optimizer that a task's train_step uses."""

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()


def parts(spread: bool) -> tuple[ModallyReducedModel, AlignReconstruct, torch.Tensor]:
    torch.manual_seed(0)
    config = ModallyReducedConfig(
        patch_size=20, width=8, depth=1, heads=2, decoder_width=8, decoder_heads=2
    )
    model = ModallyReducedModel(ModallyReduced(config, 500, 100), STANDARD_LEADS, seed=1)
    settings = AlignReconstructConfig(schedule="sum", spread_leads=spread, max_epoch=1)
    signal = torch.randint(-2000, 2000, (RECORDS, 12, 1000), dtype=torch.int16)
    return model, AlignReconstruct(settings, SimpleNamespace()), signal


def step(spread: bool, records: range, ignored: bool) -> dict[str, Any]:
    """One update through the task; *ignored* as a host calls it on a process out of data."""
    model, criterion, signal = parts(spread)
    task = ModallyReducedPretrainingTask.__new__(ModallyReducedPretrainingTask)
    task._criterion = criterion.train()
    sample = {
        "id": torch.tensor(records),
        "net_input": {"signal": signal[records.start : records.stop]},
    }
    used = Wrapped(model) if spread else model
    loss, *_ = task.train_step(sample, used, criterion, Optimizer(), 0, ignore_grad=ignored)
    grads = {name: parameter.grad for name, parameter in model.named_parameters()}
    return {"loss": float(loss.detach()), "grads": grads}


def share(rank: int) -> list[dict[str, Any]]:
    """One update with records on both processes, one where the second is out of data."""
    mine = range(FIRST) if rank == 0 else range(FIRST, RECORDS)
    return [step(True, mine, ignored=False), step(True, mine, ignored=rank == 1)]


def test_two_processes_equal_one(tmp_path: Path) -> None:
    by_process = run_processes(share, 2, tmp_path)
    for number, records in enumerate((range(RECORDS), range(FIRST))):
        results = [updates[number] for updates in by_process]
        expected = step(False, records, ignored=False)
        losses = [result["loss"] for result in results]
        assert sum(losses) == pytest.approx(expected["loss"], rel=1e-5)
        for result in results:
            assert result["grads"].keys() == expected["grads"].keys()
            for name, grad in expected["grads"].items():
                # Averaged over processes, where the hosts then want the sum.
                torch.testing.assert_close(2 * result["grads"][name], grad, rtol=1e-3, atol=1e-4)


def test_leads_are_divided_evenly() -> None:
    assert lead_groups(12, 1) == [list(range(12))]
    groups = lead_groups(12, 5)
    assert sorted(sum(groups, [])) == list(range(12))
    assert {len(group) for group in groups} == {2, 3}
    with pytest.raises(ValueError, match="cannot be spread over 13"):
        lead_groups(12, 13)
