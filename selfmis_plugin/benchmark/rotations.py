"""Cross-validation: folds of the labelled records, and the manifests of each rotation of them.

A rotation tests on one fold, chooses checkpoints on the next and trains on the others. Whatever
else it trains on, such as pairs of the same database, knows no patient of its test fold.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from selfmis_plugin.benchmark.settings import InfarctionError
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.same_people import rows_alike
from selfmis_plugin.data.split_manifests import write_split_manifests
from selfmis_plugin.data.splits import Split, open_splits
from selfmis_plugin.data.store import SPLITS, Store
from selfmis_plugin.methods.method import LABELLED

__all__ = ["Rotation", "fold_of_rows", "held_out", "rotations", "rows_in", "write_rotation"]

#: Seed by which patients are dealt where a store has no folds of its own.
_DEAL_SEED = 0


@dataclass(frozen=True)
class Rotation:
    """One test fold, and the records of the labelled store by what they are for.

    Attributes
    ----------
    number
        From 1.
    store
        The labelled store.
    rows
        Rows of the store by split, int64.
    """

    number: int
    store: Store
    rows: Mapping[str, npt.NDArray[np.int64]]


def rotations(data: Path, folds: int, strat_folds: Sequence[int] | None = None) -> list[Rotation]:
    """Return the rotations over a store's records.

    Parameters
    ----------
    data
        Folder of the labelled store, or of manifests of it: all that they list is dealt anew.
    folds
        Number of folds, at least 3.
    strat_folds
        Only records of these; all by default.

    Raises
    ------
    InfarctionError
        If the records cannot be dealt into so many folds.
    StoreError
        If the data cannot be read.
    """
    store, rows = rows_in(data, strat_folds)
    fold = fold_of_rows(store, rows, folds)
    made = []
    for number in range(folds):
        valid = (number + 1) % folds
        split = {
            "train": rows[(fold != number) & (fold != valid)],
            "valid": rows[fold == valid],
            "test": rows[fold == number],
        }
        made.append(Rotation(number + 1, store, split))
    return made


def rows_in(
    data: Path, strat_folds: Sequence[int] | None = None
) -> tuple[Store, npt.NDArray[np.int64]]:
    """Return a store and its rows that a folder's manifests list, in order.

    Parameters
    ----------
    data
        Folder of the store, or of manifests of it.
    strat_folds
        Only records of these of the store's own folds; all by default.

    Raises
    ------
    InfarctionError
        If no record is in them.
    StoreError
        If the data cannot be read.
    """
    store, rows = _listed(data)
    if strat_folds is not None:
        rows = rows[np.isin(_strat_folds(store, rows), strat_folds)]
        if not len(rows):
            named = ", ".join(map(str, strat_folds))
            raise InfarctionError(f"{data}: no record is in strat_fold {named}")
    return store, rows


def held_out(data: Path, folds: Sequence[int]) -> Rotation:
    """Return the one rotation that tests on the store's own *folds*.

    The last of its other folds is for choosing checkpoints, the rest to train on.

    Raises
    ------
    InfarctionError
        If records have no folds, a named one is empty, or too few others are left.
    StoreError
        If the data cannot be read.
    """
    store, rows = _listed(data)
    own = _strat_folds(store, rows)
    if (own < 0).any():
        raise InfarctionError(
            f"{data}: records without strat_fold cannot be held out by it: cross-validate with "
            "--folds"
        )
    there = np.unique(own).tolist()
    absent = [number for number in folds if number not in there]
    rest = [number for number in there if number not in folds]
    if absent or len(rest) < 2:
        raise InfarctionError(
            f"{data}: its records are in the folds {', '.join(map(str, there))}: hold out some of "
            "these, and leave two at least"
        )
    part = np.where(np.isin(own, folds), 2, np.where(own == rest[-1], 1, 0))
    _refuse_shared_patients(store, store.records["patient_id"].to_numpy()[rows], part)
    return Rotation(1, store, {split: rows[part == k] for k, split in enumerate(SPLITS)})


def fold_of_rows(store: Store, rows: npt.NDArray[np.int64], folds: int) -> npt.NDArray[np.int64]:
    """Deal records into folds, patients whole: by the store's own folds where it has them.

    Neighbouring folds of the store are put together (1 and 2, 3 and 4, ... for five of ten).
    Otherwise patients are drawn, always in the same way, such that each fold has about as many
    with an infarction.

    Returns
    -------
    numpy.ndarray
        From 0, int64 (rows,).

    Raises
    ------
    InfarctionError
        If there are too few patients, or a patient is in several of the store's folds.
    """
    if folds < 3:
        raise InfarctionError(
            f"{folds} folds: three are needed at least, one to test on, one to choose checkpoints "
            "on and one to train on"
        )
    patients = store.records["patient_id"].to_numpy()[rows]
    own = _strat_folds(store, rows)
    if (own >= 0).all():
        return _joined(store, own, patients, folds)
    if len(set(patients)) < folds:
        raise InfarctionError(
            f"{store.path}: {len(set(patients))} patients cannot be dealt into {folds} folds"
        )
    wanted = set(INFARCTION_TYPES)
    labels = store.records["labels"].to_numpy()[rows]
    infarction = np.array([not wanted.isdisjoint(names) for names in labels])
    dealt = np.empty(len(rows), dtype=np.int64)
    dealer = StratifiedGroupKFold(folds, shuffle=True, random_state=_DEAL_SEED)
    with warnings.catch_warnings():
        # Fewer with an infarction than folds: they are dealt as far as they go.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for number, (_, test) in enumerate(dealer.split(rows, infarction, patients)):
            dealt[test] = number
    return dealt


def write_rotation(
    rotation: Rotation, data: Mapping[str, Path], folder: Path
) -> dict[str, tuple[Path, int]]:
    """Write the manifests of a rotation, whole or not at all; those that are there stay.

    Parameters
    ----------
    rotation
        Which.
    data
        Folders of the benchmark's data by role.
    folder
        Folder to write a folder of manifests into for each role that needs one.

    Returns
    -------
    dict
        By role the folder to read in this rotation, and how many records of that role were left
        out or moved, as a patient of the test or the validation fold has them.

    Raises
    ------
    InfarctionError
        If nothing is left to train on.
    """
    found: dict[str, tuple[Path, int]] = {}
    for role, path in data.items():
        if role == LABELLED:
            splits, moved = dict(rotation.rows), 0
        else:
            own = {split: part.rows for split, part in open_splits(path).items()}
            splits, moved = _kept_apart(rotation, Store.open(_store_of(path)), own)
            if not moved and "test" not in own:
                found[role] = path, 0
                continue
        for split in ("train", "valid"):
            if not len(splits[split]):
                raise InfarctionError(
                    f"{path}: without the patients of the test fold {rotation.number} no record "
                    f"of {split} is left: give other {role} records, or fewer folds"
                )
        target = folder / role
        if not target.exists():
            store = rotation.store if role == LABELLED else Store.open(_store_of(path))
            ids = store.records["record_id"].to_numpy()
            write_split_manifests(store, {s: ids[r].tolist() for s, r in splits.items()}, target)
        found[role] = target, moved
    return found


def _kept_apart(
    rotation: Rotation, store: Store, own: Mapping[str, npt.NDArray[np.int64]]
) -> tuple[dict[str, npt.NDArray[np.int64]], int]:
    """Return another store's rows by split, and how many of them its own splits have elsewhere.

    A patient of the test fold is in none, one of the validation fold is there for choosing alone,
    and one of the training folds is trained on. Others stay where they are, but for its own test
    records, which nothing here reads.
    """
    place: dict[int, str] = {}
    for split in SPLITS:
        alike = rows_alike(store, rotation.store, rotation.rows[split], "patient_id")
        place |= dict.fromkeys(alike.tolist(), split)
    rows: dict[str, list[int]] = {"train": [], "valid": []}
    moved = 0
    for split, listed in own.items():
        for row in listed.tolist():
            to = place.get(row, split)
            moved += to != split
            if to in rows:
                rows[to].append(row)
    return {split: np.asarray(sorted(of), dtype=np.int64) for split, of in rows.items()}, moved


def _listed(data: Path) -> tuple[Store, npt.NDArray[np.int64]]:
    splits: Iterable[Split] = open_splits(data).values()
    rows = np.unique(np.concatenate([split.rows for split in splits]))
    return Store.open(_store_of(data)), rows


def _store_of(data: Path) -> Path:
    return next(iter(open_splits(data).values())).store.path


def _strat_folds(store: Store, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the store's own folds, -1 where it has none."""
    folds = store.records["strat_fold"].to_numpy(dtype=float, na_value=np.nan)[rows]
    return np.where(np.isnan(folds), -1, folds).astype(np.int64)


def _joined(
    store: Store, own: npt.NDArray[np.int64], patients: npt.NDArray[np.object_], folds: int
) -> npt.NDArray[np.int64]:
    numbers = np.unique(own)
    if len(numbers) < folds:
        raise InfarctionError(
            f"{store.path}: its records are in {len(numbers)} folds of their own, which cannot "
            f"make {folds}: ask for {len(numbers)} at most"
        )
    joined = np.empty(len(own), dtype=np.int64)
    for number, part in enumerate(np.array_split(numbers, folds)):
        joined[np.isin(own, part)] = number
    _refuse_shared_patients(store, patients, joined)
    return joined


def _refuse_shared_patients(
    store: Store, patients: npt.NDArray[np.object_], folds: npt.NDArray[np.int64]
) -> None:
    first: dict[str, int] = {}
    for patient, number in zip(patients.tolist(), folds.tolist(), strict=True):
        if first.setdefault(patient, number) != number:
            raise InfarctionError(
                f"{store.path}: patient {patient} is in several of the folds that the column "
                "strat_fold makes, so a model would be tested on somebody it was trained on: "
                "mend the column, or leave it empty to have patients dealt anew"
            )
