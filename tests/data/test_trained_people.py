"""A split's people who were in a model's training are known, and nobody else is taken for one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from selfmis_plugin.cli.main import main
from selfmis_plugin.data import trained_people
from selfmis_plugin.data.origin import Origin
from selfmis_plugin.data.provenance import TrainedOn, provenance_from
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.trained_people import (
    SeenInTraining,
    people_of,
    seen_in_training,
    told_of_training,
)
from selfmis_plugin.utils.fields import FieldError
from tests.support import write_store

SIZES = {"train": 6, "valid": 3, "test": 4}
COHORT = Origin("synthetic", "SelfMIS synthetic cohort, ptbxl layout, 12 records, seed 3")


def trained_on(store: Path, split: str = "train") -> tuple[TrainedOn, ...]:
    part = open_split(store, split)
    step = TrainedOn("selfmis", people=people_of(part.store, part.rows))
    return provenance_from([step.to_state()])


def seen(step: tuple[TrainedOn, ...], store: Path, split: str) -> SeenInTraining | None:
    return seen_in_training(step, open_split(store, split))


@pytest.mark.parametrize("database", ["ptbxl", "ward"])
def test_the_training_split_of_a_store_was_seen_and_the_others_were_not(
    tmp_path: Path, database: str
) -> None:
    step = trained_on(write_store(tmp_path / "a", SIZES, database=database))
    found = seen(step, tmp_path / "a", "train")
    assert found is not None
    assert (found.seen, found.compared, found.patients, found.records) == (6, 6, 6, 6)
    assert str(found).startswith("WARNING: 6 of the 6 patients of these records were in")
    assert found.steps == ("selfmis",) and found.database == database
    assert seen(step, tmp_path / "a", "test") is None
    assert seen((TrainedOn("selfmis", database, 6),), tmp_path / "a", "train") is None


def test_names_of_a_public_database_are_the_same_in_every_store(tmp_path: Path) -> None:
    step = trained_on(write_store(tmp_path / "a", SIZES))
    # Patients 0 to 8, of whom 0 to 5 were trained on.
    other = write_store(tmp_path / "b", {"train": 1, "test": 8}, seed=1)
    found = seen(step, other, "test")
    assert found is not None and (found.seen, found.patients) == (5, 8)


def test_names_of_other_records_say_nothing_outside_of_their_store(tmp_path: Path) -> None:
    step = trained_on(write_store(tmp_path / "a", SIZES, database="ward"))
    other = write_store(tmp_path / "b", SIZES, seed=1, database="ward")
    assert seen(step, other, "train") is None
    # Nor can they be found by trying all names without the store.
    public = trained_on(write_store(tmp_path / "c", SIZES, database="ptbxl"))
    assert step[0].people != public[0].people


def test_two_cohorts_have_the_same_numbers_and_nobody_in_common(tmp_path: Path) -> None:
    step = trained_on(write_store(tmp_path / "a", SIZES, origins=(COHORT,)))
    same = write_store(tmp_path / "same", SIZES, seed=1, origins=(COHORT,))
    assert seen(step, same, "train") is not None
    for origins in ((Origin("synthetic", "another"),), (Origin("stated", "PTB-XL"),), ()):
        other = write_store(tmp_path / f"{len(list(tmp_path.iterdir()))}", SIZES, origins=origins)
        assert seen(step, other, "train") is None


def test_people_of_a_joined_store_are_known_by_their_own_names(tmp_path: Path) -> None:
    a = write_store(tmp_path / "a", SIZES)
    b = write_store(tmp_path / "b", SIZES, seed=1, origins=(COHORT,))
    dest = tmp_path / "both"
    assert main(["prepare", "join", str(a), str(b), "--dest", str(dest)]) == 0
    found = seen(trained_on(dest), a, "train")
    assert found is not None and found.seen == 6
    found = seen(trained_on(b), dest, "train")
    assert found is not None and (found.seen, found.patients) == (6, 12)
    assert seen(trained_on(b), dest, "test") is None


def test_of_many_people_the_lowest_digests_are_kept_and_tell_no_untruth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trained_people, "MOST_DIGESTS", 8)
    store = write_store(tmp_path / "a", {"train": 32, "test": 16})
    step = trained_on(store)
    found = seen(step, store, "train")
    assert found is not None and found.seen == found.compared == 8 and found.patients == 32
    assert "of the 32 patients of these records (8 could be compared)" in str(found)
    assert seen(step, store, "test") is None


def test_nobody_was_seen_where_every_training_tells_its_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = write_store(tmp_path / "a", {"train": 32, "test": 16})
    wards = [write_store(tmp_path / f"w{k}", SIZES, seed=k, database="ward") for k in (1, 2)]

    def told(store: Path, *steps: TrainedOn) -> tuple[int, int, int] | None:
        found = told_of_training(steps, open_split(store, "test"))
        return None if found is None else (found.seen, found.compared, found.patients)

    (own,), (ward,) = trained_on(public), trained_on(wards[0])
    other = dataclasses.replace(own, database="mimic-iv-ecg")
    assert told(public, own) == told(public, own, other) == (0, 16, 16)
    assert told(public, *trained_on(public, "test")) == (16, 16, 16)
    assert told(public, own, TrainedOn("a.pth")) is None
    assert told(public, TrainedOn("a.pth"), *trained_on(public, "test")) == (16, 16, 16)
    # Digests of a ward's own store can be asked of that store alone.
    ward = dataclasses.replace(ward, database="ward")
    assert told(wards[0], ward) == (0, 4, 4) and told(wards[1], ward) == (0, 0, 4)
    assert told(public, ward) == (0, 16, 16)  # another database's people
    # Of a large training some can be told for certain: of each of two, those of both.
    monkeypatch.setattr(trained_people, "MOST_DIGESTS", 8)
    (few,) = trained_on(public)
    found = told(public, few, other)
    assert found is not None and found[0] == 0 and found[1] < 16


@pytest.mark.parametrize("people", ["%", "AAAA", "AAAAAAAAAAEAAAAAAAAAAA==", 5])
def test_what_was_changed_by_hand_is_refused(people: object) -> None:
    values = {**TrainedOn("selfmis").to_dict(), "people": people}
    with pytest.raises(FieldError, match=r"provenance\[0\]\.people"):
        provenance_from([values])


def test_records_without_a_patient_are_nobody(tmp_path: Path) -> None:
    part = open_split(write_store(tmp_path / "a", SIZES), "train")
    assert people_of(part.store, np.empty(0, dtype=np.int64)) == ""
