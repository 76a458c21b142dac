"""Distillation: soft targets, teachers that judge whom they never saw, and students."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from selfmis_plugin import toolkit
from selfmis_plugin.benchmark import timed_training
from selfmis_plugin.benchmark.commands import Spent
from selfmis_plugin.benchmark.cross_validation import Folds, run_folds
from selfmis_plugin.benchmark.trials import Tuned, with_rates
from selfmis_plugin.checkpoints import CheckpointError, read_checkpoint
from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.checkpoints.facts import TrainingFacts, facts_state, read_facts
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.cli.benchmarks.mi import _chosen_methods
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.inner_folds import inner_folds_of
from selfmis_plugin.data.origin import SYNTHETIC, Origin
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.provenance import TrainedOn
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import Store
from selfmis_plugin.evaluation.evaluate import evaluate
from selfmis_plugin.methods import known_methods, known_rows
from selfmis_plugin.methods.distillation import kept_targets
from selfmis_plugin.methods.distillation.dataset import TaughtDataset, TaughtPart
from selfmis_plugin.methods.distillation.kept_targets import teacher_outputs
from selfmis_plugin.methods.distillation.rows import TEACHER_FOLDS
from selfmis_plugin.methods.distillation.teachers import Teachers, read_teachers
from selfmis_plugin.nn.losses.soft_targets import embedding_loss, soft_target_loss
from selfmis_plugin.training.registration import register_all
from tests.checkpoint_files import RATE, write_classifier, write_judge, write_run
from tests.fold_runs import folds_settings, own_folds, patients_of
from tests.host_in_process import Training, config_of, same_weights
from tests.support import LABELS, write_store

__all__ = ["own_folds"]  # a fixture

FOLDS = 2
CPU = torch.device("cpu")


def write_teacher(
    path: Path,
    fold: int | None,
    before: Sequence[TrainedOn] = (),
    labels: int = 64,
    database: str = "ptbxl",
) -> Path:
    """Save a classifier of twelve leads as if it had left an inner fold out of its training."""
    write_judge(path, seed=fold or 9)
    state = read_checkpoint(path)
    path.unlink()  # its tensors are still read from it
    if fold is not None:
        state["cfg"]["task"] |= {"inner_folds": FOLDS, "inner_fold": fold}
    steps = (*before, TrainedOn("selfmis_classifier", database, labels))
    state["task_state"] |= facts_state(TrainingFacts(steps))
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of labelled records, another of unlabelled ones, and two teachers."""
    register_all()
    folder = tmp_path_factory.mktemp("distillation")
    write_store(folder / "store", {"train": 64, "valid": 24, "test": 16})
    others = (Origin(SYNTHETIC, "other hearts"),)  # whose numbers the labelled ones have too
    write_store(folder / "further", {"train": 40, "valid": 8}, seed=1, origins=others)
    for fold in (1, 2):
        write_teacher(folder / f"teacher{fold}.pt", fold)
    return folder


def teachers_of(folder: Path, *names: str, in_sample: bool = False) -> Teachers:
    store = Store.open(folder / "store")
    preprocessing = Preprocessing(RATE, 10.0, ("I",), "none")
    paths = [str(folder / f"{name}.pt") for name in names or ("teacher1", "teacher2")]
    return read_teachers(paths, LABELS[1:], preprocessing, store, in_sample)


# -- the loss ----------------------------------------------------------------------------------


def by_hand(student: np.ndarray, teacher: np.ndarray, temperature: float) -> np.ndarray:
    wanted = 1 / (1 + np.exp(-teacher / temperature))
    said = 1 / (1 + np.exp(-student / temperature))
    each = -wanted * np.log(said) - (1 - wanted) * np.log(1 - said)
    return temperature**2 * each.mean(axis=1)  # type: ignore[no-any-return]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_soft_targets_are_those_of_the_formula(temperature: float) -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(0, 3, (2, 7, 5))
    found = soft_target_loss(torch.tensor(student), torch.tensor(teacher), temperature)
    np.testing.assert_allclose(found, by_hand(student, teacher, temperature), rtol=1e-5)
    # The teacher's own logits are the best answer, and gradients keep their size when it is warm.
    best = torch.tensor(teacher, requires_grad=True)
    soft_target_loss(best, torch.tensor(teacher), temperature).sum().backward()
    assert best.grad is not None and best.grad.abs().max() < 1e-6
    with pytest.raises(ValueError, match="not above 0"):
        soft_target_loss(best, best, 0.0)


