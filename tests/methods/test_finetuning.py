"""Fine-tuning: head warm-up, the encoder's own learning rate, class weights, two stages."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from selfmis_plugin.checkpoints import CheckpointError, read_checkpoint
from selfmis_plugin.checkpoints.facts import LabelCounts
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.evaluation.evaluate import evaluate
from selfmis_plugin.methods.distillation.criterion import SoftTargets, SoftTargetsConfig
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.inputs import Preparation
from selfmis_plugin.probe.criterion import MultiLabelBCE, MultiLabelBCEConfig
from selfmis_plugin.probe.encoder_rate import encoder_learning_rate
from selfmis_plugin.probe.fresh_head import begin_at_prevalence
from selfmis_plugin.probe.model import SelfMISClassifier
from tests.checkpoint_files import CONFIG, write_classifier, write_towers
from tests.host_in_process import Training, same_weights
from tests.processes import run_processes
from tests.support import LABELS, TINY, train, write_store
from tests.wfdb_files import write_record

ENCODER = "network.encoder."


class Runs:
    """A probe, and a second stage that starts from it, by the command line."""

    def __init__(self, folder: Path) -> None:
        self.store = write_store(folder / "store", {"train": 64, "valid": 32})
        encoder = write_classifier(folder / "encoder.pt")
        shared = [*TINY, "task.data=store", "dataset.batch_size=16"]
        train(
            ["--config-name", "selfmis_linear_probe_small", *shared, "hydra.run.dir=probe"]
            + [f"model.encoder_checkpoint={encoder}", "optimization.max_epoch=2"],
            folder,
        )
        self.probe = folder / "probe/checkpoints/checkpoint_best.pt"
        self.output = train(
            ["--config-name", "selfmis_finetune_two_stage_small", *shared, "hydra.run.dir=tuned"]
            + ["model.classifier_checkpoint=probe/checkpoints/checkpoint_best.pt"]
            + ["model.freeze_encoder_updates=6", "criterion.positive_weight_cap=2"]
            + ["optimization.max_epoch=3", "checkpoint.save_interval_updates=1"]
            + ["optimizer.weight_decay=0.01"],
            folder,
        )
        self.tuned = folder / "tuned/checkpoints/checkpoint_last.pt"

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        weights: dict[str, torch.Tensor] = read_checkpoint(self.tuned.with_name(name))["model"]
        return weights


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("finetuning"))


def changed(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in first.items() if not torch.equal(value, second[name])}


def test_the_encoder_rests_in_the_warm_up_and_only_there(runs: Runs) -> None:
    # Four updates an epoch: the warm-up of six ends in the second one.
    states = [runs.weights(f"checkpoint_{n}.pt") for n in ("1_1", "1_3", "2_6", "2_7")]
    probe = read_checkpoint(runs.probe)["model"]
    encoder = {name for name in probe if name.startswith(ENCODER)}
    assert len(encoder) > 10
    head = {"network.head.weight", "network.head.bias"}
    for state in states[:3]:
        assert all(torch.equal(state[name], probe[name]) for name in encoder)
    assert changed(states[0], states[1]) == changed(states[1], states[2]) == head
    assert changed(states[2], states[3]) == head | encoder


def test_the_optimizer_begins_with_the_encoder_when_it_is_trained(runs: Runs) -> None:
    saved = read_checkpoint(runs.tuned)["last_optimizer_state"]
    (group,) = saved["param_groups"]  # as the host made it
    steps = {key: state["step"] for key, state in saved["state"].items()}
    assert len(group["params"]) == len(steps) and sorted(set(steps.values())) == [6, 12]
    assert sum(count == 12 for count in steps.values()) == 2  # the head's


@pytest.mark.parametrize("updates", ["1_3", "2_6", "2_7"])
def test_resumed_in_and_after_the_warm_up(runs: Runs, tmp_path: Path, updates: str) -> None:
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(
        runs.tuned.with_name(f"checkpoint_{updates}.pt"),
        tmp_path / "checkpoints/checkpoint_last.pt",
    )
    resumed = Training(runs.tuned, tmp_path)
    assert same_weights(resumed.last, read_checkpoint(runs.tuned))


def test_the_encoder_learns_at_its_own_rate(runs: Runs, tmp_path: Path) -> None:
    one = {
        "model.freeze_encoder_updates": 0,
        "optimizer.weight_decay": 0.0,
        "optimization.max_update": 1,
        "checkpoint.save_interval_updates": 0,
    }
    steps = []
    for scale in (1.0, 0.1):
        folder = tmp_path / str(scale)
        run = Training(runs.tuned, folder, **one, **{"model.encoder_lr_scale": scale})
        start = start_of(runs)
        steps.append({name: run.last["model"][name] - start[name] for name in start})
    fast, slow = steps
    for name in fast:
        factor = 0.1 if name.startswith(ENCODER) else 1.0
        assert fast[name].abs().max() > 0, name
        torch.testing.assert_close(slow[name], factor * fast[name], rtol=1e-3, atol=1e-7)


def start_of(runs: Runs) -> dict[str, torch.Tensor]:
    """The probe's weights, with its standardisation in the head, computed anew."""
    probe = {name: value.double() for name, value in read_checkpoint(runs.probe)["model"].items()}
    deviation = probe.pop("network.embedding_deviation")
    mean = probe.pop("network.embedding_mean")
    del probe["network.embedding_known"]
    probe["network.head.bias"] -= probe["network.head.weight"] @ (mean / deviation)
    probe["network.head.weight"] /= deviation
    return {name: value.float() for name, value in probe.items()}


