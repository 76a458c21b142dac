"""A folder of manifests over a store: which of its records each split has."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from selfmis_plugin.data.store import Store, write_manifest
from selfmis_plugin.utils.files import folder_beside
from selfmis_plugin.utils.replacing import replace_folder

__all__ = ["write_listed", "write_split_manifests"]


def write_split_manifests(store: Store, records: Mapping[str, Sequence[str]], target: Path) -> None:
    """Make a folder of manifests, whole or not at all.

    Parameters
    ----------
    store
        The store.
    records
        Ids of its records by split.
    target
        Folder to make, absolute; it is what ``task.data`` names.

    Raises
    ------
    WriteError
        If the disk is full, or nothing may be written there.
    """
    names = {f"{split}.tsv" for split in records}
    with folder_beside(target) as folder:
        for split, ids in records.items():
            write_listed(folder / f"{split}.tsv", ids, store, target)
        replace_folder(folder, target, names.__contains__)


def write_listed(path: Path, record_ids: Sequence[str], store: Store, target: Path) -> None:
    """Write at *path* a manifest that will lie in the folder *target*."""
    # Beside or inside its store a folder may be moved along with it; further away it may not.
    relative = os.path.relpath(store.path, target)
    root = relative if relative.count(os.pardir) <= 1 else str(store.path)
    write_manifest(path, record_ids, [store.info.samples] * len(record_ids), root)
