"""Label fractions: nested, whole patients, the other splits untouched."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfmis_plugin.cli import prepare
from selfmis_plugin.data.fraction_manifests import apply_fraction, write_fraction
from selfmis_plugin.data.fractions import draw_split, label_fraction, patient_position
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import read_manifest, write_manifest
from tests.support import write_store
from tests.wfdb_files import random_record, write_record

patients = st.lists(st.integers(0, 30).map(str), min_size=1, max_size=80)
fractions = st.floats(0.001, 1.0)
seeds = st.integers(-5, 2**40)
quick = settings(deadline=None, max_examples=60)


@quick
@given(patients, fractions, fractions, seeds)
def test_smaller_fractions_lie_inside_larger_ones(names, one, other, seed) -> None:
    small = label_fraction(names, min(one, other), seed)
    large = label_fraction(names, max(one, other), seed)
    assert not np.any(small & ~large)


@quick
@given(patients, fractions, seeds)
def test_size_is_within_one_patient(names, fraction, seed) -> None:
    chosen = label_fraction(names, fraction, seed)
    largest = max(Counter(names).values())
    assert chosen.any() and abs(chosen.sum() - fraction * len(names)) <= largest
    for name in set(names):
        assert len({bool(c) for c, n in zip(chosen, names, strict=True) if n == name}) == 1
    assert label_fraction(names, 1.0, seed).all()


@quick
@given(patients, fractions, seeds, st.randoms(use_true_random=False))
def test_neither_order_nor_run_matters(names, fraction, seed, random) -> None:
    order = list(range(len(names)))
    random.shuffle(order)
    chosen = label_fraction(names, fraction, seed)
    shuffled = label_fraction([names[k] for k in order], fraction, seed)
    assert chosen[order].tolist() == shuffled.tolist()


def test_seeds_draw_differently_and_evenly() -> None:
    names = [str(k) for k in range(4000)]
    first, second = (label_fraction(names, 0.25, seed) for seed in (1, 2))
    assert first.sum() == second.sum() == 1000
    # Independent draws: a quarter of a quarter in common, give or take five deviations.
    assert abs(int((first & second).sum()) - 250) < 5 * 14
    # Another release must choose the same records. By coreutils' b2sum -l 64 of split\\0 1\\0 17.
    assert patient_position("17", 1, "split") == (0x32A49B314D1B3F76 >> 11) / 2**53


def test_a_split_by_name_is_independent_of_fractions() -> None:
    names = [str(k) for k in range(4000)]
    split = np.array([draw_split(name, 0.1, 0.2, seed=0) for name in names])
    assert abs(np.mean(split == "test") - 0.2) < 0.03
    assert abs(np.mean(split == "valid") - 0.1) < 0.03
    chosen = label_fraction(names, 0.5, seed=0)
    assert abs(np.mean(split[chosen] == "test") - 0.2) < 0.04


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.01, float("nan")])
def test_what_is_no_fraction_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        label_fraction(["1"], fraction, 0)


def ids(folder: Path, split: str) -> list[str]:
    return read_manifest(folder / f"{split}.tsv").record_ids


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.*"))}


def run(*arguments: object, status: int = 0) -> None:
    assert prepare.main([str(argument) for argument in arguments]) == status


def test_command_on_a_prepared_store(store: Path, tmp_path: Path, capsys) -> None:
    before = content(store)
    for fraction in (0.25, 0.5):
        dest = tmp_path / f"{fraction}"
        run("fraction", store, "--label-fraction", fraction, "--seed", 3, "--dest", dest)
        assert len(ids(dest, "train")) == 100 * fraction
        for split in ("valid", "test"):
            assert ids(dest, split) == ids(store, split)
            rows = open_split(store, split).rows
            assert open_split(dest, split).rows.tolist() == rows.tolist()
    quarter, half = ids(tmp_path / "0.25", "train"), ids(tmp_path / "0.5", "train")
    everything = ids(store, "train")
    assert set(quarter) < set(half) < set(everything)
    assert quarter == [name for name in everything if name in set(quarter)]
    assert content(store) == before
    assert "train: 25 of 100 records (25.00 %), 25 of 100 patients" in capsys.readouterr().out
    assert json.loads((tmp_path / "0.25/fraction.json").read_text())["seed"] == 3


def test_folders_are_made_whole_and_replaced_only_when_told(
    store: Path, tmp_path: Path, capsys
) -> None:
    dest = tmp_path / "new/part"
    arguments = ["fraction", store, "--label-fraction", 0.5, "--dest", dest]
    run(*arguments)
    first = content(dest)
    run(*arguments, status=1)
    assert "is there already" in capsys.readouterr().err and content(dest) == first
    run(*arguments, "--overwrite", "--seed", 9)
    assert content(dest) != first and [p.name for p in dest.parent.iterdir()] == ["part"]
    first = content(dest)
    run("fraction", dest, "--label-fraction", 0.5, "--dest", dest, "--overwrite", status=1)
    assert "is what is read" in capsys.readouterr().err and content(dest) == first
    other = tmp_path / "other"
    other.mkdir()
    (other / "work.txt").write_text("mine")
    run("fraction", store, "--label-fraction", 0.5, "--dest", other, "--overwrite", status=1)
    assert "is not a folder of fractions" in capsys.readouterr().err
    assert content(other) == {"work.txt": b"mine"}
    run("fraction", tmp_path, "--label-fraction", 0.5, "--dest", tmp_path / "x", status=1)
    assert "train.tsv" in capsys.readouterr().err and not (tmp_path / "x").exists()


def test_beside_its_store_a_folder_can_be_moved_with_it(tmp_path: Path) -> None:
    write_store(tmp_path / "a/store", {"train": 8, "valid": 2})
    write_fraction(tmp_path / "a/store", tmp_path / "a/half", 0.5)
    write_fraction(tmp_path / "a/store", tmp_path / "a/store/quarter", 0.25)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len(open_split(tmp_path / "b/half", "train").rows) == 4
    assert len(open_split(tmp_path / "b/store/quarter", "train").rows) == 2
    assert not (tmp_path / "b/half/test.tsv").exists()


def test_a_fraction_of_own_manifests(store: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    some = ids(store, "train")[::2]
    write_manifest(mine / "train.tsv", some, [5000] * len(some), str(store))
    chosen = write_fraction(mine, tmp_path / "part", 0.5)
    assert set(chosen.record_ids) < set(some) and chosen.of == 50


def test_lost_labels_are_named(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", {"train": 30}, seed=3)
    chosen = write_fraction(store, tmp_path / "part", 0.04, seed=1)
    split = open_split(tmp_path / "part", "train")
    left = {label for row in split.rows for label in split.store.records["labels"][row]}
    expected = [name for name in ("NORM", "AMI", "IMI") if name not in left]
    assert expected and list(chosen.lost_labels) == expected
    assert f"without a record left to train on: {', '.join(expected)}" in str(chosen)


def test_at_preparation_the_store_keeps_all(tmp_path: Path, capsys) -> None:
    for number in range(40):
        write_record(tmp_path / f"wfdb/r{number:02d}", random_record(50, seed=number))
    plain = ["wfdb-folder", tmp_path / "wfdb", "--workers", 1, "--valid-records", 8, "--dest"]
    run(*plain, tmp_path / "all")
    run(*plain, tmp_path / "half", "--label-fraction", 0.5, "--seed", 4)
    assert "train: 16 of 32 records" in capsys.readouterr().out
    half, everything = content(tmp_path / "half"), content(tmp_path / "all")
    assert half.pop("train_all.tsv") == everything["train.tsv"]
    assert len(ids(tmp_path / "half", "train")) == 16
    half.pop("train.tsv"), everything.pop("train.tsv")
    assert half == everything

    # Again, and with another fraction: always of all, never of the fraction.
    chosen = apply_fraction(tmp_path / "half", 0.25, seed=4)
    assert chosen.of == 32 and ids(tmp_path / "half", "train") == list(chosen.record_ids)
    run(
        "fraction",
        tmp_path / "all",
        "--label-fraction",
        0.25,
        "--seed",
        4,
        "--dest",
        tmp_path / "f",
    )
    assert ids(tmp_path / "f", "train") == list(chosen.record_ids)


def test_a_store_without_training_records_says_so(tmp_path: Path, capsys) -> None:
    write_record(tmp_path / "wfdb/r", random_record(50))
    arguments = ["wfdb-folder", tmp_path / "wfdb", "--workers", 1, "--split", "test"]
    run(*arguments, "--dest", tmp_path / "s", "--label-fraction", 0.5, status=1)
    assert "train.tsv" in capsys.readouterr().err
    assert len(ids(tmp_path / "s", "test")) == 1