def test_embeddings_are_compared_as_asked() -> None:
    rng = np.random.default_rng(1)
    one, two = rng.normal(size=(2, 6, 4))
    cosine = (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
    tensors = torch.tensor(one), torch.tensor(two)
    np.testing.assert_allclose(embedding_loss(*tensors), 1 - cosine, rtol=1e-5)
    found = embedding_loss(*tensors, kind="mse")
    np.testing.assert_allclose(found, ((one - two) ** 2).mean(1), rtol=1e-5)
    with pytest.raises(ValueError, match="cosine or mse"):
        embedding_loss(*tensors, kind="l1")


# -- teachers ----------------------------------------------------------------------------------


def test_inner_folds_are_of_patients_alone() -> None:
    patients = [str(k % 300) for k in range(900)]
    found = inner_folds_of(patients, 3)
    assert (found[:300] == found[300:600]).all() and set(found) == {1, 2, 3}
    assert min(np.bincount(found[:300])[1:]) > 70
    back = inner_folds_of(patients[::-1], 3)
    np.testing.assert_array_equal(back[::-1], found)
    with pytest.raises(ValueError, match="one at least"):
        inner_folds_of(patients, 0)


def test_no_teacher_judges_a_patient_of_its_training(folder: Path, tmp_path: Path) -> None:
    teachers = teachers_of(folder, "teacher2", "teacher1")
    part = open_split(folder / "store", "train")
    dataset = TaughtPart(part.store, part.rows, ["I"], LABELS[1:])
    said = teacher_outputs(
        dataset, teachers, LABELS[1:], False, str(tmp_path), "float32", 16, CPU
    ).read(np.arange(64))
    asked = teachers.asked(part.store, part.rows)
    for place in range(FOLDS):
        # What the training with this teacher's keys reads.
        cfg = config_of(
            "selfmis_finetune_small",
            **{
                "task.data": str(folder / "store"),
                "task.inner_folds": FOLDS,
                "task.inner_fold": place + 1,
            },
        )
        task: Any = toolkit.setup_task(OmegaConf.create(cfg))
        learnt = patients_of(part.store, task.training_split.rows)
        judged = part.rows[asked == place]
        assert len(judged) and len(learnt) and not learnt & patients_of(part.store, judged)
        assert len(learnt) + len(judged) == 64
        # Nobody's validation loses a patient.
        assert len(task.open_part("valid").rows) == 24
        network = load_trained(folder / f"teacher{place + 1}.pt")
        assert isinstance(network, LoadedClassifier)
        with torch.no_grad():
            own = network.network(500).eval()(torch.from_numpy(part.store.read(judged)))
        np.testing.assert_allclose(said[asked == place], own[:, 1:], rtol=1e-4, atol=1e-5)


def test_what_teachers_say_is_kept_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = open_split(folder / "store", "train")
    dataset = TaughtPart(part.store, part.rows, ["I"], LABELS[1:])
    judged: list[int] = []
    said = kept_targets._said

    def counted(network: Any, dataset: Any, rows: np.ndarray, *rest: Any) -> Any:
        judged.append(len(rows))
        return said(network, dataset, rows, *rest)

    monkeypatch.setattr(kept_targets, "_said", counted)

    def outputs(teachers: Teachers, with_embeddings: bool = False, dtype: str = "float32") -> Any:
        place = str(tmp_path)
        cache = teacher_outputs(
            dataset, teachers, LABELS[1:], with_embeddings, place, dtype, 16, CPU
        )
        return cache.read(np.arange(64))

    teachers = teachers_of(folder)
    first = outputs(teachers)
    assert len(judged) >= 8 and set(judged) == {16}
    judged.clear()
    np.testing.assert_array_equal(outputs(teachers), first)
    assert not judged
    half = outputs(teachers, dtype="float16")
    np.testing.assert_allclose(half, first, atol=2e-3)
    whole = outputs(teachers, with_embeddings=True)
    np.testing.assert_array_equal(whole[:, :3], first)
    assert whole.shape == (64, 3 + teachers.embedding_dim) and judged
    # Other weights say something else.
    judged.clear()
    write_teacher(tmp_path / "teacher1.pt", None)
    alone = [str(tmp_path / "teacher1.pt")]
    preprocessing = Preprocessing(RATE, 10.0, ("I",), "none")
    other = read_teachers(alone, LABELS[1:], preprocessing, part.store, in_sample=True)
    assert np.abs(outputs(other) - first).max() > 0.01 and judged


def test_teachers_that_know_the_records_are_refused(folder: Path, tmp_path: Path) -> None:
    write_teacher(folder / "alone.pt", None)
    archive = TrainedOn("selfmis_classifier", "ptbxl", 900)
    write_teacher(folder / "begun.pt", 1, [archive])
    write_teacher(folder / "elsewhere.pt", 1, [TrainedOn("selfmis_classifier", "mimic-iv-ecg", 9)])
    write_classifier(folder / "other.pt", labels=("NORM",))
    for names, message in (
        (("alone",), "may have been trained on the records"),
        (("begun", "teacher2"), "starts from weights that may know"),
        (("teacher1",), "give one for each of 2 folds"),
        (("teacher1", "teacher1"), "give one for each of 2 folds"),
        (("alone", "teacher1"), "left out no inner fold"),
        (("other",), "was not taught AMI"),
    ):
        with pytest.raises(CheckpointError, match=message):
            teachers_of(folder, *names)
    assert teachers_of(folder, "alone", in_sample=True).folds == 1
    assert teachers_of(folder, "elsewhere", "teacher2").folds == FOLDS


def test_labelled_and_unlabelled_records_share_batches(folder: Path) -> None:
    parts = [open_split(folder / name, "train") for name in ("store", "further")]
    labelled, further = (
        TaughtPart(part.store, part.rows, ["I"], labels, shuffle_seed=1)
        for part, labels in zip(parts, (LABELS[1:], ()), strict=True)
    )
    dataset = TaughtDataset(labelled, further, per_labelled=0.25)
    orders = []
    for epoch in (1, 2):
        dataset.set_epoch(epoch)
        orders.append(dataset.ordered_indices())
        assert len(orders[-1]) == 64 + 16 and set(range(64)) <= set(orders[-1].tolist())
    assert set(orders[0].tolist()) != set(orders[1].tolist())
    batch = dataset.batch([70, 3, 65, 0])
    assert batch["labelled"].tolist() == [True, True, False, False]
    assert batch["id"].tolist() == [3, 0, len(parts[0].store) + 6, len(parts[0].store) + 1]
    np.testing.assert_array_equal(
        batch["net_input"]["signal"],
        np.concatenate([parts[0].store.read([3, 0], ["I"]), parts[1].store.read([6, 1], ["I"])]),
    )
    np.testing.assert_array_equal(batch["target"][:2], parts[0].store.targets([3, 0], LABELS[1:]))
    assert not batch["target"][2:].any()


# -- students ----------------------------------------------------------------------------------


def student(folder: Path, **changes: Any) -> dict[str, Any]:
    return config_of(
        "distillation_small",
        **{
            "task.data": str(folder / "store"),
            "task.teachers": [str(folder / f"teacher{fold}.pt") for fold in (1, 2)],
            "task.unlabelled": str(folder / "further"),
            "task.label_set": "infarction",
            "model.base_filters": 8,
            "model.filters": [8, 16],
            "model.blocks": [1, 1],
            "model.group_width": 8,
            "lr_scheduler.warmup_updates": 0,
            "optimization.max_epoch": 2,
            "dataset.batch_size": 26,
            "checkpoint.save_interval_updates": 1,
            "common.cpu": True,
            **changes,
        },
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "criterion.embedding_weight": 0.5,
            "criterion.temperature": 2.0,
            "task.crop_seconds": 7.0,
            "task.unlabelled_per_labelled": 0.25,
        },
    ],
    ids=["plain", "all_terms"],
)
def test_a_student_is_a_classifier_and_goes_on_to_the_bit(
    folder: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    whole = Training(student(folder, **changes), tmp_path / "whole")
    (tmp_path / "again/checkpoints").mkdir(parents=True)
    last = tmp_path / "whole/checkpoints/checkpoint_1_2.pt"
    shutil.copy(last, tmp_path / "again/checkpoints/checkpoint_last.pt")
    again = Training(tmp_path / "whole/checkpoints/checkpoint_last.pt", tmp_path / "again")
    assert same_weights(whole.last, again.last)
    assert not same_weights(whole.last, read_checkpoint(last))
    records = sum(len(ids) for ids, _ in whole.losses)
    further = 16 if changes else 40
    # Validation comes after each of the eight updates.
    assert records == 2 * (64 + further) + 8 * 24
    best = tmp_path / "whole/checkpoints/checkpoint_best.pt"
    trained = load_trained(best)
    assert isinstance(trained, LoadedClassifier) and trained.labels == LABELS[1:]
    assert trained.preprocessing.leads == ("I",)
    assert evaluate(best, folder / "store", "test", draws=0)["records"] == 16
    steps = [step.step for step in read_facts(best).provenance]
    assert steps == ["selfmis_classifier", "distillation, unlabelled", "distillation"]


def test_the_loss_of_a_batch_is_that_of_the_formula(folder: Path, tmp_path: Path) -> None:
    """One update from known weights: the training's own loss against NumPy."""
    keys: dict[str, Any] = {
        "optimization.max_update": 1,
        "optimization.lr": [0.0],
        "dataset.batch_size": 104,
        "criterion.temperature": 2.0,
        "criterion.hard_weight": 0.3,
        "task.embedding_cache_dir": str(tmp_path / "kept"),
    }
    run = Training(student(folder, **keys), tmp_path / "run")
    ids, loss = run.losses[0]
    assert len(ids) == 104
    last = load_trained(tmp_path / "run/checkpoints/checkpoint_last.pt")
    assert isinstance(last, LoadedClassifier)
    teachers, total = teachers_of(folder), 0.0
    for name, weight in (("store", 0.3), ("further", 0.0)):
        part = open_split(folder / name, "train")
        with torch.no_grad():
            signal = torch.from_numpy(part.store.read(part.rows, ["I"]))
            logits = last.network(500).eval()(signal).double().numpy()
            asked = teachers.asked(part.store, part.rows)
            every = torch.from_numpy(part.store.read(part.rows))
            said = [net(every)[:, 1:].double().numpy() for net in teachers.networks(500)]
        taught = np.where(asked[:, None] == 0, *said)
        soft = by_hand(logits, taught, 2.0)
        target = part.store.targets(part.rows, LABELS[1:])
        hard = (np.logaddexp(0, logits) - target * logits).mean(1)
        total += float((weight * hard + (1 - weight) * soft).sum())
    assert loss == pytest.approx(total / 104, rel=1e-4)


def test_what_is_asked_wrongly_is_said(folder: Path, tmp_path: Path) -> None:
    for changes, message in (
        ({"task.teachers": []}, "task.teachers is not set"),
        ({"task.inner_folds": 2, "task.inner_fold": 1}, "is for the teachers"),
        ({"task.inner_fold": 3}, "choose two folds at least"),
        ({"task.crop_seconds": 11.0}, "at most the 10 s"),
        ({"criterion.hard_weight": 1.5}, "must be from 0 to 1"),
        ({"criterion.temperature": 0.0}, "must be above 0"),
        ({"criterion.embedding_loss": "l1"}, "choose cosine or mse"),
    ):
        with pytest.raises(ValueError, match=message):
            Training(student(folder, **changes), tmp_path / "refused")


def test_a_lone_teacher_does_not_judge_unlabelled_records_that_it_learnt_from(
    folder: Path, tmp_path: Path
) -> None:
    write_store(tmp_path / "mimic", {"train": 40}, seed=2, database="mimic-iv-ecg")
    lone = write_teacher(folder / "lone.pt", None, database="mimic-iv-ecg")
    asked = {"task.teachers": [str(lone)], "optimization.max_update": 1}
    known = {**asked, "task.unlabelled": str(tmp_path / "mimic")}
    with pytest.raises(CheckpointError, match="leave out task.unlabelled"):
        Training(student(folder, **known), tmp_path / "refused")
    # Of others it may speak, and whoever knows what that means may let it.
    Training(student(folder, **asked), tmp_path / "others")
    Training(student(folder, **known, **{"task.in_sample_teacher": True}), tmp_path / "allowed")


# -- the benchmark -----------------------------------------------------------------------------


def test_a_rotation_has_teachers_of_its_own(
    own_folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, tuple[str, dict[str, Any]]] = {}

    def trained(run: Path, config: str, overrides: dict[str, Any], *_: object) -> Spent:
        seen[run.relative_to(tmp_path / "b").as_posix()] = config, overrides
        write_run(run, config.startswith("selfmis_pretrain"), len(seen), seconds=1)
        return Spent(1.0, None)

    monkeypatch.setattr(timed_training, "train", trained)
    methods = known_methods()
    asked = folds_settings(
        tmp_path / "b",
        dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds),
        methods=[methods["distillation"], methods["distillation_from_selfmis"]],
        modes=("finetune",),
        seeds=(1,),
    )
    report = run_folds(asked, Folds(held_out=(9, 10)))
    assert report["failed"] == {} and len(report["rows"]) == 2
    students = {
        name: keys for name, (config, keys) in seen.items() if config == "distillation_small"
    }
    teachers = {name: keys for name, (_, keys) in seen.items() if "task.inner_fold" in keys}
    assert len(students) == 2 and len(teachers) == TEACHER_FOLDS
    for name, keys in students.items():
        fold = name.split("/")[0]
        assert [path.parts[-5] for path in keys["task.teachers"]] == [
            f"without_fold{k}" for k in range(1, TEACHER_FOLDS + 1)
        ]
        assert all(fold in path.parts for path in keys["task.teachers"])
        assert fold in keys["task.unlabelled"].parts and fold in keys["task.data"].parts
        test = open_split(keys["task.data"], "test")
        unseen = patients_of(test.store, test.rows)
        for folder in (keys["task.unlabelled"], keys["task.data"]):
            part = open_split(folder, "train")
            assert not patients_of(part.store, part.rows) & unseen
        begins = keys.get("model.encoder_checkpoint")
        assert (begins is not None) == ("from_selfmis" in name)
    for name, keys in teachers.items():
        assert (
            keys["task.data"]
            == students[f"{name.split('/')[0]}/seed1/distillation/finetune/1/run"]["task.data"]
        )
        assert keys["model.encoder_checkpoint"] is None and len(keys["task.leads"]) == 12