@pytest.mark.parametrize("standardize", [False, True])
def test_the_second_stage_starts_with_the_probes_logits(
    runs: Runs, tmp_path: Path, standardize: bool
) -> None:
    # Warm-up without a head that moves: nothing is trained.
    untouched = {
        "model.freeze_encoder_updates": 9,
        "model.standardize_embeddings": standardize,
        "lr_scheduler.lr": [0.0],
        "optimization.max_update": 1,
        "checkpoint.save_interval_updates": 0,
    }
    Training(runs.tuned, tmp_path, **untouched)
    torch.manual_seed(0)
    signal = torch.randint(-900, 900, (8, 1, 5000), dtype=torch.int16)
    with torch.no_grad():
        probe, second = (
            load_trained(path).network(500).eval()(signal)
            for path in (runs.probe, tmp_path / "checkpoints/checkpoint_last.pt")
        )
    assert probe.std() > 0.01
    # Sums in another order: how far they are apart depends on the processor.
    torch.testing.assert_close(second, probe, rtol=1e-4, atol=1e-3 * probe.std().item())


def test_class_weights_are_counted_capped_and_said(runs: Runs, tmp_path: Path, caplog) -> None:
    part = open_split(runs.store, "train")
    listed = part.store.records["labels"].iloc[part.rows]
    counts = [sum(name in labels for labels in listed) for name in LABELS]
    assert counts[3] == 0  # no PMI: its negatives count as they are
    weights = [min(2.0, (64 - count) / count) if count else 2.0 for count in counts]
    assert 1 < min(weights) < 2
    assert f"from 64 training records: NORM {weights[0]:.3g} ({counts[0]} positives)" in runs.output

    with caplog.at_level("INFO"):
        run = Training(
            runs.tuned,
            tmp_path,
            **{"optimization.max_update": 1, "checkpoint.save_interval_updates": 0},
        )
    assert "weights of positives, at most 2" in caplog.text
    network = EncoderClassifier(CONFIG, len(LABELS), ["I"], store_rate=500, sample_rate=100)
    network.load_state_dict({k.removeprefix("network."): v for k, v in start_of(runs).items()})

    def expected(rows: tuple[int, ...], weight: list[float] | None) -> float:
        signal = torch.from_numpy(part.store.read(np.array(rows), ["I"]))
        target = torch.from_numpy(part.store.targets(rows, LABELS))
        with torch.no_grad():
            losses = F.binary_cross_entropy_with_logits(network(signal), target, reduction="none")
        factor = 1 + target * (torch.tensor(weight) - 1) if weight else 1
        return float((losses * factor).mean())

    rows, loss = run.losses[0]
    assert loss == pytest.approx(expected(rows, weights), rel=1e-4)
    assert loss != pytest.approx(expected(rows, None), rel=1e-2)
    # Validation has none.
    network.load_state_dict({k.removeprefix("network."): v for k, v in run.last["model"].items()})
    rows, loss = run.losses[-1]
    assert loss == pytest.approx(expected(rows, None), rel=1e-4)


