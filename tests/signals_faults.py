"""Run in fairseq-signals, in a process of its own: what fails without each patch, and not with it.

Prints one JSON object: for each patch, what happened before it was applied and after.
"""

from __future__ import annotations

import importlib
import io
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from scipy.io import savemat

from selfmis_plugin.compat import patching

HOST = "fairseq_signals"


def load_a_checkpoint(cfg: Any) -> None:
    checkpoints = importlib.import_module(f"{HOST}.utils.checkpoint_utils")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "checkpoint.pt")
        history = [{"lr_scheduler_state": {}, "num_updates": 0}]
        extra = {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}}
        state = {"cfg": {"model": {"_name": "x"}}, "model": {}}
        torch.save({**state, "optimizer_history": history, "extra_state": extra}, path)
        assert checkpoints.load_checkpoint_to_cpu(path)["cfg"].model._name == "x"


def clip_gradients(cfg: Any) -> None:
    utils = importlib.import_module(f"{HOST}.utils.utils")
    parameters = [torch.nn.Parameter(torch.zeros(3)) for _ in range(2)]
    for parameter in parameters:
        parameter.grad = torch.full((3,), 2.0)
    assert float(utils.clip_grad_norm_(parameters, 1.0)) == float(torch.tensor(24.0).sqrt())
    assert torch.allclose(torch.cat([p.grad for p in parameters]).norm(), torch.tensor(1.0))


def resume_in_an_epoch(cfg: Any) -> None:
    iterators = importlib.import_module(f"{HOST}.data.iterators")

    def iterator() -> Any:
        records = torch.utils.data.TensorDataset(torch.arange(4))
        batches = [[k] for k in range(4)]
        return iterators.EpochBatchIterator(records, lambda rows: int(rows[0][0]), batches, seed=1)

    first = iterator()
    epoch = first.next_epoch_itr(shuffle=False)
    next(epoch)
    second = iterator()
    second.load_state_dict(first.state_dict())
    assert second.next_epoch_idx == 1
    assert list(second.next_epoch_itr(shuffle=False)) == [1, 2, 3]


def take_over_a_checkpoint(host: str) -> None:
    """As a process that has not read the file itself: what it is sent comes out of a buffer."""
    utils = importlib.import_module(f"{host}.distributed.utils")
    sent = io.BytesIO()
    torch.save({"model": utils._TensorPlaceholder(0), "cfg": OmegaConf.create({"a": 1})}, sent)
    sizes = iter((len(sent.getvalue()), sent.getvalue()))

    def broadcast(tensor: torch.Tensor, src: int, group: Any) -> None:
        value = next(sizes)
        content = [value] if isinstance(value, int) else list(value)
        tensor.copy_(torch.tensor(content, dtype=tensor.dtype))

    before = utils.broadcast, utils.get_rank
    utils.broadcast, utils.get_rank = broadcast, lambda group: 1
    try:
        found = utils._broadcast_object_slow(None, 0, None, torch.device("cpu"))
    finally:
        utils.broadcast, utils.get_rank = before
    assert found["model"].index == 0 and found["cfg"].a == 1


def build_clocs(cfg: Any) -> None:
    tasks = importlib.import_module(f"{HOST}.tasks")
    task = tasks.setup_task(cfg.task)
    assert type(task.build_criterion(cfg.criterion)).__name__ == "CMSCCriterion"
    assert cfg.task.criterion_name == "cmsc" and cfg.criterion.temp == 0.3


def positives(name: str, sample: dict[str, Any]) -> torch.Tensor:
    """Which two rows of a batch belong together."""
    neighbours = torch.arange(len(sample["id"])) // 2  # two views of one record
    patient = neighbours if name == "simclr" else sample["patient_id"]
    together = patient.unsqueeze(1) == patient
    return together & ~torch.eye(len(patient), dtype=torch.bool)


def loss_in_plain_words(name: str, outputs: torch.Tensor, sample: dict[str, Any]) -> torch.Tensor:
    """The loss that a criterion documents, one pair at a time, from outputs over time."""
    features = torch.nn.functional.normalize(outputs.mean(1), dim=1)
    similarity = (features @ features.T / 0.1).exp()
    if name == "cmsc":
        first, second = (torch.where(sample["segment"] == half)[0].tolist() for half in (0, 1))
        patient = sample["patient_id"]
        pairs = [(i, j) for i in first for j in second if patient[i] == patient[j]]
        rows = [-(similarity[i, j] / similarity[i, second].sum()).log() for i, j in pairs]
        columns = [-(similarity[i, j] / similarity[first, j].sum()).log() for i, j in pairs]
        return (torch.stack(rows).mean() + torch.stack(columns).mean()) / 2
    together = positives(name, sample)
    apart = ~together & ~torch.eye(len(together), dtype=torch.bool)
    losses = [
        -(similarity[i, j] / (similarity[i, j] + similarity[i, apart[i]].sum())).log()
        for i, j in together.nonzero().tolist()
    ]
    return torch.stack(losses).sum()


