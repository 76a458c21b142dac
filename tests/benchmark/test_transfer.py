"""What synthetic hearts teach about real records: who is tested, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from selfmis_plugin.benchmark import timed_training
from selfmis_plugin.benchmark.commands import CommandError, Spent
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.origin import STATED, SYNTHETIC, Origin
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import Store
from tests.checkpoint_files import write_run
from tests.support import LABELS, TINY, write_store

COHORT = (Origin(SYNTHETIC, "SelfMIS synthetic cohort, seed 0"),)
REAL = (Origin(STATED, "PTB-XL 1.0.3"),)
TYPES = LABELS[1:]
ANY = "any infarction"


@pytest.fixture(scope="module")
def hearts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic records, none of which has PMI or, to learn it from, IMI."""
    path = tmp_path_factory.mktemp("hearts") / "store"
    return write_store(path, {"train": 40, "valid": 20}, drawn=LABELS[:2], origins=COHORT)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records that are stated to be real, 120 in ten folds, none with PMI."""
    path = tmp_path_factory.mktemp("records") / "store"
    return write_store(path, seed=1, sizes={"train": 90, "test": 30}, origins=REAL)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Leave a checkpoint of random weights for each training; return what trainings were given."""
    seen: list[dict[str, Any]] = []

    def train(run: Path, config: str, overrides: dict[str, Any], *_: object) -> Spent:
        seen.append({"config": config, **overrides})
        write_run(run, seed=len(seen))
        return Spent(1.0, None, 0.5)

    monkeypatch.setattr(timed_training, "train", train)
    return seen


@pytest.fixture
def transfer(tmp_path: Path, hearts: Path, records: Path) -> Callable[..., int]:
    """Return what runs the command on both stores, with further options."""

    def run(*options: str, data: Path = records, train: Path = hearts) -> int:
        given = ["--data", str(data), "--train", str(train), "--dest", str(tmp_path / "out")]
        return main(["benchmark", "transfer", *given, "--size", "small", *options])

    return run


def test_both_encoders_are_judged_on_the_folds_that_are_asked_for(
    tmp_path: Path,
    hearts: Path,
    records: Path,
    trained: list[dict[str, Any]],
    transfer: Callable[..., int],
) -> None:
    assert transfer("--strat-folds", "1-8", "--seeds", "2", "--min-positives", "12") == 0
    assert [one["config"] for one in trained] == ["selfmis_supervised_small"] * 4
    assert {one["task.data"] for one in trained} == {hearts}
    assert sorted(len(one["task.leads"]) for one in trained) == [1, 1, 12, 12]
    report = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))

    store = Store.open(records)
    asked = store.records[store.records["strat_fold"] <= 8]
    assert report["records"] == len(asked) == 96
    names = list(asked["record_id"])
    assert open_split(tmp_path / "out/tested", "test").rows.tolist() == list(asked.index)
    counts = {name: sum(name in labels for labels in asked["labels"]) for name in LABELS}
    # Any infarction and the types first, then NORM; IMI was never seen, PMI nobody has.
    assert [one["label"] for one in report["statements"]] == [ANY, "AMI", "NORM"]
    assert report["unseen"] == {"IMI": counts["IMI"]} and report["few"] == {"PMI": 0}

    for method, leads in (("twelve_lead", "12 leads"), ("ecgfounder", "lead I")):
        aucs: dict[str, list[float]] = {ANY: [], "AMI": [], "NORM": []}
        for seed in (1, 2):
            cell = tmp_path / f"out/seed{seed}/{method}/zero_shot/0"
            said = pd.read_parquet(cell / "predictions.parquet")
            assert list(said["record_id"]) == names
            logits = said[[f"logit_{name}" for name in TYPES]].to_numpy(np.float64)
            share = 1 - np.prod(1 / (1 + np.exp(logits)), axis=1)
            either = np.log(share / (1 - share)).astype(np.float32)
            truth = said[[f"true_{name}" for name in TYPES]].any(axis=1)
            aucs[ANY].append(roc_auc_score(truth, either))
            for name in ("AMI", "NORM"):
                assert said[f"true_{name}"].sum() == counts[name]
                aucs[name].append(roc_auc_score(said[f"true_{name}"], said[f"logit_{name}"]))
        for one in report["statements"]:
            figure = one["figures"][leads]
            assert figure["seeds"] == pytest.approx(aucs[one["label"]], abs=1e-6)
            assert figure["value"] == pytest.approx(np.mean(aucs[one["label"]]), abs=1e-6)
            assert figure["low"] < figure["value"] < figure["high"]

    text = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert text.startswith("# What synthetic hearts teach about real records\n")
    assert "synthetic (SelfMIS synthetic cohort, seed 0)" in text
    assert "folds 1, 2, 3, 4, 5, 6, 7, 8; 96 records" in text and "PTB-XL 1.0.3" in text
    assert f"no training record has them: IMI inferior infarction ({counts['IMI']})" in text
    value = report["statements"][1]["figures"]["12 leads"]["value"]
    assert ("AMI" in report["below"]) == (value < 0.8)
    assert f"AMI anterior infarction ({100 * value:.1f})" in text.partition("Below 80 %")[2]
    assert "small size, seeds 1, 2, " in text
    lines = pd.read_csv(tmp_path / "out/rows.csv")
    assert len(lines) == 6 and set(lines["seeds"]) == {2}
    assert list(lines[lines["statement"] == "AMI"]["positives"]) == [counts["AMI"]] * 2
    assert (tmp_path / "out/report.png").read_bytes()[:4] == b"\x89PNG"