@pytest.mark.parametrize("kind", ["bce", "soft"])
@pytest.mark.parametrize("cap", [0.5, 10.0])
def test_a_label_that_every_training_record_has_is_trained(kind: str, cap: float) -> None:
    names = ("AMI", "NORM", "PMI")
    counts = LabelCounts(32, {"AMI": 32, "NORM": 8, "PMI": 0})
    task: Any = SimpleNamespace(labels=names, label_counts=lambda: counts, cfg=SimpleNamespace())
    criterion: MultiLabelBCE = (
        MultiLabelBCE(MultiLabelBCEConfig(positive_weight_cap=cap), task)
        if kind == "bce"
        else SoftTargets(SoftTargetsConfig(positive_weight_cap=cap), task)
    )
    assert criterion.positive_weight is not None
    assert criterion.positive_weight.tolist() == [min(cap, 1.0), min(cap, 3.0), cap]
    torch.manual_seed(0)
    head = torch.nn.Linear(4, 3)
    begin_at_prevalence(head, names, counts, criterion.positive_weight)
    assert head.bias.isfinite().all()
    target = torch.zeros(8, 3)
    target[:, 0] = target[:2, 1] = 1
    sample: dict[str, Any] = {"net_input": {"signal": torch.randn(8, 4)}, "target": target}
    sample |= {"taught": torch.randn(8, 3), "labelled": torch.ones(8)}
    optimizer = torch.optim.SGD(head.parameters(), lr=0.01)
    losses = []
    for _ in range(5):
        loss, _ = criterion.train().compute(lambda signal: head(signal), sample)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    with pytest.raises(ValueError, match="must be above 0"):
        begin_at_prevalence(head, names, counts, torch.tensor([0.0, 1.0, 1.0]))


def test_what_does_not_fit_is_said(runs: Runs, tmp_path: Path) -> None:
    other = write_classifier(tmp_path / "other.pt", labels=("NORM", "AMI", "IMI", "STTC"))
    for changes, message in (
        ({"model.classifier_checkpoint": str(other)}, "other labels: only it has STTC; only this"),
        ({"task.labels": ["AMI", "NORM", "IMI", "PMI"]}, "the same in another order"),
        ({"model.classifier_checkpoint": str(write_towers(tmp_path / "t.pt"))}, "has no head"),
        ({"model.base_filters": 4}, "another size.*model.base_filters=8"),
        ({"task.sample_rate": 250.0}, "prepared in another way"),
        ({"model.encoder_checkpoint": str(other)}, "leave out model.encoder_checkpoint"),
        ({"model.freeze_encoder": True}, "freezes the encoder for the whole run"),
        ({"model.encoder_lr_scale": 0.0}, "model.encoder_lr_scale=0.0 above 0"),
        ({"criterion.positive_weight_cap": 0.0}, "positive_weight_cap=0.0 is not a number above"),
    ):
        with pytest.raises((CheckpointError, ValueError), match=message):
            Training(runs.tuned, tmp_path / "run", **changes)
    plain = write_classifier(tmp_path / "plain.pt")
    wanted = {"model.classifier_checkpoint": str(plain), "model.standardize_embeddings": True}
    with pytest.raises(CheckpointError, match=r"with model\.standardize_embeddings=false"):
        Training(runs.tuned, tmp_path / "run", **wanted)


