"""Manifests that list a fraction of the training records; validation and test as they are."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.fractions import label_fraction
from selfmis_plugin.data.split_manifests import write_listed
from selfmis_plugin.data.store import SPLITS, Store, StoreError, read_manifest, write_manifest
from selfmis_plugin.data.store.format import ALL_TRAINING
from selfmis_plugin.data.store.writer import refuse_its_own
from selfmis_plugin.utils.files import folder_beside, whole_file, write_json
from selfmis_plugin.utils.replacing import put_back, replace_folder

#: What a folder of such manifests says about itself.
FRACTION_FILE = "fraction.json"
_OWN_FILES = frozenset({FRACTION_FILE, *(f"{split}.tsv" for split in SPLITS)})


@dataclass(frozen=True)
class Fraction:
    """A chosen part of the training records of a store.

    Attributes
    ----------
    store
        The store.
    fraction, seed
        What was asked for.
    record_ids
        The chosen records, in the order of the manifest they were chosen from.
    of
        Number of records that they were chosen from.
    patients, of_patients
        Number of patients among the chosen, and among all.
    lost_labels
        Labels of the store's sets that a training record has, but none of the chosen.
    """

    store: Store
    fraction: float
    seed: int
    record_ids: tuple[str, ...]
    of: int
    patients: int
    of_patients: int
    lost_labels: tuple[str, ...]

    def __str__(self) -> str:
        share = 100 * len(self.record_ids) / self.of
        lines = [
            f"train: {len(self.record_ids):,} of {self.of:,} records ({share:.2f} %), "
            f"{self.patients:,} of {self.of_patients:,} patients (seed {self.seed})"
        ]
        if self.lost_labels:
            shown = ", ".join(self.lost_labels[:20])
            more = len(self.lost_labels) - 20
            lines.append(
                f"  labels without a record left to train on: {shown}"
                + (f" and {more} more" if more > 0 else "")
            )
        return "\n".join(lines)


def choose_fraction(data: str | os.PathLike[str], fraction: float, seed: int) -> Fraction:
    """Choose a fraction of the training records, patients whole.

    Parameters
    ----------
    data
        Folder of a store, or of manifests. Where it has a ``train_all.tsv``, the fraction is of
        that one, so that choosing twice does not take a fraction of a fraction.
    fraction, seed
        See :func:`selfmis_plugin.data.fractions.label_fraction`.

    Raises
    ------
    StoreError
        If the training manifest or its store cannot be read, or no record is in it.
    """
    folder = Path(data)
    path = folder / f"{ALL_TRAINING}.tsv"
    if not path.is_file():
        path = folder / "train.tsv"
    manifest = read_manifest(path)
    store = Store.open(manifest.root)
    rows = store.rows_of(manifest.record_ids)
    if not len(rows):
        raise StoreError(f"{path} lists no record")
    patients = store.records["patient_id"].to_numpy()[rows]
    chosen = label_fraction(patients.tolist(), fraction, seed)
    return Fraction(
        store=store,
        fraction=fraction,
        seed=seed,
        record_ids=tuple(np.asarray(manifest.record_ids, dtype=object)[chosen].tolist()),
        of=len(rows),
        patients=len(set(patients[chosen])),
        of_patients=len(set(patients)),
        lost_labels=_lost(store, rows, chosen),
    )


@dataclass(frozen=True)
class LabelFraction:
    """Which of a store's training records to list.

    Attributes
    ----------
    fraction, seed
        See :func:`selfmis_plugin.data.fractions.label_fraction`.
    """

    fraction: float
    seed: int = 0


def lists_fraction(store: Path, wanted: LabelFraction | None) -> bool:
    """Whether ``train.tsv`` of a store lists just this fraction; with None, whether it lists all.

    Raises
    ------
    StoreError
        If the store or its training manifest cannot be read.
    """
    train = store / "train.tsv"
    if wanted is None or not train.is_file():
        return not (store / f"{ALL_TRAINING}.tsv").exists()
    chosen = choose_fraction(store, wanted.fraction, wanted.seed)
    return list(chosen.record_ids) == read_manifest(train).record_ids


def write_fraction(
    data: str | os.PathLike[str],
    dest: str | os.PathLike[str],
    fraction: float,
    seed: int = 0,
    overwrite: bool = False,
) -> Fraction:
    """Make a folder of manifests: a fraction to train on, and the other splits unchanged.

    Parameters
    ----------
    data
        Folder of a store, or of manifests.
    dest
        Folder to make, whole or not at all; it is what ``task.data`` names.
    fraction, seed
        See :func:`selfmis_plugin.data.fractions.label_fraction`.
    overwrite
        Whether to replace such a folder at *dest*. Files of the user's own in it are kept.

    Raises
    ------
    StoreError
        If *dest* is there already (or is something else, or *data* itself), or *data* cannot be
        read.
    WriteError
        If the disk is full, or nothing may be written there.
    """
    target = Path(dest).absolute()
    put_back(target)
    if os.path.lexists(target):
        if not overwrite:
            raise StoreError(f"{target}: is there already; give another folder or --overwrite")
        if not (target / FRACTION_FILE).is_file():
            raise StoreError(
                f"{target}: is not a folder of fractions (no {FRACTION_FILE}), so it is not "
                "overwritten; give another folder or remove it yourself"
            )
        refuse_its_own(target, [Path(data)])
    chosen = choose_fraction(data, fraction, seed)
    with folder_beside(target) as folder:
        write_listed(folder / "train.tsv", chosen.record_ids, chosen.store, target)
        for split in SPLITS[1:]:
            path = Path(data) / f"{split}.tsv"
            if path.is_file():
                manifest = read_manifest(path)
                store = Store.open(manifest.root)
                write_listed(folder / path.name, manifest.record_ids, store, target)
        description = {
            "store": str(chosen.store.path),
            "fraction": fraction,
            "seed": seed,
            "records": len(chosen.record_ids),
            "of_records": chosen.of,
            "patients": chosen.patients,
            "of_patients": chosen.of_patients,
        }
        write_json(folder / FRACTION_FILE, description)
        replace_folder(folder, target, _OWN_FILES.__contains__)
    return chosen


def apply_fraction(store: str | os.PathLike[str], fraction: float, seed: int = 0) -> Fraction:
    """Let ``train.tsv`` of a store list a fraction; ``train_all.tsv`` lists all from then on.

    The store keeps every record, and its other manifests stay as they are. It can be done again,
    with another fraction too, and after an interruption.

    Raises
    ------
    StoreError
        If the store or its training manifest cannot be read.
    """
    chosen = choose_fraction(store, fraction, seed)
    folder = Path(store)
    everything = folder / f"{ALL_TRAINING}.tsv"
    if not everything.is_file():
        with whole_file(everything) as temporary:
            shutil.copyfile(folder / "train.tsv", temporary)
    with whole_file(folder / "train.tsv") as temporary:
        lengths = [chosen.store.info.samples] * len(chosen.record_ids)
        write_manifest(temporary, chosen.record_ids, lengths)
    return chosen


def _lost(
    store: Store, rows: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_]
) -> tuple[str, ...]:
    labels = store.records["labels"].to_numpy()
    known = dict.fromkeys(name for names in store.info.label_sets.values() for name in names)
    before = {name for row in rows for name in labels[row]}
    after = {name for row in rows[chosen] for name in labels[row]}
    return tuple(name for name in known if name in before - after)
