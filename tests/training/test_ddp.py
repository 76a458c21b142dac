"""Model and criterion under torch's DistributedDataParallel, as the hosts wrap them on GPUs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.selfmis.criterion import SigLIPConfig, SigLIPCriterion
from selfmis_plugin.methods.selfmis.model import SelfMIS
from selfmis_plugin.methods.selfmis.task import SelfMISPretrainingTask
from selfmis_plugin.methods.selfmis.towers import TwoTowers
from selfmis_plugin.nn.net1d.config import Net1DConfig
from tests.processes import run_processes

RECORDS, SPLIT = 8, 5


def parts() -> tuple[SelfMIS, SigLIPCriterion, torch.Tensor]:
    torch.manual_seed(0)
    config = Net1DConfig(base_filters=8, filters=(8, 16), blocks=(1, 1), group_width=8)
    model = SelfMIS(TwoTowers(config, STANDARD_LEADS, store_rate=500, sample_rate=100))
    task = SimpleNamespace(embedding_dim=16, cfg=SimpleNamespace(batch_size=8))
    signal = torch.randint(-2000, 2000, (RECORDS, 12, 1000), dtype=torch.int16)
    return model, SigLIPCriterion(SigLIPConfig(), task), signal


def step(model: torch.nn.Module, criterion: torch.nn.Module, signal: torch.Tensor, first: int):
    model.train()
    criterion.train()
    sample = {"id": torch.arange(first, first + len(signal)), "net_input": {"signal": signal}}
    loss, records, _ = criterion(model, sample)
    loss.backward()
    return float(loss.detach()), records


def gradients(*modules: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: parameter.grad
        for module in modules
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }


def train_own_share(rank: int) -> dict[str, Any]:
    model, criterion, signal = parts()
    mine = signal[:SPLIT] if rank == 0 else signal[SPLIT:]
    loss, records = step(
        DistributedDataParallel(model), DistributedDataParallel(criterion), mine, rank * SPLIT
    )
    # The hosts turn the mean over processes into the sum, then divide by all records.
    factor = dist.get_world_size() / RECORDS
    found = {name: grad * factor for name, grad in gradients(model, criterion).items()}
    return {"loss": loss, "records": records, "grads": found}


def test_gradients_equal_one_process_on_the_joined_batch(tmp_path: Path) -> None:
    results = run_processes(train_own_share, 2, tmp_path)
    assert [result["records"] for result in results] == [SPLIT, RECORDS - SPLIT]

    model, criterion, signal = parts()
    loss, _ = step(model, criterion, signal, 0)
    torch.testing.assert_close(sum(result["loss"] for result in results), loss, rtol=1e-5, atol=0)
    expected = {name: grad / RECORDS for name, grad in gradients(model, criterion).items()}
    assert {"loss.log_scale", "loss.bias"} < expected.keys()
    assert not any("multi" in name for name in expected)
    for result in results:
        assert result["grads"].keys() == expected.keys()
        for name, grad in expected.items():
            torch.testing.assert_close(result["grads"][name], grad, rtol=1e-4, atol=1e-6)


class Optimizer:
    """The part of a host's optimizer that a task's train_step uses."""

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()


def train_beside_a_process_without_data(rank: int) -> dict[str, Any]:
    """One update through the task, as the hosts do at the end of an epoch: process 1 is out of
    data and repeats the first batch that it had."""
    model, criterion, signal = parts()
    wrapped = DistributedDataParallel(model)
    wrapped.set_num_updates = lambda updates: None  # type: ignore[assignment]
    task = SelfMISPretrainingTask.__new__(SelfMISPretrainingTask)
    criterion.train()
    mine, first = (signal[:SPLIT], 0) if rank == 0 else (signal[SPLIT:], SPLIT)
    sample = {"id": torch.arange(first, first + len(mine)), "net_input": {"signal": mine}}
    wrapped_criterion = DistributedDataParallel(criterion)
    loss, *_ = task.train_step(
        sample, wrapped, wrapped_criterion, Optimizer(), 0, ignore_grad=rank == 1
    )
    found = {name: 2 * grad for name, grad in gradients(model, criterion).items()}
    return {"loss": float(loss.detach()), "grads": found}


def test_a_process_without_data_gives_the_others_no_negatives(tmp_path: Path) -> None:
    results = run_processes(train_beside_a_process_without_data, 2, tmp_path)
    model, criterion, signal = parts()
    loss, _ = step(model, criterion, signal[:SPLIT], 0)
    assert [result["loss"] for result in results] == [pytest.approx(loss, rel=1e-5), 0]
    expected = gradients(model, criterion)
    for result in results:
        assert result["grads"].keys() == expected.keys()
        for name, grad in expected.items():
            torch.testing.assert_close(result["grads"][name], grad, rtol=1e-4, atol=1e-5)
