"""The dtypes of a host's fp16 training: modules cast by half(), integers left as they are.

Both hosts scale the loss on CUDA only; what can be shown on a CPU is that the parts keep their
precision where it matters and give the float32 answer.
"""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from selfmis_plugin.benchmark.cohort import make_cohort
from selfmis_plugin.benchmark.commands import best_checkpoint
from selfmis_plugin.benchmark.commands import train as train_by_host
from selfmis_plugin.checkpoints import read_checkpoint
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.evaluation.evaluate import evaluate
from selfmis_plugin.methods.selfmis.criterion import SigLIPConfig, SigLIPCriterion
from selfmis_plugin.methods.selfmis.model import SelfMIS
from selfmis_plugin.methods.selfmis.towers import TwoTowers
from selfmis_plugin.metrics.retrieval import retrieval
from selfmis_plugin.nn.net1d import Net1D, Net1DConfig
from selfmis_plugin.training.entry import train_main
from tests.support import TINY, UNTRAINED, logged, train


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


@pytest.mark.parametrize("key", ["bf16", "fp16"])
def test_precision_of_host_and_model_is_refused(
    key: str, monkeypatch: pytest.MonkeyPatch, store: Path, tmp_path: Path
) -> None:
    cfg = OmegaConf.create(
        {
            "common": {"fp16": False, key: True},
            "model": {"precision": "bfloat16", "frozen_precision": None},
            "task": {"_name": "selfmis_pretraining", "data": str(store)},
            "distributed_training": {"distributed_rank": 0, "distributed_world_size": 1},
            "optimization": {"max_epoch": 1, "max_update": 0},
            "checkpoint": {"best_checkpoint_metric": "loss"},
        }
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ValueError, match=f"model.precision=bfloat16 and common.{key}=true"):
        train_main(cfg)
    cfg.model = {"precision": "float32", "frozen_precision": "float16"}
    with pytest.raises(ValueError, match=rf"Keep one: common\.{key}=false"):
        train_main(cfg)


@pytest.mark.slow
def test_trains_in_bfloat16_on_a_cpu(store: Path, tmp_path: Path) -> None:
    arguments = ["--config-name", "selfmis_pretrain_small", *TINY, f"task.data={store}"]
    arguments += [UNTRAINED, "optimization.max_epoch=2", "model.frozen_precision=float16"]
    losses = {}
    for precision in ("float32", "bfloat16"):
        folder = tmp_path / precision
        folder.mkdir()
        output = train([*arguments, f"model.precision={precision}"], folder)
        losses[precision] = logged(output, "loss", "train")
        state = read_checkpoint(next(folder.rglob("checkpoint_best.pt")))["model"]
        assert all(v.dtype == torch.float32 for v in state.values() if v.is_floating_point())
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)
    assert losses["bfloat16"] != losses["float32"]


@pytest.mark.slow
def test_reduced_precision_on_the_demo_cohort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trainings of the demo, shortened: AUC and retrieval of held-out records in reduced precision
    are those of float32, within what a few records can change."""
    stores = make_cohort(tmp_path, 900, 400, 200, 200, workers=2)

    def trained(name: str, config: str, store: str, epochs: int, **more: object) -> Path:
        data = {"task.data": stores[store], "optimization.max_epoch": epochs, "common.seed": 1}
        more = {key.replace("__", "."): value for key, value in more.items()}
        train_by_host(tmp_path / name, config, data | more, tmp_path / f"{name}.log", 1)
        return best_checkpoint(tmp_path / name)

    supervised = "selfmis_supervised_small"
    twelve = trained("twelve", supervised, "archive", 5, task__leads=STANDARD_LEADS)
    single = trained("single", supervised, "archive", 5, task__leads=["I"])
    towers = trained(
        *("towers", "selfmis_pretrain_small", "unlabelled", 3),
        model__multi_lead_checkpoint=twelve,
        model__single_lead_checkpoint=single,
    )

    def figures() -> tuple[float, float, float]:
        area = evaluate(twelve, stores["archive"], "test", draws=0)["macro_auc"]
        found = evaluate(towers, stores["unlabelled"], "valid")
        return area, found["r1"], found["r10"]

    area, r1, r10 = figures()
    assert 0.55 < area < 0.99 and 0.02 < r10 < 0.99  # otherwise equality would say nothing
    for dtype in (torch.bfloat16, torch.float16):
        used = []

        def reduce(_: Net1D, device: str, dtype: torch.dtype = dtype, used: list = used):
            used.append(dtype)
            return dtype

        monkeypatch.setattr(Net1D, "_compute_type", reduce)
        reduced = figures()
        # Figures may be equal: what float16 changes need not change the order of so few records.
        assert used
        assert reduced[0] == pytest.approx(area, abs=0.01)
        assert reduced[1:] == pytest.approx((r1, r10), abs=0.03)


@pytest.mark.slow
def test_reduced_precision_keeps_retrieval_and_auc() -> None:
    """An encoder trained for a minute, on held-out synthetic records: what is read off bfloat16 and
    float16 embeddings is what float32 ones give, within what a few records can change."""
    encoder, signals, labels = trained_on_a_rule()
    with torch.no_grad():
        exact = encoder(signals)
        half = len(signals) // 2
        probe = LogisticRegression(max_iter=2000).fit(exact[:half], labels[:half])
        area = roc_auc_score(labels[half:], probe.decision_function(exact[half:]))
        assert 0.8 < area < 0.9999  # otherwise equality would say nothing
        for dtype in (torch.bfloat16, torch.float16):
            encoder.precision = dtype
            reduced = encoder(signals)
            assert not torch.equal(reduced, exact)
            scores = probe.decision_function(reduced[half:])
            assert roc_auc_score(labels[half:], scores) == pytest.approx(area, abs=0.005)
            # Every record finds itself among all of them.
            found = retrieval(reduced - exact.mean(0), exact - exact.mean(0), k=(1,))
            assert found["r1"] > 0.95


def trained_on_a_rule() -> tuple[Net1D, torch.Tensor, np.ndarray]:
    """A small encoder that has learnt which of two shapes a noisy periodic signal has."""
    rng = np.random.default_rng(4)
    count = 1200
    time = np.arange(1000) / 100
    labels = rng.integers(0, 2, count)
    phase = 2 * np.pi * (rng.uniform(0.8, 1.6, (count, 1)) * time + rng.random((count, 1)))
    second = np.where(labels, 0.35, 0.15)[:, None] * rng.normal(1, 0.3, (count, 1))
    noisy = np.sin(phase) + second * np.sin(2 * phase) + rng.normal(0, 0.4, (count, 1000))
    signals = torch.tensor(noisy[:, None], dtype=torch.float32)
    torch.manual_seed(0)
    encoder = Net1D(Net1DConfig(16, (16, 32, 64), (1, 1, 1), in_leads=1))
    head = torch.nn.Linear(64, 1)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=3e-3)
    targets = torch.tensor(labels, dtype=torch.float32)
    for step in range(80):
        chosen = torch.arange(step * 40, step * 40 + 40) % 400
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            head(encoder(signals[chosen]))[:, 0], targets[chosen]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return encoder.eval(), signals[400:], labels[400:]
