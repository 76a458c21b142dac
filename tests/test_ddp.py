"""Model and criterion under torch's DistributedDataParallel, as the hosts wrap them on GPUs."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from selfmis_plugin.criterions.siglip import SigLIPConfig, SigLIPCriterion
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.models.selfmis import SelfMIS
from selfmis_plugin.nn.net1d import Net1DConfig
from selfmis_plugin.nn.towers import TwoTowers

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


def worker(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    model, criterion, signal = parts()
    mine = signal[:SPLIT] if rank == 0 else signal[SPLIT:]
    loss, records = step(
        DistributedDataParallel(model), DistributedDataParallel(criterion), mine, rank * SPLIT
    )
    # The hosts turn the mean over processes into the sum, then divide by all records.
    factor = dist.get_world_size() / RECORDS
    found = {name: grad * factor for name, grad in gradients(model, criterion).items()}
    torch.save({"loss": loss, "records": records, "grads": found}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_gradients_equal_one_process_on_the_joined_batch(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(worker, (port, str(tmp_path)), nprocs=2)
    results = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
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
