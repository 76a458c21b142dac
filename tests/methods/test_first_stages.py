"""First stages of SelfMIS: other objectives than SigLIP's, and pieces of records."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from selfmis_plugin.checkpoints import read_checkpoint
from selfmis_plugin.data.crops import crops_of
from selfmis_plugin.data.store import Store
from selfmis_plugin.methods import known_methods
from selfmis_plugin.nn.losses.pair_objectives import CosineLoss, InfoNCELoss
from selfmis_plugin.training.configs import config_file
from selfmis_plugin.training.registration import register_all
from selfmis_plugin.training.store_dataset import StoreDataset
from tests.checkpoint_files import write_judge
from tests.host_in_process import Training, config_of, same_weights
from tests.processes import run_processes
from tests.support import write_store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    register_all()
    folder = tmp_path_factory.mktemp("stages")
    write_store(folder / "store", {"train": 48, "valid": 20})
    write_judge(folder / "twelve.pt")
    return folder


def pairs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    one, two = np.random.default_rng(seed).normal(size=(2, 6, 5))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (one, two)]
    return unit[0], unit[1]


def test_objectives_are_those_of_the_formulas() -> None:
    single, multi = pairs()
    tensors = torch.tensor(single), torch.tensor(multi)
    logits = 7 * single @ multi.T
    ids = torch.tensor([4, 1, 4, 3, 0, 9])
    expected = 0.0
    for row, name in enumerate(ids.tolist()):
        # The other piece of record 4 is none of its negatives.
        others = [k for k, other in enumerate(ids.tolist()) if other != name]
        expected += np.log(np.exp(logits[row, [row, *others]]).sum()) - logits[row, row]
    loss = InfoNCELoss(logit_scale=7.0)
    assert [name for name, _ in loss.named_parameters()] == ["log_scale"]
    assert float(loss(*tensors, ids).detach()) == pytest.approx(expected, rel=1e-5)
    alone = torch.arange(6)
    assert loss.expected(*tensors, 6) == pytest.approx(
        float(loss(*tensors, alone).detach()) / 6, rel=1e-6
    )
    cosine = CosineLoss()
    assert not list(cosine.parameters())
    assert float(cosine(*tensors, ids)) == pytest.approx((1 - (single * multi).sum(1)).sum())


def pieces() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two pieces of each of three records, and which record each is of."""
    single, multi = map(torch.tensor, pairs(1))
    return single, multi, torch.tensor([4, 4, 7, 7, 1, 1])


def nce_of_a_share(rank: int) -> dict[str, Any]:
    """What a process has of the joined batch whose first four pieces are the first process's."""
    mine = slice(0, 4) if rank == 0 else slice(4, 6)
    single, multi, ids = pieces()
    single.requires_grad_()
    loss = InfoNCELoss(normalize=False, logit_scale=7.0, across_processes=True).train()(
        single[mine], multi[mine], ids[mine]
    )
    loss.backward()
    assert single.grad is not None
    return {"loss": float(loss.detach()), "grad": single.grad[mine]}


def test_info_nce_finds_each_piece_its_own_partner(tmp_path: Path) -> None:
    single, multi, ids = pieces()
    # Pieces that equal their partners, and nobody else's, have found them.
    alone = torch.eye(6, dtype=torch.float64)
    assert float(InfoNCELoss(logit_scale=50.0)(alone, alone, ids).detach()) < 1e-6

    single.requires_grad_()
    expected = torch.zeros((), dtype=torch.float64)
    for row, record in enumerate(ids.tolist()):
        scores = 7 * multi @ single[row]
        kept = [k for k in range(6) if k == row or int(ids[k]) != record]
        expected = expected + torch.logsumexp(scores[kept], 0) - scores[row]
    expected.backward()
    assert single.grad is not None
    shares = run_processes(nce_of_a_share, 2, tmp_path)
    assert sum(share["loss"] for share in shares) == pytest.approx(float(expected.detach()))
    torch.testing.assert_close(torch.cat([share["grad"] for share in shares]), single.grad,
                               rtol=1e-5, atol=1e-7)  # fmt: skip


def test_pieces_depend_on_seed_epoch_and_record_alone(folder: Path) -> None:
    store = Store.open(folder / "store")
    dataset = StoreDataset(store, np.arange(48), store.info.leads, shuffle_seed=1)
    crops = crops_of(store.info, 7.0, 3, windows=2, single_lead="I")
    assert crops is not None and crops.samples == 3500
    dataset.use_crops(crops)
    batch = dataset.batch([5, 9])
    assert batch["id"].tolist() == [5, 5, 9, 9]
    signal, single = (batch["net_input"][name].numpy() for name in ("signal", "single"))
    assert signal.shape == (4, 12, 3500) and single.shape == (4, 1, 3500)
    for place, record in enumerate([5, 5, 9, 9]):
        whole = store.read([record])[0]
        for piece, leads in ((signal[place], slice(None)), (single[place], slice(0, 1))):
            starts = [
                start for start in range(1501)
                if np.array_equal(whole[leads, start : start + 3500], piece)
            ]  # fmt: skip
            assert len(starts) == 1
    alone = dataset.batch([9])["net_input"]
    np.testing.assert_array_equal(alone["signal"], signal[2:])
    assert not np.array_equal(signal[0, :1], signal[1, :1])
    assert not np.array_equal(signal[0, :1], single[0])
    dataset.set_epoch(2)
    assert not np.array_equal(dataset.batch([9])["net_input"]["signal"], signal[2:])
    for seconds, windows, message in (
        (11.0, 1, "at most the 10 s"),
        (0.0, 1, "more than 0"),
        (None, 2, "need a length"),
        (7.0, 0, "one piece at least"),
    ):
        with pytest.raises(ValueError, match=message):
            crops_of(store.info, seconds, 1, windows)