def test_trials_of_students_share_teachers_of_the_rate_that_was_chosen(
    own_folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, dict[str, Any]] = {}

    def trained(run: Path, config: str, overrides: dict[str, Any], *_: object) -> Spent:
        name = run.relative_to(tmp_path / "b").as_posix()
        assert name not in seen
        seen[name] = overrides
        write_run(run, config.startswith("selfmis_pretrain"), sum(map(ord, name)), seconds=1)
        return Spent(1.0, None)

    monkeypatch.setattr(timed_training, "train", trained)
    methods = known_methods()
    names = ("twelve_lead_labels", "distillation", "distillation_from_supervised")
    asked = folds_settings(
        tmp_path / "b",
        dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds),
        methods=[methods[name] for name in names],
        modes=("finetune",),
        seeds=(1,),
    )
    report = run_folds(asked, Folds(3, trials=True))
    assert report["failed"] == {} and len(report["rows"]) == 3
    rates = {one["name"]: one["rate"] for one in report["tuned"]}
    assert set(rates) == {"single_lead_encoder", *(f"{name}/finetune" for name in names)}
    trials = {name: keys for name, keys in seen.items() if name.startswith("trials")}
    teachers = {name: keys for name, keys in trials.items() if "task.inner_fold" in keys}
    students = {name: keys for name, keys in trials.items() if "task.teachers" in keys}
    assert len(teachers) == TEACHER_FOLDS and len(students) == 2 * 4
    best = [tmp_path / "b" / name / "checkpoints/checkpoint_best.pt" for name in sorted(teachers)]
    assert all(keys["task.teachers"] == best for keys in students.values())
    encoder = f"trials/single_lead_encoder/{rates['single_lead_encoder']:g}/"
    for name, keys in students.items():
        begins = keys.get("model.encoder_checkpoint")
        assert (begins is not None) == ("from_supervised" in name)
        assert begins is None or encoder in str(begins)
    # Nothing but what was tried, and teachers: no encoder twice.
    assert len(trials) == 4 * (2 + 1) + TEACHER_FOLDS + 2 * 4
    wanted = [rates["twelve_lead_labels/finetune"]]
    assert all(keys["optimization.lr"] == wanted for keys in teachers.values())
    final = [k for n, k in seen.items() if n.startswith("fold") and "task.inner_fold" in k]
    assert len(final) == 3 * TEACHER_FOLDS
    assert all(keys["optimization.lr"] == wanted for keys in final)
    # The user's own word goes first.
    said = {"twelve_lead_labels/without_fold2": {"optimization.lr": [0.5]}}
    tuned = Tuned("twelve_lead_labels/finetune", "twelve_lead_labels", (), 0.125)
    rated = with_rates(dataclasses.replace(asked, overrides=said), [tuned]).overrides
    found = {name: keys["optimization.lr"] for name, keys in rated.items()}
    assert found == {
        "twelve_lead_labels/finetune": [0.125],
        "twelve_lead_labels/without_fold1": [0.125],
        "twelve_lead_labels/without_fold2": [0.5],
        "twelve_lead_labels/without_fold3": [0.125],
    }


def test_rows_by_name_are_run_only_where_they_are_named(
    own_folds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = known_rows()
    usual = {method.name for method in _chosen_methods(None, rows)}
    named = {name for name, method in rows.methods.items() if method.by_name}
    assert usual == set(rows.methods) - named and {"distillation", "selfmis_crops"} <= named
    assert [m.name for m in _chosen_methods("distillation", rows)] == ["distillation"]
    with pytest.raises(SystemExit):
        main(["benchmark", "mi", "--help"])
    assert "distillation_from_selfmis" in capsys.readouterr().out
