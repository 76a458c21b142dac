"""Embeddings of a split's records, by a trained checkpoint."""

from __future__ import annotations

import filecmp
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.contract import Classifies, EmbedsRecords, require
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.evaluation.evaluate import fitting_split, rows_of
from selfmis_plugin.utils.files import whole_file, whole_files

__all__ = ["SINGLE", "TOWERS", "Embeddings", "embed_split"]

SINGLE, MULTI = "single", "multi"
TOWERS = (SINGLE, MULTI)


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of the records of a split.

    Attributes
    ----------
    record_ids, patient_ids
        Names of the records and their patients.
    values
        float32, (records, embedding).
    """

    record_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    values: npt.NDArray[np.float32]

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write Parquet (record_id, patient_id, embedding), or .npy with ``FILE.records.tsv``.

        Raises
        ------
        ValueError
            If the file's name ends otherwise.
        """
        target = Path(path)
        if target.suffix == ".parquet":
            flat = pa.array(self.values.ravel())
            table = pa.table(
                {
                    "record_id": pa.array(self.record_ids, pa.string()),
                    "patient_id": pa.array(self.patient_ids, pa.string()),
                    "embedding": pa.FixedSizeListArray.from_arrays(flat, self.values.shape[1]),
                }
            )
            with whole_file(target) as temporary:
                pq.write_table(table, temporary)
        elif target.suffix == ".npy":
            rows = zip(self.record_ids, self.patient_ids, strict=True)
            lines = ["record_id\tpatient_id", *(f"{one}\t{other}" for one, other in rows)]
            names = target.with_suffix(".records.tsv")
            with whole_files(names, target) as (temporary_names, temporary):
                temporary_names.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
                np.save(temporary, self.values)
                if not (names.is_file() and filecmp.cmp(names, temporary_names, shallow=False)):
                    # Rather none for a moment than embeddings beside the names of others.
                    target.unlink(missing_ok=True)
        else:
            raise ValueError(f"{target}: give a name that ends in .parquet or .npy")


def embed_split(
    checkpoint: str | Path,
    data: str | Path,
    split: str = "test",
    towers: tuple[str, ...] = (SINGLE,),
    batch_size: int = 128,
    views: tuple[str, ...] | None = None,
) -> dict[str, Embeddings]:
    """Embed every record of a split.

    Parameters
    ----------
    checkpoint
        Of a pre-training or a classifier of any method, or an ECGFounder file.
    data, split
        Folder of a store, or of manifests of one, and the name of the manifest.
    towers
        Which towers of a pre-training checkpoint: ``single``, ``multi`` or both; a classifier has
        one encoder, which is given under each name asked for.
    batch_size
        Records computed at once.
    views
        Embeddings to make of each record by the names that the method gives them, in place of
        *towers*.

    Returns
    -------
    dict
        Embeddings by tower, or view. Multi-lead ones are centred if training centred them.

    Raises
    ------
    CheckpointError
        If the checkpoint cannot be read, embeds no records, has no such view, or was trained on
        data prepared in another way.
    StoreError
        If the data cannot be read.
    """
    trained = require(
        load_trained(checkpoint, named=False),
        EmbedsRecords,
        "has no embedding of a record",
        "give the checkpoint of a method that has",
    )
    part = fitting_split(trained, data, split)
    records = part.store.records.iloc[part.rows]
    names = tuple(records["record_id"]), tuple(records["patient_id"])
    rate = part.store.info.sample_rate
    if views is None:
        unknown = [tower for tower in towers if tower not in TOWERS]
        if unknown:
            raise CheckpointError(f"{checkpoint}: no tower {unknown[0]!r}; {' or '.join(TOWERS)}")
    # Chosen before anything is computed.
    chosen = {name: _view(trained, name, views is None) for name in views or towers}
    return {
        name: Embeddings(
            *names, rows_of(trained, trained.embedder(rate, view), part, batch_size).numpy()
        )
        for name, view in chosen.items()
    }


def _view(trained: EmbedsRecords, name: str, is_tower: bool) -> str:
    """Return the view of what was trained that is called *name*, or that a tower's name stands
    for: a classifier has one encoder, and so has a pre-training of one lead."""
    if name in trained.views:
        return name
    only = len(trained.views) == 1
    if is_tower and only and (name == SINGLE or isinstance(trained, Classifies)):
        return trained.views[0]
    raise CheckpointError(
        f"{trained.path} has no embedding {name!r}: it has {', '.join(trained.views)}"
        + (", one of which can be named as a view" if not only else "")
    )
