"""The dtypes of a host's fp16 training: modules cast by half(), integers left as they are.

Both hosts scale the loss on CUDA only; what can be shown on a CPU is that the parts keep their
precision where it matters and give the float32 answer.
"""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from selfmis_plugin.criterions.siglip import SigLIPConfig, SigLIPCriterion
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.models.selfmis import SelfMIS
from selfmis_plugin.nn.net1d import Net1DConfig
from selfmis_plugin.nn.towers import TwoTowers
from tests.support import TINY, train


def batch(records: int) -> dict[str, object]:
    generator = torch.Generator().manual_seed(1)
    # Large enough that half precision would round single microvolts away.
    signal = torch.randint(-9000, 9000, (records, 12, 2500), generator=generator)
    return {"id": torch.arange(records), "net_input": {"signal": signal.to(torch.int16)}}


def test_loss_and_gradients_in_half_are_those_of_float32() -> None:
    torch.manual_seed(0)
    config = Net1DConfig(base_filters=8, filters=(8, 16), blocks=(1, 1), group_width=8)
    model = SelfMIS(TwoTowers(config, STANDARD_LEADS, store_rate=500, sample_rate=250))
    task = SimpleNamespace(embedding_dim=16, cfg=SimpleNamespace(batch_size=8))
    # The hosts fill a missing key from the dataclass; OmegaConf objects behave the same here.
    settings = SigLIPConfig()
    criterion = SigLIPCriterion(settings, task)
    results = []
    for half in (False, True):
        net, loss_of = copy.deepcopy(model), copy.deepcopy(criterion)
        if half:
            net, loss_of = net.half(), loss_of.half()
        net.train()
        loss_of.train()
        loss, records, log = loss_of(net, batch(8))
        assert loss.dtype == torch.float32 and records == 8
        loss.backward()
        gradients = [p.grad.float() for p in net.parameters() if p.requires_grad]
        assert all(torch.isfinite(g).all() for g in gradients)
        assert all(p.grad is None for p in net.towers.multi.parameters())
        results.append((float(loss.detach()), torch.cat([g.flatten() for g in gradients])))
    (full, gradient), (reduced, reduced_gradient) = results
    assert reduced == pytest.approx(full, rel=2e-3)
    similarity = torch.cosine_similarity(gradient, reduced_gradient, dim=0)
    assert float(similarity) > 0.995


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU fp16 trains")
def test_fp16_without_a_gpu_is_said(store: Path, tmp_path: Path) -> None:
    arguments = ["--config-name", "selfmis_pretrain_small", *TINY, f"task.data={store}"]
    output = train([*arguments, "common.fp16=true"], tmp_path, check=False)
    assert "common.fp16=false" in output
