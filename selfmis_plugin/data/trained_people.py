"""Whether people of the records at hand were in a model's training.

A training keeps digests of the names of its people. Names of a public database, and of a synthetic
cohort, are the same in every store of it, and known to everybody. Those of other records may be
guessed by trying all, so their digests are keyed by the store's own table of records: who has that
store can ask about its people, and nobody else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.digests import digest_of_name, packed, unpacked
from selfmis_plugin.data.origin import SYNTHETIC
from selfmis_plugin.data.provenance import TrainedOn
from selfmis_plugin.data.splits import Split
from selfmis_plugin.data.store import RECORDS_FILE, Store
from selfmis_plugin.data.store_parts import Part, may_share_people

__all__ = ["SeenInTraining", "people_of", "seen_in_training", "told_of_training", "trained_on"]

#: Databases whose patients are called the same in every copy, by names that are public.
_PUBLIC = frozenset({"ecgid", "mimic-iv-ecg", "physionet2021", "ptbxl"})

#: Digests of a training that are kept, the lowest: a checkpoint of a large database stays small,
#: and people whose digest is below the highest kept can still be told for certain.
MOST_DIGESTS = 4096


@dataclass(frozen=True)
class SeenInTraining:
    """People of a split that were in a training for certain.

    Attributes
    ----------
    seen
        How many.
    compared, patients
        Of how many it could be told, and of how many the split is.
    records
        Records of the split that are of those who were seen.
    steps
        Trainings that they were in.
    database
        Where they are called so.
    """

    seen: int
    compared: int
    patients: int
    records: int
    steps: tuple[str, ...]
    database: str

    def __str__(self) -> str:
        told = "" if self.compared == self.patients else f" ({self.compared:,} could be compared)"
        were = "was" if self.seen == 1 else "were"
        return (
            f"WARNING: {self.seen:,} of the {self.patients:,} patients of these records{told} "
            f"{were} in the model's training ({', '.join(self.steps)}), by their names in "
            f"{self.database}: the figures are not those of people whom it has not seen"
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**asdict(self), "steps": list(self.steps)}

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> SeenInTraining:
        """Return what :meth:`to_dict` wrote."""
        return cls(**{**said, "steps": tuple(said["steps"])})


def people_of(store: Store, rows: npt.NDArray[np.int64]) -> str:
    """Return what a training keeps of the people of its records, as text.

    Parameters
    ----------
    store, rows
        The records, int64 (records,).

    Returns
    -------
    str
        The lowest :data:`MOST_DIGESTS` digests in order, in base64; empty where nobody has a name.
    """
    found = np.unique(np.fromiter(_digests(store, rows).values(), dtype=np.uint64))
    return packed(found[:MOST_DIGESTS])


def trained_on(step: str, store: Store, rows: npt.NDArray[np.int64]) -> TrainedOn:
    """Return what a training keeps of its records.

    Parameters
    ----------
    step
        What is trained.
    store, rows
        The records, int64 (records,).
    """
    info, parts = store.info, store.parts_among(rows)
    people = people_of(store, rows)
    return TrainedOn(step, info.database, len(rows), info.origins, parts, people)


def seen_in_training(provenance: Iterable[TrainedOn], part: Split) -> SeenInTraining | None:
    """Return whom of a split's people a model was trained on; None where that is of nobody known.

    None says nothing: a training of an older version kept no names, and a private store that was
    prepared again is another one.

    Parameters
    ----------
    provenance
        The trainings that went into the model.
    part
        The records at hand.
    """
    digests = _digests(part.store, part.rows)
    mine = np.fromiter(digests.values(), dtype=np.uint64)
    seen, compared = np.zeros(len(mine), dtype=bool), np.zeros(len(mine), dtype=bool)
    steps = []
    for step in provenance:
        known = unpacked(step.people)
        if not len(known):
            continue
        among = np.isin(mine, known)
        seen |= among
        compared |= True if len(known) < MOST_DIGESTS else mine <= known[-1]
        if among.any():
            steps.append(step.step)
    if not seen.any():
        return None
    people = {person for person, was in zip(digests, seen, strict=True) if was}
    numbers = part.store.part_of_records[part.rows]
    names = part.store.records["patient_id"].to_numpy()[part.rows]
    parts = part.store.info.whole_parts
    return SeenInTraining(
        int(seen.sum()),
        int(compared.sum()),
        len(mine),
        sum(person in people for person in zip(numbers.tolist(), names, strict=True)),
        tuple(dict.fromkeys(steps)),
        ", ".join(dict.fromkeys(parts[number].database for number, _ in sorted(people))),
    )


def told_of_training(provenance: Iterable[TrainedOn], part: Split) -> SeenInTraining | None:
    """Return whom of a split's people a model was trained on, also where that is nobody.

    Parameters
    ----------
    provenance
        All trainings that went into the model.
    part
        The records at hand.

    Returns
    -------
    SeenInTraining
        Where somebody was seen, as :func:`seen_in_training`. Where nobody was, ``compared`` are
        those who were in none of the trainings for certain. None where a training kept no people
        and nobody is known to have been in the others.
    """
    steps = tuple(provenance)
    found = seen_in_training(steps, part)
    if found is not None or not all(step.people for step in steps):
        return found
    digests = _digests(part.store, part.rows)
    mine = np.fromiter(digests.values(), dtype=np.uint64)
    number_of = np.fromiter((number for number, _ in digests), dtype=np.int64)
    apart = np.ones(len(mine), dtype=bool)
    for step in steps:
        known = unpacked(step.people)
        for number, own in enumerate(part.store.info.whole_parts):
            here = number_of == number
            if not here.any() or (step.database and not _may_have(step, own)):
                continue
            if _heading(own, part.store)[0] and not _is_of(part.store, known):
                apart &= ~here
            elif len(known) >= MOST_DIGESTS:
                apart &= ~here | (mine <= known[-1])
    return SeenInTraining(0, int(apart.sum()), len(mine), 0, (), "")


def _may_have(step: TrainedOn, part: Part) -> bool:
    return any(may_share_people(part, one) for one in step.whole_parts)


def _is_of(store: Store, known: npt.NDArray[np.uint64]) -> bool:
    """Whether digests are of this store's own key: those of another's can be of the same people and
    never be alike."""
    everybody = _digests(store, np.arange(len(store), dtype=np.int64))
    return bool(np.isin(np.fromiter(everybody.values(), dtype=np.uint64), known).any())


def _digests(store: Store, rows: npt.NDArray[np.int64]) -> dict[tuple[int, str], int]:
    """The digest of everybody among records, by part of the store and name there."""
    numbers, names = store.part_of_records[rows], store.records["patient_id"].to_numpy()[rows]
    own = store.own_names("patient_id")[rows]
    headings = [_heading(part, store) for part in store.info.whole_parts]
    found: dict[tuple[int, str], int] = {}
    for number, name, person in zip(numbers.tolist(), names, own, strict=True):
        if person and (number, name) not in found:
            key, heading = headings[number]
            found[number, name] = digest_of_name(f"{heading}\0{person}", key)
    return found


def _heading(part: Part, store: Store) -> tuple[bytes, str]:
    """The key of the digests of a part of a store, and what stands before every name."""
    kinds = {origin.kind for origin in part.origins}
    if kinds == {SYNTHETIC}:
        # Two cohorts have the same numbers and nobody in common.
        return b"", "\0".join([part.database, *sorted(origin.text for origin in part.origins)])
    if part.database in _PUBLIC and SYNTHETIC not in kinds:
        return b"", part.database
    return hashlib.sha256((store.path / RECORDS_FILE).read_bytes()).digest(), part.database
