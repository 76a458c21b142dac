"""The benchmark cross-validated: who is in which fold, what a training reads, what is pooled."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from selfmis_plugin.benchmark import timed_training
from selfmis_plugin.benchmark.commands import Spent
from selfmis_plugin.benchmark.cross_validation import ANY, MEAN, Folds, run_folds
from selfmis_plugin.benchmark.folds_report import write_folds_report
from selfmis_plugin.benchmark.kept_cells import KeptCells
from selfmis_plugin.benchmark.rotations import held_out, rotations
from selfmis_plugin.benchmark.settings import InfarctionError
from selfmis_plugin.benchmark.trials import is_said
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.split_manifests import write_split_manifests
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import Store
from selfmis_plugin.methods import known_methods
from selfmis_plugin.metrics.over_seeds import difference_over_seeds, mean_over_seeds
from selfmis_plugin.metrics.predictions import Predictions, PredictionsError
from tests.fold_runs import (
    SPLITS,
    TYPES,
    Run,
    folds_settings,
    own_folds,
    patients_of,
    runs,
    write_patients,
)

__all__ = ["own_folds", "runs"]  # fixtures


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    patients=st.lists(st.integers(0, 30), min_size=30, max_size=60).filter(
        lambda p: len(set(p)) > 12
    ),
    folds=st.integers(3, 6),
    seed=st.integers(0, 99),
    own=st.booleans(),
)
def test_every_record_is_tested_on_once_and_no_patient_twice(
    tmp_path_factory: pytest.TempPathFactory,
    patients: list[int],
    folds: int,
    seed: int,
    own: bool,
) -> None:
    mine = np.random.default_rng(seed).permutation(np.arange(31) % 6 + 1)
    given_folds = [int(mine[p]) for p in patients] if own else [None] * len(patients)
    path = write_patients(tmp_path_factory.mktemp("drawn") / "s", patients, given_folds)
    if own and len(set(given_folds)) < folds:
        with pytest.raises(InfarctionError, match=r"cannot\s+make"):
            rotations(path, folds)
        return
    turns = rotations(path, folds)
    tested = np.concatenate([turn.rows["test"] for turn in turns])
    assert sorted(tested) == list(range(len(patients)))
    for turn in turns:
        parts = [patients_of(turn.store, turn.rows[split]) for split in SPLITS]
        assert sum(map(len, turn.rows.values())) == len(patients)
        assert all(parts) and not (parts[0] & parts[1] | parts[1] & parts[2] | parts[0] & parts[2])
    again = rotations(path, folds)
    for turn, other in zip(turns, again, strict=True):
        np.testing.assert_array_equal(turn.rows["test"], other.rows["test"])
    if own:
        strat = turns[0].store.records["strat_fold"].to_numpy(dtype=int)
        for turn in turns:
            inside = set(strat[turn.rows["test"]])
            assert not inside & set(strat[np.setdiff1d(tested, turn.rows["test"])])


def test_chosen_folds_and_those_held_out(own_folds: Path, tmp_path: Path) -> None:
    strat = Store.open(own_folds).records["strat_fold"].to_numpy(dtype=int)
    turns = rotations(own_folds, 4, range(1, 9))
    for number, turn in enumerate(turns):
        assert set(strat[turn.rows["test"]]) == {2 * number + 1, 2 * number + 2}
        assert not {9, 10} & {f for rows in turn.rows.values() for f in strat[rows]}
    turn = held_out(own_folds, (9, 10))
    assert [set(strat[turn.rows[split]]) for split in SPLITS] == [set(range(1, 8)), {8}, {9, 10}]
    for folds, message in (((11,), "are in the folds 1, 2"), (range(2, 11), "leave two at least")):
        with pytest.raises(InfarctionError, match=message):
            held_out(own_folds, tuple(folds))
    with pytest.raises(InfarctionError, match="three are needed"):
        rotations(own_folds, 2)
    with pytest.raises(InfarctionError, match="no record is in strat_fold 12"):
        rotations(own_folds, 3, (12,))
    torn = write_patients(tmp_path / "torn", [1, 2, 3, 1], [1, 2, 3, 3])
    with pytest.raises(InfarctionError, match="patient 1 is in several"):
        rotations(torn, 3)
    none = write_patients(tmp_path / "none", [1, 2, 3, 4], [None] * 4)
    with pytest.raises(InfarctionError, match="without strat_fold"):
        held_out(none, (1,))
    with pytest.raises(InfarctionError, match="4 patients cannot be dealt into 5"):
        rotations(none, 5)


def test_no_training_of_a_rotation_knows_a_patient_of_its_test_fold(
    own_folds: Path, tmp_path: Path, runs: list[Run]
) -> None:
    # The same store in one role; in another one of the same database, some of whose patients are
    # the same; and a third of another database, whose numbers mean others.
    archive = write_patients(tmp_path / "archive", [*range(30, 60)] * 2, [None] * 60)
    data = {"labelled": own_folds, "unlabelled": own_folds, "archive": archive}
    report = run_folds(folds_settings(tmp_path / "b", data), Folds(5, against="selfmis"))
    assert report["failed"] == {} and len(runs) == 5 * 2 * 6
    tests = {
        f"fold{turn.number}": patients_of(turn.store, turn.rows["test"])
        for turn in rotations(own_folds, 5)
    }
    assert {run.fold for run in runs} == set(tests)
    for run in runs:
        for split in ("train", "valid"):
            assert run.patients[split] and not run.patients[split] & tests[run.fold]
        assert not run.patients["train"] & run.patients["valid"]
        for checkpoint in run.checkpoints:
            assert run.fold in checkpoint.parts
    assert report["moved"]["archive"] > 0 and report["moved"]["labelled"] == 0
    # Another database has other people, whatever their numbers.
    elsewhere = write_patients(tmp_path / "mimic", [*range(60)], [None] * 60, "mimic-iv-ecg")
    runs.clear()
    data["archive"] = elsewhere
    report = run_folds(folds_settings(tmp_path / "c", data, seeds=(1,)), Folds(3))
    assert report["moved"]["archive"] == 0
    trained = [run for run in runs if run.splits["train"].store.path == elsewhere.resolve()]
    assert len(trained) == 6 and all(len(run.splits["train"].rows) == 48 for run in trained)


def test_predictions_are_pooled_and_compared(
    own_folds: Path, tmp_path: Path, runs: list[Run]
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    asked, dest = folds_settings(tmp_path / "b", data), tmp_path / "b"
    folds = Folds(5, min_positives=15, against="random_encoder")
    report = run_folds(asked, folds)
    assert report["failed"] == {} and len(report["rows"]) == 3
    store = Store.open(own_folds)
    counts = {name: sum(name in labels for labels in store.records["labels"]) for name in TYPES}
    assert {name: report["positives"][name] for name in TYPES} == counts
    assert report["populated"] == [name for name in TYPES if counts[name] >= 15] != []
    means: dict[str, list[float]] = {}
    for row in report["rows"]:
        aucs: dict[str, list[float]] = {ANY: [], **{name: [] for name in report["populated"]}}
        pooled: list[float] = []
        for seed in (1, 2):
            parts = [
                pd.read_parquet(
                    dest / f"fold{k}/seed{seed}/{row['method']}/probe/1/predictions.parquet"
                )
                for k in range(1, 6)
            ]
            for part in parts:
                columns = part[[f"logit_{name}" for name in TYPES]].to_numpy(np.float64)
                either = 1 - np.prod(1 / (1 + np.exp(columns)), axis=1)
                part["either"] = np.log(either / (1 - either)).astype(np.float32)
                part["any"] = part[[f"true_{name}" for name in TYPES]].any(axis=1)
            found = pd.concat(parts)
            ranks = pd.concat(
                (part.rank(numeric_only=True) - 0.5) / len(part) for part in parts
            ).round(9)
            assert sorted(found["record_id"]) == sorted(store.records["record_id"])
            aucs[ANY].append(roc_auc_score(found["any"], ranks["either"]))
            pooled.append(roc_auc_score(found["any"], found["either"]))
            for name in report["populated"]:
                aucs[name].append(roc_auc_score(found[f"true_{name}"], ranks[f"logit_{name}"]))
        assert row["any_pooled"] == pytest.approx(np.mean(pooled), abs=1e-9)
        for name, values in aucs.items():
            assert row["figures"][name]["seeds"] == pytest.approx(values, abs=1e-9)
            assert row["figures"][name]["value"] == pytest.approx(np.mean(values), abs=1e-9)
        mean = np.mean([aucs[name] for name in report["populated"]])
        assert row["figures"][MEAN]["value"] == pytest.approx(mean, abs=1e-9)
        means[row["method"]] = aucs[ANY]
    for row in report["rows"]:
        if row["method"] == "random_encoder":
            assert "difference" not in row["figures"][ANY]
            continue
        apart = np.subtract(means[row["method"]], means["random_encoder"])
        found = row["figures"][ANY]["difference"]
        assert found["seeds"] == pytest.approx(apart, abs=1e-9)
        assert found["low"] < found["value"] < found["high"] and 0 < found["p_value"] <= 1
    # What a probe has to beat is an untrained encoder, which nothing here does but by chance.
    lines = {row["method"]: row for row in report["rows"]}
    worse = np.mean(means["selfmis"]) < np.mean(means["random_encoder"])
    assert [lines[name]["below_floor"] for name in ("selfmis", "random_encoder")] == [worse, None]
    text = write_folds_report(dest, report, asked.methods)
    assert ("| SelfMIS (!) |" in text) == worse
    assert "cross-validated over 5 folds" in text and "## Minus random encoder" in text
    assert {path.name for path in dest.glob("*.png")} == {
        "report.png", "differences.png", "costs.png",
    }  # fmt: skip
    # SelfMIS's probe starts from three trainings, the others' from one and from none.
    took = {row["method"]: row["cpu_seconds"] for row in report["rows"]}
    assert took == {"selfmis": 2.0, "random_encoder": 0.5, "twelve_lead": 1.0}
    lines = pd.read_csv(dest / "rows.csv")
    assert len(lines) == 3 * (2 + len(report["populated"]))
    assert json.loads((dest / "report.json").read_text())["rows"] == report["rows"]
    # What is done stays done; other folds have no place in the folder, nor has a plain benchmark.
    runs.clear()
    assert run_folds(asked, folds)["rows"] == report["rows"] and runs == []
    with pytest.raises(InfarctionError, match="over other folds"):
        run_folds(asked, Folds(4))


def test_a_row_that_is_judged_in_another_way_is_compared_all_the_same(
    own_folds: Path, tmp_path: Path, runs: list[Run]
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    names = ("selfmis", "random_encoder", "without_alignment", "ecgfounder")
    methods, modes = [known_methods()[name] for name in names], ("probe", "finetune", "zero_shot")
    asked = folds_settings(tmp_path / "b", data, methods=methods, modes=modes, seeds=(1,))
    report = run_folds(asked, Folds(3, min_positives=1, against="without_alignment"))
    lines = {(row["method"], row["mode"]): row["figures"][ANY] for row in report["rows"]}
    own = lines.pop(("without_alignment", "finetune"))
    # Nothing is trained for an encoder that is asked as it is: it has no share of the labels.
    assert "difference" not in own and len(lines) == 6 and ("ecgfounder", "zero_shot") in lines
    for figure in lines.values():
        found = figure["difference"]
        assert found["mode"] == "finetune"
        assert found["value"] == pytest.approx(figure["value"] - own["value"], abs=1e-9)
    # A row of which fewer seeds are finished says so; where all have as many, none does.
    text = write_folds_report(tmp_path / "b", report, methods)
    assert "| probe |" in text and "seed)" not in text
    fewer = {**report, "rows": [{**report["rows"][0], "seeds": [1, 2]}, *report["rows"][1:]]}
    text = write_folds_report(tmp_path / "b", fewer, methods)
    assert text.count(" (1 seed) |") == 2 * len(lines) - 1
    # By labels used there is a picture where several shares were.
    (tmp_path / "b/labels.png").write_bytes(b"of an earlier report")
    write_folds_report(tmp_path / "b", report, methods)
    assert not (tmp_path / "b/labels.png").exists()
    assert (tmp_path / "b/differences.png").exists()
    shares = dataclasses.replace(asked, dest=tmp_path / "c", fractions=(0.5, 1.0))
    write_folds_report(tmp_path / "c", run_folds(shares, Folds(3, min_positives=1)), methods)
    assert (tmp_path / "c/labels.png").stat().st_size > 1000
    # Holm over all six of them: the smallest p-value counts as often.
    least = min((figure["difference"] for figure in lines.values()), key=lambda d: d["p_value"])
    assert least["p_holm"] == pytest.approx(min(1.0, 6 * least["p_value"]))


def test_what_nobody_tunes_is_trained_once_for_all_trials(
    own_folds: Path, tmp_path: Path, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: dict[str, dict[str, Any]] = {}
    under = timed_training.train

    def train(run: Path, config: str, overrides: dict[str, Any], *rest: Any) -> Spent:
        trained[str(run.relative_to(tmp_path / "b"))] = overrides
        return under(run, config, overrides, *rest)

    monkeypatch.setattr(timed_training, "train", train)
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    methods = [known_methods()["heartlang"]]
    report = run_folds(
        folds_settings(tmp_path / "b", data, methods=methods, seeds=(1,)), Folds(3, trials=True)
    )
    assert report["failed"] == {} and [one["name"] for one in report["tuned"]] == ["heartlang"]
    trials = {name: keys for name, keys in trained.items() if name.startswith("trials")}
    words = [name for name in trials if name.endswith("stages/heartlang_tokenizer")]
    assert len(words) == 1
    starts = {keys.get("model.tokenizer_checkpoint") for keys in trials.values()} - {None}
    assert starts == {tmp_path / "b" / words[0] / "checkpoints/checkpoint_best.pt"}
    # In the rotations each trains its own.
    assert sum(name.endswith("stages/heartlang_tokenizer") for name in trained) == 1 + 3
    # Who only asks for rates gets them, and the report says nothing else.
    trained.clear()
    asked = folds_settings(tmp_path / "b", data, methods=methods, seeds=(1,), budget=50)
    asked = dataclasses.replace(asked, dest=tmp_path / "b/only")
    only = run_folds(asked, Folds(3, tuple(range(1, 9)), trials_only=True))
    assert only["rows"] == [] and [one["name"] for one in only["tuned"]] == ["heartlang"]
    assert trained and all(name.startswith("only/trials") for name in trained)
    text = write_folds_report(asked.dest, only, methods)
    assert "## Learning rates tried" in text and "AUC in percent" not in text
    # What was chosen can be handed on: it names no folder of this machine.
    handed = (asked.dest / "rates.json").read_text()
    assert str(tmp_path) not in handed
    assert json.loads(handed)["tuned"] == json.loads(json.dumps(only["tuned"]))
    taken = Folds(held_out=(9, 10), rates_from=(asked.dest / "rates.json",))
    again = run_folds(dataclasses.replace(asked, dest=tmp_path / "b/taken"), taken)
    assert [one["rate"] for one in again["tuned"]] == [one["rate"] for one in only["tuned"]]


def test_records_without_an_infarction_have_no_figure(tmp_path: Path, runs: list[Run]) -> None:
    fold_of = [k % 4 + 1 for k in range(40)]
    own = write_patients(tmp_path / "own", range(40), fold_of, without={4})
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own)
    methods = [known_methods()[name] for name in ("selfmis", "random_encoder")]
    for against in (None, "random_encoder"):
        asked = folds_settings(tmp_path / f"{against}", data, methods=methods, seeds=(1, 2))
        report = run_folds(asked, Folds(held_out=(4,), against=against))
        assert [row["figures"][ANY]["value"] for row in report["rows"]] == [None, None]
        assert "| - |" in write_folds_report(asked.dest, report, methods)
        json.loads((asked.dest / "report.json").read_text())


def test_an_error_without_words_is_said_by_its_name(
    own_folds: Path, tmp_path: Path, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    methods = [known_methods()[name] for name in ("random_encoder", "without_alignment")]
    under = timed_training.train

    def trained(run: Path, config: str, *rest: Any) -> Spent:
        if "finetune" in config:
            raise MemoryError
        return under(run, config, *rest)

    monkeypatch.setattr(timed_training, "train", trained)
    modes = ("probe", "without_alignment/finetune")
    asked = folds_settings(tmp_path / "a", data, methods=methods, modes=modes, seeds=(1,))
    report = run_folds(asked, Folds(held_out=(9, 10)))
    assert [row["method"] for row in report["rows"]] == ["random_encoder"]
    assert "MemoryError()" in write_folds_report(asked.dest, report, methods)
    asked = dataclasses.replace(asked, dest=tmp_path / "b")
    with pytest.raises(InfarctionError, match=r"could be tried: MemoryError\(\)"):
        run_folds(asked, Folds(held_out=(9, 10), trials=True))


def test_an_attempt_that_was_killed_makes_the_processor_time_unknown(
    own_folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = folds_settings(tmp_path / "a", {"labelled": own_folds})
    run = asked.dest / "run"
    left = tmp_path / "left.json"

    def trained(*_: object) -> Spent:
        # What a process that is killed now leaves behind.
        shutil.copy(asked.dest / "run-seconds.json", left)
        return Spent(1.0, None, 0.5)

    monkeypatch.setattr(timed_training, "train", trained)
    assert timed_training.train_timed(asked, run, "config", {}, "name").cpu_seconds == 0.5
    shutil.copy(left, asked.dest / "run-seconds.json")
    assert timed_training.train_timed(asked, run, "config", {}, "name").cpu_seconds is None


def test_rates_are_chosen_alike_and_on_validation_alone(
    own_folds: Path, tmp_path: Path, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: dict[str, dict[str, Any]] = {}
    under = timed_training.train

    def trained(run: Path, config: str, overrides: dict[str, Any], *rest: Any) -> Spent:
        keys[str(run.relative_to(tmp_path / "b"))] = overrides
        return under(run, config, overrides, *rest)

    monkeypatch.setattr(timed_training, "train", trained)
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    methods = [known_methods()[name] for name in ("selfmis", "without_alignment", "simclr")]
    asked = folds_settings(
        tmp_path / "b", data, methods=methods, modes=("probe", "finetune"), seeds=(1,), budget=72
    )
    report = run_folds(asked, Folds(5, trials=True))
    assert report["failed"] == {} and set(report["lacking"]) == {"simclr"}
    tuned = {one["name"]: one for one in report["tuned"]}
    # What SelfMIS starts from is tuned before it, each by its own row's probe.
    assert list(tuned) == [
        "single_lead_encoder", "multi_lead_encoder", "without_alignment/finetune", "selfmis",
        "selfmis/finetune",
    ]  # fmt: skip
    test = patients_of(rotations(own_folds, 5)[0].store, rotations(own_folds, 5)[0].rows["test"])
    tried = [run for run in runs if run.fold == "trials"]
    # A fine-tuning's trials start from the encoder that was chosen, and train nothing else.
    assert len(tried) == 4 * (2 + 2 + 1 + 2 + 1)
    for run in tried:
        assert not test & set.union(*run.patients.values())
        # Validation takes the test fold's place; a pre-training has no test split.
        assert run.patients.get("test", run.patients["valid"]) == run.patients["valid"]
    for name, one in tuned.items():
        aucs = [trial["auc"] for trial in one["trials"]]
        assert len(set(aucs)) > 1 and len({trial["rate"] for trial in one["trials"]}) == 4
        assert one["rate"] == one["trials"][int(np.argmax(aucs))]["rate"]
        final = {
            overrides["optimization.lr"][0]
            for folder, overrides in keys.items()
            if folder.startswith("fold")
            and (folder.endswith(f"stages/{name}") or f"/{name}/1/" in folder)
        }
        assert final == {one["rate"]}, name
    # SelfMIS's trials start from the best of the others, and are not run anew.
    best = {name: f"trials/{name}/{tuned[name]['rate']:g}/" for name in tuned}
    for folder, overrides in keys.items():
        if folder.startswith("trials/selfmis") and folder.endswith("stages/selfmis"):
            for key in ("single", "multi"):
                start = str(overrides[f"model.{key}_lead_checkpoint"])
                assert best[f"{key}_lead_encoder"] in start
        if "stages" in folder:  # 36 training records in a rotation: two epochs are 72
            assert overrides["optimization.max_epoch"] == 2
    # A probe keeps its own rate.
    probes = [keys[folder] for folder in keys if folder.endswith("selfmis/probe/1/run")]
    assert probes and all("optimization.lr" not in overrides for overrides in probes)
    text = write_folds_report(tmp_path / "b", report, asked.methods)
    assert "## Learning rates tried" in text and text.count("(chosen)") == 5
    # The user's own word needs no trial, for all trainings or for a mode, and wins over a file's.
    for sets in ({"": {"optimization.lr": [0.5]}}, {"finetune": {"optimization.lr": [0.5]}}):
        own = dataclasses.replace(asked, dest=tmp_path / "own", overrides=sets)
        assert is_said(own, "without_alignment/finetune")
        assert is_said(own, "selfmis") == ("" in sets)
    sets = {"selfmis": {"optimization.lr": [0.5]}, "without_alignment/finetune": {"a": 1}}
    said = folds_settings(tmp_path / "c", data, methods=methods[:1], seeds=(1,), overrides=sets)
    keys.clear()
    monkeypatch.setattr(timed_training, "train", under)
    report = run_folds(said, Folds(5, trials=True))
    assert [one["name"] for one in report["tuned"]] == ["single_lead_encoder", "multi_lead_encoder"]
    # What was chosen serves another run, such as that on records that nothing was chosen on.
    tried = json.loads((tmp_path / "b/report.json").read_text())
    assert all(one["tried"]["folds"] == 5 for one in tried["tuned"])
    for changes, message in (
        ({"strat_folds": None}, r"tried on folds that are held out here \(9, 10\)"),
        ({"strat_folds": [1, 2, 9]}, r"held out here \(9\)"),
        ({"strat_folds": None, "held_out": [10]}, r"held out here \(9\)"),
        ({"size": "full", "strat_folds": [1, 2]}, "was tried at full size, and is small here"),
        ({"strat_folds": None, "held_out": [9, 10]}, None),
        ({"strat_folds": list(range(1, 9))}, None),
    ):
        for one in tried["tuned"]:
            one["tried"] |= {"held_out": None, "size": "small", **changes}
        (tmp_path / "chosen.json").write_text(json.dumps(tried))
        taken = Folds(held_out=(9, 10), rates_from=(tmp_path / "chosen.json",))
        if message is not None:
            with pytest.raises(InfarctionError, match=message):
                run_folds(dataclasses.replace(asked, dest=tmp_path / "seen"), taken)
    assert not (tmp_path / "seen").exists()
    held = dataclasses.replace(asked, dest=tmp_path / "held")
    runs.clear()
    final = run_folds(held, taken)
    assert [one["rate"] for one in final["tuned"]] == [one["rate"] for one in tuned.values()]
    assert {run.fold for run in runs} == {"fold1"}
    # Its report says where the rates come from, and not that they were tried here.
    text = write_folds_report(tmp_path / "held", final, asked.methods)
    assert "over 5 folds of the folds 1, 2, 3, 4, 5, 6, 7, 8. Every training" in text
    handed = json.loads((tmp_path / "held/rates.json").read_text())["tuned"]
    assert [one["tried"]["strat_folds"] for one in handed] == [[*range(1, 9)]] * len(tuned)
    # Of several files the first has the word on what it knows, and the others on the rest.
    for one in tried["tuned"]:
        one["rate"] = 0.125
    (tmp_path / "other.json").write_text(json.dumps(tried))
    tried["tuned"] = [{**tried["tuned"][0], "rate": 0.25}]
    (tmp_path / "first.json").write_text(json.dumps(tried))
    # A rival that nobody tuned is refused, unless the user sets its rate.
    lacking = dataclasses.replace(taken, rates_from=(tmp_path / "first.json",))
    with pytest.raises(InfarctionError, match="tried for multi_lead_encoder, selfmis, selfmis/f"):
        run_folds(dataclasses.replace(asked, dest=tmp_path / "lacking"), lacking)
    assert not (tmp_path / "lacking").exists()
    # Or is tried now, beside what a file has, which is not tried again.
    runs.clear()
    rest = Folds(5, trials=True, rates_from=(tmp_path / "first.json",))
    added = run_folds(dataclasses.replace(asked, dest=tmp_path / "rest"), rest)["tuned"]
    assert [one["name"] for one in added] == list(tuned) and added[0]["rate"] == 0.25
    assert sum(run.fold == "trials" for run in runs) == 1 + 4 * (2 + 1 + 2 + 1)
    both = dataclasses.replace(taken, rates_from=(tmp_path / "first.json", tmp_path / "other.json"))
    other = dataclasses.replace(asked, dest=tmp_path / "both")
    rates = [one["rate"] for one in run_folds(other, both)["tuned"]]
    assert rates[0] == 0.25 and set(rates[1:]) == {0.125}
    # What could not be tried is in the way of those alone who need it.
    tried["tuned"] = [{**one, "rate": None, "trials": [], "tried": {}} for one in added]
    (tmp_path / "none.json").write_text(json.dumps(tried))
    few = dataclasses.replace(both, rates_from=(tmp_path / "none.json",))
    with pytest.raises(InfarctionError, match="no learning rate of single_lead_encoder could"):
        run_folds(dataclasses.replace(asked, dest=tmp_path / "none"), few)
    probes = [known_methods()["random_encoder"]]
    alone = folds_settings(tmp_path / "few", data, methods=probes, seeds=(1,))
    assert run_folds(alone, few)["failed"] == {}
    for file, message in (("nowhere.json", "not the report.json"), ("b/folds.json", "not the rep")):
        with pytest.raises(InfarctionError, match=message):
            run_folds(held, dataclasses.replace(taken, rates_from=(tmp_path / file,)))


def test_what_is_asked_wrongly_is_said(
    own_folds: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = ["benchmark", "mi", "--data", str(own_folds), "--dest", str(tmp_path / "b")]
    plain += ["--size", "small", "--methods", "random_encoder", "--modes", "probe"]
    for arguments, message in (
        (["--strat-folds", "1-8"], "give --folds too"),
        (["--against", "selfmis"], "--against goes with folds"),
        (["--trials"], "--trials goes with folds"),
        (["--min-positives", "5"], "--min-positives goes with folds"),
        (["--folds", "3", "--against", "selfmis"], "that is none of the rows"),
        (["--held-out", "12"], "hold out some of"),
        (["--folds", "3", "--trials-only", "--keep", "kept"], "--keep is about rows"),
        (["--held-out", "9", "--rates-from", "nowhere.json"], "not the report.json"),
    ):
        assert main([*plain, *arguments]) == 1
        assert message in capsys.readouterr().err
    for arguments in (["--folds", "2"], ["--held-out", "8-1"], ["--folds", "3", "--held-out", "9"]):
        with pytest.raises(SystemExit):
            main([*plain, *arguments])
    # What is refused leaves nothing behind that would be in the way.
    assert not (tmp_path / "b").exists()
    (tmp_path / "b").mkdir()
    (tmp_path / "b/folds.json").write_text('{"folds": 5, "strat_folds": null}')
    plain[plain.index("--data") + 1] = str(store)
    assert main(plain) == 1
    assert "holds a cross-validation" in capsys.readouterr().err


# -- figures -----------------------------------------------------------------------------------


def predictions(seed: int, records: int = 80, level: float = 1.0) -> Predictions:
    rng = np.random.default_rng(9)
    targets = rng.random((records, 3)) < 0.3
    noise = np.random.default_rng(seed).normal(size=(records, 3))
    return Predictions(
        tuple(f"r{k}" for k in range(records)),
        tuple(f"p{k // 2}" for k in range(records)),
        TYPES,
        targets,
        (level * targets + noise - 2).astype(np.float32),
    )


@given(st.lists(st.floats(-60, 60, width=32), min_size=3, max_size=3))
def test_any_is_the_probability_of_one_at_least(logits: list[float]) -> None:
    one = Predictions(("r",), ("p",), TYPES, np.zeros((1, 3), bool), np.array([logits], np.float32))
    found = float(one.with_any("x", [*TYPES, "LMI"]).logits[0, -1])
    exact = np.array(logits, dtype=np.longdouble)
    none = -np.sum(np.log1p(np.exp(exact)))
    expected = np.log(-np.expm1(none)) - none
    assert found == pytest.approx(float(expected), rel=1e-5, abs=1e-5)
    with pytest.raises(PredictionsError, match="no column is one of"):
        one.with_any("x", ["LMI"])


@settings(deadline=None)
@given(st.lists(st.sampled_from([-3.0, -1.0, 0.0, 2.5, 40.0]), min_size=4, max_size=12))
def test_ranks_leave_every_auc_and_have_one_scale(logits: list[float]) -> None:
    columns = np.array([logits, logits[::-1]], np.float32).T
    targets = np.zeros(columns.shape, bool)
    targets[: len(logits) // 2] = True
    names = tuple(f"r{k}" for k in range(len(logits)))
    whole = Predictions(names, names, ("a", "b"), targets, columns)
    ranks = whole.ranked()
    for column in range(2):
        aucs = [roc_auc_score(targets[:, column], p.logits[:, column]) for p in (whole, ranks)]
        assert aucs[0] == aucs[1]
    shares = 1 / (1 + np.exp(-ranks.logits.astype(np.float64)))
    assert shares.mean(axis=0) == pytest.approx([0.5, 0.5], abs=1e-6)
    assert np.array_equal(ranks.ranked().logits, ranks.logits)
    far = Predictions(names, names, ("a", "b"), targets, 9 * columns + 5)
    assert np.array_equal(far.ranked().logits, ranks.logits)
    assert len(whole.rows(np.zeros(len(names), bool)).ranked()) == 0


def test_seeds_share_the_patients_that_judge_them() -> None:
    seeds = [predictions(seed) for seed in (1, 2, 3)]
    found = mean_over_seeds(seeds, TYPES)
    aucs = [
        np.mean([roc_auc_score(p.targets[:, k], p.logits[:, k]) for k in range(3)]) for p in seeds
    ]
    assert found.seeds == pytest.approx(aucs, abs=1e-9)
    assert found.deviation == pytest.approx(np.std(aucs, ddof=1))
    estimate = found.estimate
    assert estimate.value == pytest.approx(np.mean(aucs))
    assert estimate.low < estimate.value < estimate.high
    # One seed three times says no more than once.
    alone, thrice = (mean_over_seeds([seeds[0]] * count, TYPES) for count in (1, 3))
    assert thrice.estimate == alone.estimate
    better = [predictions(seed, level=2.5) for seed in (1, 2, 3)]
    apart = difference_over_seeds(better, seeds, TYPES)
    assert apart.estimate.low > 0 and apart.p_value < 0.02
    back = difference_over_seeds(seeds, better, TYPES)
    assert back.estimate.value == pytest.approx(-apart.estimate.value)
    same = difference_over_seeds(seeds, seeds, TYPES)
    assert same.estimate.value == 0 and same.p_value == 1
    with pytest.raises(PredictionsError, match="cannot be compared"):
        difference_over_seeds(seeds, better[:2], TYPES)
    with pytest.raises(PredictionsError, match="different records"):
        mean_over_seeds([seeds[0], predictions(1, 60)], TYPES)


def test_parts_are_joined_once_each() -> None:
    whole = predictions(1)
    parts = [
        Predictions(
            whole.record_ids[rows], whole.patient_ids[rows], TYPES,
            whole.targets[rows], whole.logits[rows],
        )
        for rows in (slice(0, 30), slice(30, 80))
    ]  # fmt: skip
    joined = Predictions.joined(parts)
    assert joined.record_ids == whole.record_ids
    np.testing.assert_array_equal(joined.logits, whole.logits)
    fewer = Predictions.joined([parts[0].select(TYPES[:2]), parts[1]])
    assert fewer.labels == TYPES[:2]
    with pytest.raises(PredictionsError, match="in two of them"):
        Predictions.joined([parts[0], whole])
    with pytest.raises(PredictionsError, match="share no label"):
        Predictions.joined([parts[0].select(TYPES[:1]), parts[1].select(TYPES[1:])])


def test_a_split_of_manifests_is_read_as_it_was_written(own_folds: Path, tmp_path: Path) -> None:
    store = Store.open(own_folds)
    write_split_manifests(store, {"train": ["00003", "00001"], "test": []}, tmp_path / "m")
    assert open_split(tmp_path / "m", "train").rows.tolist() == [3, 1]


def test_a_row_that_lacks_types_is_judged_by_the_same_truth(
    own_folds: Path, tmp_path: Path, runs: list[Run]
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    methods = [known_methods()[name] for name in ("random_encoder", "twelve_lead")]
    asked = folds_settings(tmp_path / "b", data, methods=methods)
    folds = Folds(held_out=(9, 10), min_positives=1, against="random_encoder")
    whole = run_folds(asked, folds)
    gone = [TYPES[0], TYPES[2]]
    for file in (tmp_path / "b/fold1").rglob("twelve_lead/probe/1/predictions.parquet"):
        said = Predictions.read(file)
        said.select([name for name in said.labels if name not in gone]).write(file)
    report = run_folds(asked, folds)
    assert report["positives"] == whole["positives"]
    store, rows = (turn := held_out(own_folds, (9, 10))).store, turn.rows["test"]
    has = store.targets(rows, TYPES).astype(bool).any(axis=1)
    assert report["positives"][ANY] == has.sum()
    (row,) = (row for row in report["rows"] if row["method"] == "twelve_lead")
    assert row["lacks"] == [name for name in INFARCTION_TYPES if name in gone]
    seeds = []
    for seed in (1, 2):
        file = tmp_path / f"b/fold1/seed{seed}/twelve_lead/probe/1/predictions.parquet"
        chances = 1 / (1 + np.exp(-Predictions.read(file).logits[:, 1:].astype(np.float64)))
        seeds.append(roc_auc_score(has, 1 - np.prod(1 - chances, axis=1)))
    assert row["figures"][ANY]["value"] == pytest.approx(np.mean(seeds), abs=1e-6)
    text = write_folds_report(tmp_path / "b", report, methods)
    assert f"has no output for {', '.join(row['lacks'])}: records with it count among" in text


def test_what_the_end_would_refuse_is_refused_before_anything_is_trained(
    own_folds: Path, tmp_path: Path, runs: list[Run]
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    methods = [known_methods()[name] for name in ("random_encoder", "without_alignment")]
    asked = folds_settings(tmp_path / "b", data, methods=methods, seeds=(1,))
    (tmp_path / "file").write_text("")
    for folds, message in (
        (Folds(3, against="without_alignment"), "none of its rows is asked for.*by finetune"),
        (Folds(3, keep=tmp_path / "file"), "no file can be written there"),
        (Folds(3, keep=Path("/proc/nowhere")), "no file can be written there"),
    ):
        with pytest.raises(InfarctionError, match=message):
            run_folds(asked, folds)
        assert runs == [] and not (tmp_path / "b").exists()


def test_figures_are_there_where_cells_cannot_be_kept(
    own_folds: Path,
    tmp_path: Path,
    runs: list[Run],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    methods = [known_methods()["random_encoder"]]
    asked = folds_settings(tmp_path / "b", data, methods=methods, seeds=(1,))
    kept = tmp_path / "kept"

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_csv", full)
        report = run_folds(asked, Folds(3, keep=kept))
    assert len(report["rows"]) == 1 and "No space left" in report["not_kept"]
    assert not (kept / "cells.csv").exists()
    again = run_folds(asked, Folds(3, keep=kept))
    assert again["not_kept"] is None and len(runs) == 3
    assert len(pd.read_csv(kept / "cells.csv")) == 3
    shutil.rmtree(kept)
    call = ["benchmark", "mi", "--data", str(own_folds), "--unlabelled", str(own_folds), "--folds"]
    call += ["3", "--methods", "random_encoder", "--modes", "probe", "--size", "small", "--keep"]
    call += [str(kept), "--dest", str(tmp_path / "c"), "--fractions", "1.0", "--workers", "1"]
    monkeypatch.setattr(KeptCells, "_add", full)
    assert main(call) == 1
    told = capsys.readouterr()
    assert "No space left on device. The report is there, and all cells are in" in told.err
    assert (tmp_path / "c/report.md").is_file() and "random encoder" in told.out


def test_a_row_of_which_one_time_is_not_known_is_drawn_beside_its_costs(
    own_folds: Path, tmp_path: Path, runs: list[Run]
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    methods = [known_methods()["random_encoder"]]
    asked = folds_settings(tmp_path / "b", data, methods=methods)
    run_folds(asked, Folds(3))
    cell = next((tmp_path / "b").rglob("cell.json"))
    cell.write_text(json.dumps({**json.loads(cell.read_text()), "cpu_seconds": None}))
    (row,) = run_folds(asked, Folds(3))["rows"]
    assert row["cpu_seconds"] == pytest.approx(0.5)


def test_rows_that_are_one_network_are_one_comparison(
    own_folds: Path, tmp_path: Path, runs: list[Run]
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)
    names = ("random_encoder", "twelve_lead", "selfmis", "selfmis_without_s")
    methods = [known_methods()[name] for name in names]
    asked = folds_settings(tmp_path / "b", data, methods=methods, seeds=(1,))
    folds = Folds(3, min_positives=1, against="random_encoder")
    run_folds(asked, folds)
    for file in (tmp_path / "b").rglob("selfmis/probe/1/predictions.parquet"):
        shutil.copyfile(Path(str(file).replace("/selfmis/", "/selfmis_without_s/")), file)
    rows = {row["method"]: row["figures"][ANY] for row in run_folds(asked, folds)["rows"]}
    found = {name: rows[name]["difference"] for name in names[1:]}
    assert found["selfmis"] == found["selfmis_without_s"] != found["twelve_lead"]
    assert found["selfmis"]["holm_over"] == 2
    text = write_folds_report(tmp_path / "b", run_folds(asked, folds), methods)
    assert "*Holm* corrected over 2 comparisons: of" in text
    small, large = sorted(found[name]["p_value"] for name in names[1:3])
    corrected = sorted(found[name]["p_holm"] for name in names[1:3])
    assert corrected == pytest.approx([min(1, 2 * small), min(1, max(2 * small, large))])
