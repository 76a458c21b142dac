"""Manifests that deal a store's records by its own folds, such as all but one to train on."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np

from selfmis_plugin.data.split_manifests import write_split_manifests
from selfmis_plugin.data.splits import open_splits
from selfmis_plugin.data.store import SPLITS, Store, StoreError

__all__ = ["write_folds"]


def write_folds(
    data: str | os.PathLike[str],
    dest: str | os.PathLike[str],
    valid: Collection[int],
    test: Collection[int] = (),
) -> dict[str, int]:
    """Write manifests of the records that *data* lists, dealt by the column ``strat_fold``.

    Parameters
    ----------
    data
        Folder of a store, or of manifests of one; what no manifest lists stays out.
    dest
        Folder to make; ``task.data`` takes it.
    valid, test
        Folds of these splits; all others are trained on. Without a test fold there is no
        ``test.tsv``.

    Returns
    -------
    dict
        Records by split.

    Raises
    ------
    StoreError
        If a record has no fold, a named fold is empty or of both splits, a patient would be in two
        splits, nothing is left to train on, or something is at *dest*.
    """
    target = Path(dest).absolute()
    if os.path.lexists(target):
        raise StoreError(f"{target}: is there already; give another folder, or remove it")
    parts = list(open_splits(data).values())
    store: Store = parts[0].store
    rows = np.unique(np.concatenate([part.rows for part in parts]))
    folds = store.records["strat_fold"].to_numpy(dtype=float, na_value=np.nan)[rows]
    if np.isnan(folds).any():
        raise StoreError(
            f"{store.path}: {int(np.isnan(folds).sum()):,} of {len(rows):,} records have no "
            "strat_fold, so they cannot be dealt by it: use the splits that the store has"
        )
    there = sorted({int(fold) for fold in folds})
    if unknown := sorted({*valid, *test} - set(there)):
        raise StoreError(
            f"{store.path}: no record is in fold {', '.join(map(str, unknown))}; there are "
            f"{', '.join(map(str, there))}"
        )
    if both := sorted(set(valid) & set(test)):
        raise StoreError(f"fold {', '.join(map(str, both))} cannot be for both: name it once")
    split = np.where(np.isin(folds, list(test)), 2, np.where(np.isin(folds, list(valid)), 1, 0))
    if not (split == 0).any():
        raise StoreError(f"{store.path}: no fold is left to train on: name fewer")
    patients = store.records["patient_id"].to_numpy()[rows]
    first: dict[str, int] = {}
    for patient, place in zip(patients.tolist(), split.tolist(), strict=True):
        if first.setdefault(patient, place) != place:
            raise StoreError(
                f"{store.path}: patient {patient} is in folds of two splits, so a model would be "
                "judged on somebody it was trained on: name all folds of this patient for one"
            )
    ids = store.records["record_id"].to_numpy()[rows]
    dealt = {name: ids[split == place].tolist() for place, name in enumerate(SPLITS)}
    dealt = {name: listed for name, listed in dealt.items() if listed}
    write_split_manifests(store, dealt, target)
    return {name: len(listed) for name, listed in dealt.items()}