def test_a_second_start_trains_nothing_and_a_folder_is_of_the_same_records(
    tmp_path: Path,
    trained: list[dict[str, Any]],
    transfer: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert transfer("--strat-folds", "1-8") == 0 and len(trained) == 2
    first = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))
    capsys.readouterr()
    # Judged anew, by fewer positives, as JSON alone.
    assert transfer("--strat-folds", "1-8", "--min-positives", "1", "--json", "-") == 0
    again = json.loads(capsys.readouterr().out)
    assert len(trained) == 2 and again["min_positives"] == 1
    assert again["statements"] == first["statements"]
    # One more seed trains that seed alone.
    assert transfer("--strat-folds", "1-8", "--seeds", "2") == 0 and len(trained) == 4
    before = (tmp_path / "out/tested/test.tsv").read_bytes()
    capsys.readouterr()
    assert transfer("--strat-folds", "9,10") == 1
    assert "holds a test on other records" in capsys.readouterr().err
    assert (tmp_path / "out/tested/test.tsv").read_bytes() == before
    assert transfer("--strat-folds", "1-8", "--set", "optimization.max_epoch=3") == 1
    assert "was trained with other settings than are asked for" in capsys.readouterr().err
    assert len(trained) == 4


def test_what_is_not_synthetic_or_not_stated_to_be_real_is_said(
    tmp_path: Path,
    trained: list[dict[str, Any]],
    transfer: Callable[..., int],
) -> None:
    sizes = {"train": 40, "valid": 20}
    other = write_store(tmp_path / "other", sizes, database="mimic-iv-ecg")
    plain = write_store(tmp_path / "plain", {"test": 120}, seed=1)
    assert transfer(train=other, data=plain) == 0
    text = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert text.startswith("# What records that are not synthetic teach about other records\n")
    assert "no figure of a synthetic cohort" in text and "nobody states to be real" in text
    assert "120 records of 120 patients" in text


def test_what_does_not_fit_is_refused_before_anything_is_trained(
    tmp_path: Path,
    hearts: Path,
    trained: list[dict[str, Any]],
    transfer: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = {"train": 10, "valid": 10, "test": 10}
    same = write_store(tmp_path / "same", few, origins=REAL)
    filtered = write_store(tmp_path / "filtered", few, origins=REAL, filter="bandpass")
    names = {"diagnoses": ("A", "B"), "drawn": ("A",), "origins": REAL}
    others = write_store(tmp_path / "others", few, **names)  # type: ignore[arg-type]
    lead_i = write_store(tmp_path / "lead-i", few, origins=REAL, lead_mask=1)
    mixed = write_store(tmp_path / "mixed", few, origins=(*COHORT, *REAL))
    no_valid = write_store(tmp_path / "no-valid", {"train": 10}, origins=COHORT)
    for options, message in (
        ({"data": hearts}, f"{hearts}: its records are synthetic"),
        ({"data": mixed}, f"{mixed}: some of its records are synthetic"),
        ({"data": tmp_path / "nothing"}, f"{tmp_path / 'nothing'}"),
        ({"train": tmp_path / "nothing"}, f"{tmp_path / 'nothing'}"),
        ({"train": no_valid}, "valid.tsv is missing"),
        ({"train": same, "data": same}, "30 of its 30 records are of patients that"),
        ({"data": filtered}, "prepared with other filter ('none' and 'bandpass')"),
        ({"data": others}, "share no diagnostic statement"),
        ({"data": lead_i}, "lack one of the leads"),
    ):
        assert transfer(**options) == 1
        assert message in capsys.readouterr().err
    assert transfer("--strat-folds", "11") == 1
    assert "no record is in strat_fold 11" in capsys.readouterr().err
    for key in ("--records", "--cohort"):
        assert transfer(key, "1") == 1
        assert f"{key} is about a cohort that is made: leave it out with --train" in (
            capsys.readouterr().err
        )
    assert trained == [] and not (tmp_path / "out").exists()


def test_what_has_failed_is_said_and_the_rest_reported(
    tmp_path: Path,
    trained: list[dict[str, Any]],
    transfer: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    works = timed_training.train

    def train(run: Path, *others: Any) -> Spent:
        if run.name == "multi_lead_encoder":
            raise CommandError("out of memory")
        return works(run, *others)

    monkeypatch.setattr(timed_training, "train", train)
    assert transfer() == 1
    assert "out of memory" in capsys.readouterr().err
    report = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))
    assert {leads for one in report["statements"] for leads in one["figures"]} == {"lead I"}
    text = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert "## Failed" in text and "Nothing was judged with 12 leads" in text


@pytest.mark.slow
def test_a_cohort_is_made_and_trained_on(tmp_path: Path, records: Path) -> None:
    sets = [part for key in (*TINY, "optimization.max_epoch=1") for part in ("--set", key)]
    arguments = ["benchmark", "transfer", "--data", str(records), "--size", "small", *sets]
    arguments += ["--records", "60", "--budget", "40", "--dest", str(tmp_path)]
    assert main(arguments) == 0
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["synthetic"] == "all" and report["failed"] == {}
    assert report["data"]["archive"]["records"]["train"] > 30
    assert [one["label"] for one in report["statements"]][:2] == [ANY, "AMI"]
    assert all(len(one["figures"]) == 2 for one in report["statements"])