def compute_loss(name: str) -> Callable[[Any], None]:
    def compute(cfg: Any) -> None:
        models = importlib.import_module(f"{HOST}.models")
        criterions = importlib.import_module(f"{HOST}.criterions")
        torch.manual_seed(0)
        model = models.build_model(cfg.model, None).eval()
        settings = OmegaConf.create({"temp": 0.1, "eps": 1e-8, "all_gather": False})
        criterion = criterions.CRITERION_REGISTRY[name](settings, None)
        patient = torch.tensor([0, 0, 1, 1, 0, 0, 2, 2])
        sample = {
            "id": torch.arange(8),
            "patient_id": patient,
            "segment": torch.arange(8) % 2,
            "net_input": {"source": torch.randn(8, 12, 64), "padding_mask": None},
        }
        with torch.no_grad():
            outputs = model(**sample["net_input"])["x"].clone()
        loss, size, logged = criterion(model, sample)
        loss.backward()
        torch.testing.assert_close(loss.detach(), loss_in_plain_words(name, outputs, sample))
        # Pairs of halves: 2 x 2 of patient 0, one of each other; else the rows.
        assert int(size) == (6 if name == "cmsc" else 8)
        assert logged["sample_size"] == size

    return compute


def mask_the_same_leads_again(cfg: Any) -> None:
    """Read the first record of an epoch after others were read, and at once."""
    raw = importlib.import_module(f"{HOST}.data.ecg.raw_ecg_dataset")
    pretraining = importlib.import_module(f"{HOST}.tasks").Task
    with tempfile.TemporaryDirectory() as folder:
        contents = {"feats": np.ones((12, 8)), "curr_sample_rate": 100, "curr_sample_size": 8}
        for number in range(3):
            savemat(f"{folder}/{number}.mat", contents)
        rows = "".join(f"{number}.mat\t8\n" for number in range(3))
        Path(folder, "train.tsv").write_text(f"{folder}\n{rows}", encoding="utf-8")
        masking = {"perturbation_mode": ["random_leads_masking"], "p": [1.0]}
        dataset = raw.FileECGDataset(f"{folder}/train.tsv", 100, pad=True, **masking)
        task = pretraining(OmegaConf.create({}))

        def read(epoch: int) -> list[Any]:
            options = {"max_signals": 1, "seed": 4, "epoch": epoch, "disable_iterator_cache": True}
            batches = task.get_batch_iterator(dataset, **options).next_epoch_itr(shuffle=False)
            return [batch["net_input"]["source"].amax(-1) for batch in batches]

        first, second, third = read(1), read(2), read(2)
    assert all(torch.equal(one, other) for one, other in zip(second, third, strict=True))
    assert not all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


ATTEMPTS: dict[str, Callable[[Any], None]] = {
    "omegaconf._utils.is_primitive_type restored": load_a_checkpoint,
    "gradient clipping without CUDA": clip_gradients,
    "resuming in the middle of an epoch": resume_in_an_epoch,
    "criterion clocs called cmsc": build_clocs,
    "random lead masking drawn by seed, update and record": mask_the_same_leads_again,
    "checkpoints taken over by every process": lambda _: take_over_a_checkpoint(HOST),
    **{f"criterion {name} mended": compute_loss(name) for name in ("simclr", "3kg", "cmsc")},
}
MODEL = {
    "_name": "ecg_transformer", "encoder_layers": 1, "encoder_embed_dim": 16, "conv_pos": 8,
    "encoder_ffn_embed_dim": 16, "encoder_attention_heads": 2, "conv_pos_groups": 2,
    "conv_feature_layers": "[(16, 2, 2)] * 2", "all_gather": False,
    "normalize": False, "filter": False, "data": "",
}  # fmt: skip
TASK = {"_name": "ecg_pretraining", "data": "", "criterion_name": "clocs"}


def main() -> None:
    at_the_start, patching.AT_THE_START = patching.AT_THE_START, ()
    patching.apply(HOST)  # no more than its import takes
    cfg = OmegaConf.create(
        {"model": MODEL, "task": TASK, "criterion": {"_name": "clocs", "temp": 0.3}}
    )
    OmegaConf.set_struct(cfg, True)
    outcomes: dict[str, dict[str, Any]] = {}
    for patch in (p for p in (*at_the_start[1:], *patching.IN_RUNS) if HOST in p.hosts):
        outcomes[patch.name] = {"needed": patch.needed(), "before": outcome(patch.name, cfg)}
        if outcomes[patch.name]["needed"]:
            patch.apply(cfg)
        outcomes[patch.name]["after"] = outcome(patch.name, cfg)
        outcomes[patch.name]["still_needed"] = patch.needed()
    json.dump(outcomes, sys.stdout)


def outcome(name: str, cfg: Any) -> str:
    try:
        ATTEMPTS[name](cfg)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "works"


if __name__ == "__main__":
    main()
