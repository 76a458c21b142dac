"""A split of a store: its manifest, and the rows that it lists."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.store import REFUSED_FILE, SPLITS, Store, StoreError, read_manifest


@dataclass(frozen=True)
class Split:
    """Records of one split.

    Attributes
    ----------
    manifest
        The manifest's file.
    store
        The store that it refers to.
    rows
        Rows of the store, int64 (records,).
    """

    manifest: Path
    store: Store
    rows: npt.NDArray[np.int64]

    def require_leads(self, leads: Sequence[str]) -> None:
        """Refuse records in which a lead that is to be read is absent: the store has zeros there.

        Raises
        ------
        StoreError
            If there are such records, or the store does not know a lead.
        """
        known = {lead.casefold(): bit for bit, lead in enumerate(self.store.info.leads)}
        unknown = [lead for lead in leads if lead.casefold() not in known]
        if unknown:
            raise StoreError(
                f"{self.store.path} has no lead {', '.join(unknown)}; it has "
                f"{', '.join(self.store.info.leads)}"
            )
        wanted = sum(1 << known[lead.casefold()] for lead in leads)
        masks = self.store.records["lead_mask"].to_numpy()[self.rows].astype(np.int64)
        lacking = int(np.count_nonzero((masks & wanted) != wanted))
        if lacking:
            raise StoreError(
                f"{self.manifest}: {lacking} of {len(self.rows)} records lack one of the leads "
                f"{', '.join(leads)} that are to be read. Prepare the store with --leads "
                f"{','.join(leads)}, or leave those records out of the manifest"
            )


def open_split(data: str | os.PathLike[str], split: str, is_choice: bool = True) -> Split:
    """Open a split of a store, or of a folder of manifests.

    Parameters
    ----------
    data
        Folder of the manifests; a store has its own.
    split
        Name of the manifest: ``test`` for ``test.tsv``.
    is_choice
        Whether the user can name another split instead, for messages.

    Raises
    ------
    StoreError
        If the manifest or its store is missing, or the manifest lists no record.
    """
    path = Path(data) / f"{split}.tsv"
    if not path.is_file():
        raise StoreError(f"{path} is missing: {_instead(Path(data), is_choice)}")
    manifest = read_manifest(path)
    store = Store.open(manifest.root)
    rows = store.rows_of(manifest.record_ids)
    if len(rows) == 0:
        raise StoreError(f"{path} lists no record")
    return Split(path, store, rows)


def _instead(folder: Path, is_choice: bool) -> str:
    there = sorted(p.stem for p in folder.glob("*.tsv") if p.name != REFUSED_FILE)
    if not there:
        return (
            "no manifests are there. Give the folder of a prepared store (make one with 'selfmis "
            "prepare'), or a folder with manifests of your own"
        )
    if not is_choice:
        return f"the splits there are {', '.join(there)}; give a folder that has this one too"
    first = next(split for split in ("valid", *SPLITS, there[0]) if split in there)
    return (
        f"the splits there are {', '.join(there)}. Name one of them where the command asks for a "
        f"split, such as --split {first}, or give a folder that has this one"
    )


def open_splits(data: str | os.PathLike[str]) -> dict[str, Split]:
    """Open every split that a store, or a folder of manifests, has: train, valid and test.

    Raises
    ------
    StoreError
        As :func:`open_split`; and if there is none, or they are of several stores.
    """
    there = [split for split in SPLITS if (Path(data) / f"{split}.tsv").is_file()]
    splits = {split: open_split(data, split) for split in there or SPLITS[:1]}
    stores = {split.store.path for split in splits.values()}
    if len(stores) > 1:
        raise StoreError(
            f"{data}: its manifests are of several stores ({', '.join(map(str, sorted(stores)))}); "
            "give each one by itself"
        )
    return splits
