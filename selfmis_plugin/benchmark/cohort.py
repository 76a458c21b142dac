"""A synthetic cohort for experiments: an archive, unlabelled records, and a study."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.benchmark.commands import CommandError, run_selfmis
from selfmis_plugin.data.origin import COHORT_FILE, LATEST_COHORT
from selfmis_plugin.data.store import Store, write_manifest

COHORT_SEED = 2025
ARCHIVE, UNLABELLED, STUDY = "archive", "unlabelled", "study"
IDENTIFICATION = "identification"

#: Folds of the study's cohort: a pool of labelled records to train on, one fold to choose
#: checkpoints by, and the rest to test on. PTB-XL's own split (8/1/1) would leave a test split
#: of a few hundred records here.
POOL_FOLDS, VALID_FOLDS, TEST_FOLDS = (1, 2, 3, 4), (5,), (6, 7, 8, 9, 10)


def make_cohort(
    dest: Path,
    archive: int,
    unlabelled: int,
    unlabelled_valid: int,
    study: int,
    workers: int,
    version: int = LATEST_COHORT,
) -> dict[str, Path]:
    """Write three cohorts as WFDB files and prepare a store of each; done ones are kept.

    Parameters
    ----------
    dest
        Folder to fill with ``wfdb`` and ``stores``.
    archive, unlabelled, study
        Number of records of each; patients of the archive and of the study differ.
    unlabelled_valid
        Unlabelled records for validation.
    workers
        Number of processes.
    version
        Of the hearts.

    Returns
    -------
    dict
        The stores' folders by name.

    Raises
    ------
    CommandError
        If a step fails; the message names its log. If hearts of another version are there.
    """
    stores = {}
    for name, layout, database, records, seed, extra in (
        (ARCHIVE, "ptbxl", "ptbxl", archive, COHORT_SEED, ()),
        (
            UNLABELLED,
            "mimic-iv-ecg",
            "mimic-iv-ecg",
            unlabelled,
            COHORT_SEED,
            ("--valid-records", str(unlabelled_valid)),
        ),
        (STUDY, "ptbxl", "ptbxl", study, COHORT_SEED + 1, ()),
    ):
        stores[name] = _make_store(
            dest, name, layout, database, records, seed, extra, workers, version
        )
    return stores


def make_archive(dest: Path, records: int, workers: int, version: int = LATEST_COHORT) -> Path:
    """Write labelled records as WFDB files, and prepare a store; return its folder.

    They are such as :func:`make_cohort` puts into its archive; a store that is done is kept.

    Raises
    ------
    CommandError
        If a step fails; the message names its log. If hearts of another version are there.
    """
    # Named by its size: another one is made beside it.
    name = f"{ARCHIVE}-{records}"
    return _make_store(dest, name, "ptbxl", "ptbxl", records, COHORT_SEED, (), workers, version)


def make_identification_set(
    dest: Path, recordings: int, workers: int, version: int = LATEST_COHORT
) -> Path:
    """Write recordings of persons who come again, and prepare a store; return its folder.

    Raises
    ------
    CommandError
        If a step fails; the message names its log. If hearts of another version are there.
    """
    return _make_store(
        dest, IDENTIFICATION, "ecgid", "ecgid", recordings, COHORT_SEED + 2, (), workers, version
    )


def _make_store(
    dest: Path,
    name: str,
    layout: str,
    database: str,
    records: int,
    seed: int,
    extra: Sequence[str],
    workers: int,
    version: int,
) -> Path:
    store = dest / "stores" / name
    wfdb = dest / "wfdb" / name
    if (store / "store.json").is_file():
        _check_version(wfdb / COHORT_FILE, version)
        return store
    run_selfmis(
        ["prepare", "synthetic", str(wfdb), "--layout", layout, "--records", str(records)]
        + ["--seed", str(seed), "--workers", str(workers), "--cohort", str(version)],
        dest / "logs" / f"synthesise-{name}.log",
    )
    run_selfmis(
        ["prepare", database, str(wfdb), "--dest", str(store), "--workers", str(workers)]
        + list(extra),
        dest / "logs" / f"prepare-{name}.log",
    )
    return store


def _check_version(file: Path, version: int) -> None:
    """Refuse a finished store of other hearts; who removed the files it was made of is trusted."""
    if not file.is_file():
        return
    held = json.loads(file.read_text(encoding="utf-8"))["version"]
    if held != version:
        raise CommandError(
            f"{file.parent} holds version {held} of the synthetic cohort, and version {version} is "
            f"wanted: name another folder, or give --cohort {held}"
        )


def rows_of_folds(store: Store, folds: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the rows whose record is in one of the folds."""
    return np.flatnonzero(store.records["strat_fold"].isin(folds).to_numpy())


def write_study(folder: Path, root: Path, train: npt.NDArray[np.int64] | None = None) -> Path:
    """Write the study's manifests.

    Parameters
    ----------
    folder
        Folder to write them into.
    root
        The study's store.
    train
        Rows to train on; the whole pool when None.

    Returns
    -------
    pathlib.Path
        *folder*.
    """
    store = Store.open(root)
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in (
        ("train", rows_of_folds(store, POOL_FOLDS) if train is None else train),
        ("valid", rows_of_folds(store, VALID_FOLDS)),
        ("test", rows_of_folds(store, TEST_FOLDS)),
    ):
        write_manifest(
            folder / f"{split}.tsv",
            store.records["record_id"].iloc[rows].tolist(),
            [store.info.samples] * len(rows),
            root=os.path.relpath(root, folder),
        )
    return folder