def test_an_optimizer_of_copies_is_refused() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    copies = torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.1)
    with (
        pytest.raises(ValueError, match=r"model\.precision=bfloat16"),
        encoder_learning_rate(copies, [weight], 0.5),
    ):
        pass


def warm_up_in_parallel(rank: int) -> dict[str, Any]:
    torch.manual_seed(0)
    network = EncoderClassifier(CONFIG, len(LABELS), ["I"], store_rate=500, sample_rate=100)
    model = SelfMISClassifier(network, freeze_encoder_updates=2)
    wrapped = DistributedDataParallel(model)
    torch.manual_seed(rank)
    moved = []
    for update in range(4):
        model.begin_update(update)
        wrapped.train()
        wrapped.zero_grad()
        signal = torch.randint(-900, 900, (4, 1, 1000), dtype=torch.int16)
        wrapped(signal=signal).square().sum().backward()
        moved.append(sum(float(p.grad.abs().sum()) for p in network.encoder.parameters()))
    return {"moved": moved}


def test_other_processes_wait_for_no_gradient_of_a_resting_encoder(tmp_path: Path) -> None:
    first, second = (result["moved"] for result in run_processes(warm_up_in_parallel, 2, tmp_path))
    assert first == second and first[:2] == [0, 0] and min(first[2:]) > 0


def test_a_classifier_of_100_hz_sources(runs: Runs, tmp_path: Path) -> None:
    root = tmp_path / "ptbxl"
    time = np.arange(1000) / 100
    table = ["ecg_id,patient_id,scp_codes,strat_fold,filename_lr,filename_hr"]
    sources = []
    for number in range(40):
        rng = np.random.default_rng(number)
        waves = np.sin(2 * np.pi * (rng.uniform(1, 20, (12, 5, 1)) * time + rng.random()))
        sources.append((waves.sum(1) * 200).round().astype(np.int16))
        name = f"records100/{number:05d}_lr"
        codes = "{'NORM': 100.0}" if number % 20 < 10 else "{'IMI': 100.0}"
        write_record(root / name, sources[-1], rate=100)
        table.append(f'{number},{number},"{codes}",{number % 10 + 1},{name},')
    (root / "ptbxl_database.csv").write_text("\n".join(table) + "\n")
    (root / "scp_statements.csv").write_text(",diagnostic\nNORM,1.0\nIMI,1.0\n")
    store = tmp_path / "store"
    made = ["prepare", "ptbxl", str(root), "--dest", str(store), "--source-rate", "100"]
    assert main([*made, "--workers", "1"]) == 0

    # What the encoder reads at 100 Hz is what the source holds (but for the filter at its ends).
    stored = torch.from_numpy(np.stack([open_split(store, "train").store.read([0])[0]]))
    read = Preparation(500, 100)(stored)[0, :, 50:-50]
    source = torch.from_numpy(sources[0][:, 50:-50]).float()
    scale = source.std() / read.std()
    assert float((read * scale - source).abs().max() / source.std()) < 0.05

    run = Training(
        runs.tuned,
        tmp_path / "run",
        **{
            "task.data": str(store),
            "task.sample_rate": 100.0,
            "model.classifier_checkpoint": None,
            "model.freeze_encoder_updates": 1,
            "checkpoint.best_checkpoint_metric": "macro_auc",
        },
    )
    assert run.last["task_state"]["labels"] == ["NORM", "IMI"]
    figures = evaluate(tmp_path / "run/checkpoints/checkpoint_best.pt", store, "test", draws=0)
    assert figures["records"] == 4 and 0 <= figures["macro_auc"] <= 1
