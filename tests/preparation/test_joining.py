"""Stores joined: names that stay somebody's own, labels that all know, people kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfmis_plugin.benchmark.cross_validation import Folds, run_folds
from selfmis_plugin.benchmark.rotations import rotations
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.inner_folds import inner_folds_of
from selfmis_plugin.data.origin import NOT_RECORDED, STATED, SYNTHETIC, Origin
from selfmis_plugin.data.same_people import rows_alike
from selfmis_plugin.data.split_manifests import write_split_manifests
from selfmis_plugin.data.splits import open_split, open_splits
from selfmis_plugin.data.store import Store, StoreError, StoreWriter
from selfmis_plugin.data.store_parts import Part, may_share_people
from selfmis_plugin.methods import known_methods
from selfmis_plugin.preparation.joining import join_stores
from tests.fold_runs import Run, folds_settings, own_folds, patients_of, runs

__all__ = ["own_folds", "runs"]  # fixtures

MADE, OTHERS = Origin(SYNTHETIC, "cohort 1"), Origin(SYNTHETIC, "cohort 2")


def write(
    path: Path,
    names: Sequence[str],
    *,
    patients: Sequence[str] | None = None,
    splits: Sequence[str] = ("train", "valid", "test"),
    labels: Sequence[Sequence[str]] = (("AMI",), ()),
    seed: int = 0,
    **layout: Any,
) -> Path:
    """Write a store of records of one second."""
    given = {
        "database": "ptbxl",
        "label_sets": {"diagnostic": ("NORM", "AMI", "IMI"), "infarction": ("AMI", "IMI")},
        "seconds": 1,
        **layout,
    }
    rng = np.random.default_rng(seed)
    with StoreWriter(path, **given) as writer:
        shape = (len(writer.layout.leads), writer.layout.samples)
        for number, name in enumerate(names):
            writer.append(
                rng.integers(-500, 500, shape).astype(np.int16),
                {
                    "record_id": name,
                    "patient_id": name if patients is None else patients[number],
                    "source": f"files/{name}",
                    "split": splits[number % len(splits)],
                    "repaired": "a gap",
                    "lead_mask": 2 ** shape[0] - 1 - number % 2,
                    "labels": labels[number % len(labels)],
                    "strat_fold": number % 10 + 1 if number % 2 else None,
                    "sex": "female" if number % 2 else None,
                    "age": None if number % 2 else 50.5,
                    "session": None if number % 2 else 1,
                },
            )
    return path


def test_records_stay_what_they_are_and_names_are_nobody_elses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"{number:02d}" for number in range(12)]
    real = write(tmp_path / "real", names)
    made = write(tmp_path / "made", names, seed=1, origins=(MADE,))
    other = write(tmp_path / "other", ["x1", "x2"], seed=2, database="mimic-iv-ecg")
    arguments = ["prepare", "join", str(real), str(made), str(other)]
    assert main([*arguments, "--dest", str(tmp_path / "joined")]) == 0
    said = capsys.readouterr().out
    assert "26 records (train 9, valid 9, test 8)" in said
    assert "12 of ptbxl, synthetic (cohort 1), names begin with '2-'" in said
    store, sources = Store.open(tmp_path / "joined"), [Store.open(p) for p in (real, made, other)]
    assert store.info.database == "ptbxl+mimic-iv-ecg"
    assert store.info.origins == (Origin(NOT_RECORDED), MADE)
    assert [part.prefix for part in store.info.parts] == ["", "2-", ""]
    wanted = [*names, *(f"2-{name}" for name in names), "x1", "x2"]
    assert store.records["record_id"].tolist() == wanted
    assert store.records["patient_id"].tolist() == wanted
    own = np.concatenate([s.records["record_id"].to_numpy() for s in sources])
    assert store.own_names("record_id").tolist() == own.tolist()
    np.testing.assert_array_equal(
        store.read(range(26)), np.concatenate([s.read(range(len(s))) for s in sources])
    )
    # All other columns are as they were, also where they say nothing.
    columns = [c for c in store.records.columns if c not in ("record_id", "patient_id")]
    start = 0
    for source in sources:
        mine = store.records[columns].iloc[start : start + len(source)].reset_index(drop=True)
        assert mine.equals(source.records[columns])
        start += len(source)
    assert {k: len(part.rows) for k, part in open_splits(store.path).items()} == {
        "train": 9,
        "valid": 9,
        "test": 8,
    }
    # Joined again, or with others, is joined at once.
    join_stores([real, made], tmp_path / "two")
    join_stores([tmp_path / "two", other], tmp_path / "again")
    again = Store.open(tmp_path / "again")
    assert again.info == store.info and again.records.equals(store.records)
    assert main([*arguments, "--dest", str(tmp_path / "joined")]) == 1
    assert "is there already" in capsys.readouterr().err
    assert main([*arguments, "--dest", str(tmp_path / "joined"), "--overwrite"]) == 0


def test_a_store_is_not_replaced_by_what_it_is_joined_to(tmp_path: Path) -> None:
    first = write(tmp_path / "first", ["a", "b", "c"], origins=(MADE,))
    second = write(tmp_path / "second", ["d", "e", "f"], origins=(OTHERS,))
    before = {path.name: path.read_bytes() for path in second.iterdir()}
    with pytest.raises(StoreError, match="second: is what is read"):
        join_stores([first, second], second, overwrite=True)
    assert {path.name: path.read_bytes() for path in second.iterdir()} == before


def test_views_are_joined_to_a_store_of_their_leads(tmp_path: Path) -> None:
    stores = [
        write(tmp_path / f"whole{k}", [f"{k}{n}" for n in range(3)], origins=(origin,), seed=k)
        for k, origin in enumerate((MADE, OTHERS))
    ]
    views = []
    for store in stores:
        views.append(str(tmp_path / f"{store.name}-view"))
        arguments = ["prepare", "view", str(store), "--leads", "I,V1", "--dest", views[-1]]
        assert main(arguments) == 0
    joined = join_stores(views, tmp_path / "joined")
    store = Store.open(joined.dest)
    assert store.info.leads == store.info.stored_leads == ("I", "V1") and store.info.view is None
    whole = np.concatenate([Store.open(path).signals[:, [0, 6]] for path in stores])
    np.testing.assert_array_equal(store.signals, whole)
    # Of every other record the first lead is absent.
    assert list(store.records["lead_mask"]) == [3, 2, 3] * 2
    with pytest.raises(StoreError, match="stored leads I, V1 and I, II"):
        join_stores([views[0], stores[1]], tmp_path / "unlike")


def test_a_label_that_one_does_not_know_is_none_of_the_joined_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = {"diagnostic": ("IMI", "LMI", "NORM"), "codes": ("17",)}
    one = write(tmp_path / "one", ["1", "2"], labels=[("AMI", "NORM")])
    two = write(
        tmp_path / "two", ["3", "4"], labels=[("IMI", "LMI", "17")], label_sets=sets, database="b"
    )
    assert main(["prepare", "join", str(one), str(two), "--dest", str(tmp_path / "j")]) == 0
    assert "left out of diagnostic, as not all of them know it: AMI, LMI" in capsys.readouterr().out
    store = Store.open(tmp_path / "j")
    assert store.info.label_sets == {"diagnostic": ("NORM", "IMI")}
    assert store.records["labels"].tolist() == [["NORM"], ["NORM"], ["IMI"], ["IMI"]]
    with pytest.raises(StoreError, match="unknown labels 'AMI'"):
        store.targets([0], ["AMI"])
    nothing = write(tmp_path / "plain", ["5"], labels=[()], label_sets={}, database="c")
    assert join_stores([one, nothing], tmp_path / "k").label_sets == {}


def test_what_does_not_go_together_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write(tmp_path / "one", ["1", "2", "3"])
    for number, (names, given, message) in enumerate(
        (
            (["4"], {"leads": ("I", "II")}, "leads I, II, III.* and I, II: prepare both alike"),
            (["4"], {"sample_rate": 250}, "sample rate 500 and 250: prepare"),
            (["4"], {"seconds": 2}, "seconds 1 and 2"),
            (["4"], {"filter": "ecgfounder"}, "filter none and ecgfounder"),
            (["3"], {}, "record 3 of ptbxl is in both"),
            (["4"], {"patients": ["2"]}, "patient 2 of ptbxl is in valid of the one and train of"),
        )
    ):
        other = write(tmp_path / f"{number}", names, **given)
        with pytest.raises(StoreError, match=message):
            join_stores([one, other], tmp_path / "joined")
        assert not (tmp_path / "joined").exists()
    with pytest.raises(StoreError, match="two stores at least"):
        join_stores([one], tmp_path / "joined")
    # A patient of the same database in the same split is the same one.
    more = write(tmp_path / "more", ["4"], patients=["1"])
    join_stores([one, more], tmp_path / "joined")
    assert Store.open(tmp_path / "joined").records["patient_id"].tolist() == ["1", "2", "3", "1"]
    # Only what manifests list, and no record in two of them.
    store = Store.open(one)
    write_split_manifests(store, {"train": ["2"], "test": ["1"]}, tmp_path / "some")
    other = write(tmp_path / "b", ["1"], database="b")
    assert join_stores([tmp_path / "some", other], tmp_path / "less").splits == {
        "train": 2,
        "test": 1,
    }
    write_split_manifests(store, {"train": ["2"], "test": ["2"]}, tmp_path / "twice")
    with pytest.raises(StoreError, match="record 2 is in train.tsv and test.tsv"):
        join_stores([tmp_path / "twice", more], tmp_path / "none")
    assert main(["prepare", "join", str(one), str(one), "--dest", str(tmp_path / "none")]) == 1
    assert "selfmis prepare join: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((), (), True),
        ((MADE,), (MADE,), True),
        ((MADE,), (OTHERS,), False),
        ((MADE,), (), False),
        ((Origin(STATED, "a"),), (Origin(STATED, "b"),), True),
        ((MADE, Origin(NOT_RECORDED)), (), True),
        ((MADE, Origin(NOT_RECORDED)), (MADE,), True),
        ((MADE, Origin(NOT_RECORDED)), (OTHERS,), False),
    ],
)
def test_who_may_be_whom(one: Any, other: Any, same: bool) -> None:
    first, second = Part("ptbxl", 1, one), Part("ptbxl", 1, other)
    assert may_share_people(first, second) == may_share_people(second, first) == same
    assert not may_share_people(first, Part("mimic-iv-ecg", 1, other))


def test_a_part_is_asked_about_by_its_own_names(tmp_path: Path) -> None:
    names = [f"{number}" for number in range(9)]
    real = Store.open(write(tmp_path / "real", names))
    made = write(tmp_path / "made", names, origins=(MADE,))
    # The synthetic ones first: the real ones' names get the number.
    join_stores([made, real.path], tmp_path / "joined")
    store = Store.open(tmp_path / "joined")
    assert store.records["patient_id"].tolist() == [*names, *(f"2-{name}" for name in names)]
    assert rows_alike(store, real, np.array([2, 5]), "patient_id").tolist() == [11, 14]
    assert rows_alike(real, store, np.array([2, 14]), "record_id").tolist() == [5]
    assert rows_alike(store, store, np.array([2]), "patient_id").tolist() == [2]
    # Whoever is in an inner fold is in it in every store.
    folds = inner_folds_of(store.own_names("patient_id"), 3)
    np.testing.assert_array_equal(folds[9:], inner_folds_of(names, 3))
    assert [(part.database, part.records) for part in store.parts_among(np.array([0, 1, 9]))] == [
        ("ptbxl", 2),
        ("ptbxl", 1),
    ]
    assert real.parts_among(np.arange(3)) == ()


def test_no_training_on_a_joined_store_knows_a_patient_of_its_test_fold(
    own_folds: Path, tmp_path: Path, runs: list[Run]
) -> None:
    names = [f"{number:05d}" for number in range(60)]
    sets = Store.open(own_folds).info.label_sets
    splits = ("valid", "train", "train", "train")
    # Their patients have the numbers of real ones.
    patients = [str(number % 40) for number in range(60)]
    given = {"patients": patients, "label_sets": sets, "splits": splits, "labels": [()]}
    made = write(tmp_path / "made", names, origins=(MADE,), **given)
    # The real ones' names get the number in front.
    path = tmp_path / "joined"
    assert [part.prefix for part in join_stores([made, own_folds], path).parts] == ["", "2-"]
    data = {"labelled": own_folds, "unlabelled": path, "archive": path}
    methods = [known_methods()[name] for name in ("selfmis", "distillation")]
    asked = folds_settings(tmp_path / "b", data, methods=methods, modes=("finetune",), seeds=(1,))
    report = run_folds(asked, Folds(3))
    assert report["failed"] == {} and report["moved"]["archive"] > 0
    tests = {
        f"fold{turn.number}": patients_of(turn.store, turn.rows["test"])
        for turn in rotations(own_folds, 3)
    }
    read = set()
    for run in runs:
        for split in ("train", "valid"):
            store, rows = run.splits[split].store, run.splits[split].rows
            is_real = store.part_of_records[rows] == len(store.info.whole_parts) - 1
            people = set(store.own_names("patient_id")[rows[is_real]])
            assert people and not people & tests[run.fold]
            if store.info.parts:
                # Of the synthetic hearts none is left out.
                assert np.count_nonzero(~is_real) == {"train": 45, "valid": 15}[split]
                read.add(run.fold)
    assert read == set(tests)
    # What a student reads beside its labels, too.
    unlabelled = open_split(tmp_path / "b/fold1/data/unlabelled", "train")
    assert unlabelled.store.path == path.resolve()
    people = set(unlabelled.store.own_names("patient_id")[unlabelled.rows[unlabelled.rows >= 60]])
    assert people and not people & tests["fold1"]