STAGES: dict[str, dict[str, Any]] = {
    "info_nce": {"criterion.objective": "info_nce"},
    "cosine": {"criterion.objective": "cosine", "criterion.center": True},
    "chest": {"model.multi_leads": ["V1", "V2"], "model.multi_lead_checkpoint": None},
    "single": {"task.crop_seconds": 7.0, "task.windows": 2},
    "single_anew": {"task.crop_seconds": 7.0, "task.cache_frozen_embeddings": False},
    "same": {
        "task.crop_seconds": 7.0,
        "task.crop_views": "same",
        "task.cache_frozen_embeddings": False,
    },
    "independent": {
        "task.crop_seconds": 7.0,
        "task.crop_views": "independent",
        "task.cache_frozen_embeddings": False,
    },
}


def stage(folder: Path, changes: dict[str, Any]) -> dict[str, Any]:
    return config_of(
        "selfmis_pretrain_small",
        **{
            "task.data": str(folder / "store"),
            "model.multi_lead_checkpoint": str(folder / "twelve.pt"),
            "model.allow_untrained_tower": True,
            "model.base_filters": 8,
            "model.filters": [8, 16],
            "model.blocks": [1, 1],
            "model.group_width": 8,
            "lr_scheduler.warmup_updates": 0,
            "optimization.max_epoch": 2,
            "dataset.batch_size": 24,
            "checkpoint.save_interval_updates": 1,
            "common.cpu": True,
            **changes,
        },
    )


@pytest.mark.parametrize("name", STAGES)
def test_a_first_stage_goes_on_to_the_bit(name: str, folder: Path, tmp_path: Path) -> None:
    whole = Training(stage(folder, STAGES[name]), tmp_path / "whole")
    checkpoints = tmp_path / "whole/checkpoints"
    (tmp_path / "again/checkpoints").mkdir(parents=True)
    shutil.copy(
        checkpoints / "checkpoint_1_1.pt", tmp_path / "again/checkpoints/checkpoint_last.pt"
    )
    again = Training(checkpoints / "checkpoint_last.pt", tmp_path / "again")
    assert same_weights(whole.last, again.last)
    assert not same_weights(whole.last, read_checkpoint(checkpoints / "checkpoint_1_1.pt"))
    rows = STAGES[name].get("task.windows", 1) * 24
    assert [len(ids) for ids, _ in whole.losses].count(rows) == 4
    validation = whole.last["task_state"]["validation"]
    assert np.isfinite(validation["loss"]) and set(validation) >= {"r1", "loss"}


def test_what_cannot_be_kept_or_cropped_is_said(folder: Path, tmp_path: Path) -> None:
    for changes, message in (
        ({"criterion.objective": "triplet"}, "choose one of siglip, info_nce, cosine"),
        ({"task.crop_views": "both"}, "choose one of single, same, independent"),
        ({"task.crop_views": "same", "task.crop_seconds": 7.0}, "cannot be kept"),
        ({"task.windows": 3}, "need a length"),
    ):
        with pytest.raises(ValueError, match=message):
            Training(stage(folder, changes), tmp_path / "refused")


def test_first_stages_are_rows_by_name() -> None:
    methods = known_methods()
    keys = {
        name: dict(methods[name].encoder.overrides)  # type: ignore[union-attr]
        for name in methods
        if name.startswith("selfmis_") and methods[name].by_name
    }
    assert keys["selfmis_chest_leads"] == {"model.multi_leads": tuple(f"V{k}" for k in range(1, 7))}
    assert keys["selfmis_crops"] == {"task.crop_seconds": 7.0}
    assert keys["selfmis_windows"]["task.windows"] == 4
    ways = {"probe", "finetune", "finetune_crops"}
    assert all(set(methods[name].modes) == ways for name in keys)
    assert {len(methods[name].encoder.rates["small"]) for name in keys} == {4}  # type: ignore[union-attr]


def test_every_method_has_as_many_rates_to_try_and_its_configs_among_them() -> None:
    tried = {
        method.encoder.name: method.encoder
        for method in known_methods().values()
        if method.encoder is not None and not method.encoder.needs_file
    }
    assert {"selfmis", "st_mem", "heartlang", "modally_reduced", "mcma", "cyclegan"} <= {*tried}
    for stage in tried.values():
        for size, end in (("full", ""), ("small", "_small")):
            rates = stage.rates[size]
            steps = [after / before for before, after in itertools.pairwise(rates)]
            assert len(rates) == 4 and steps == pytest.approx([4, 4, 4], rel=0.05), stage.name
            (own,) = OmegaConf.load(config_file(f"{stage.config}{end}")).optimization.lr
            assert own in rates, (stage.name, size)
