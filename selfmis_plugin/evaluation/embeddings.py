"""Embeddings of a split's records, by a trained checkpoint."""

from __future__ import annotations

import filecmp
import functools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.contract import Classifies, EmbedsRecords, require
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.data.store.identity import digest, identity_of
from selfmis_plugin.evaluation.evaluate import fitting_split, rows_of
from selfmis_plugin.evaluation.parts import (
    PartsWritten,
    part_of,
    require_same,
    write_parts,
)
from selfmis_plugin.utils.digests import digest_of_files
from selfmis_plugin.utils.files import whole_file, whole_files
from selfmis_plugin.utils.parallel import Processes, Workers

__all__ = ["SINGLE", "TOWERS", "Embeddings", "embed_in_parts", "embed_split"]

#: Records of a part at most, about: a run that is killed loses as many for each of its workers.
RECORDS_OF_A_PART = 4096
ONE_PROCESS = Processes(1)

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

    def table(self) -> pa.Table:
        """Return record_id, patient_id and embedding."""
        flat = pa.array(self.values.ravel())
        return pa.table(
            {
                "record_id": pa.array(self.record_ids, pa.string()),
                "patient_id": pa.array(self.patient_ids, pa.string()),
                "embedding": pa.FixedSizeListArray.from_arrays(flat, self.values.shape[1]),
            }
        )

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write Parquet (record_id, patient_id, embedding), or .npy with ``FILE.records.tsv``.

        Raises
        ------
        ValueError
            If the file's name ends otherwise.
        """
        target = Path(path)
        if target.suffix == ".parquet":
            with whole_file(target) as temporary:
                pq.write_table(self.table(), temporary)
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
    trained = _embedding_model(checkpoint)
    part = fitting_split(trained, data, split)
    rate = part.store.info.sample_rate
    if views is None:
        unknown = [tower for tower in towers if tower not in TOWERS]
        if unknown:
            raise CheckpointError(f"{checkpoint}: no tower {unknown[0]!r}; {' or '.join(TOWERS)}")
    # Chosen before anything is computed.
    chosen = {name: _view(trained, name, views is None) for name in views or towers}
    return {
        name: _embed(trained, trained.embedder(rate, view), part, batch_size)
        for name, view in chosen.items()
    }


def embed_in_parts(
    checkpoint: str | Path,
    data: str | Path,
    dest: str | Path,
    split: str = "test",
    name: str = SINGLE,
    is_tower: bool = True,
    batch_size: int = 128,
    workers: Workers = ONE_PROCESS,
    share: tuple[int, int] = (1, 1),
    restart: bool = False,
) -> PartsWritten:
    """Embed the records of a split into a folder of Parquet files, going on with what is there.

    Parameters
    ----------
    checkpoint, data, split, batch_size
        See :func:`embed_split`.
    dest
        Folder of the files, see :mod:`selfmis_plugin.evaluation.parts`.
    name, is_tower
        Which embedding: a tower, or a view by the name that the method gives it.
    workers
        Who computes; each reads the checkpoint once.
    share, restart
        See :func:`~selfmis_plugin.evaluation.parts.write_parts`.

    Raises
    ------
    CheckpointError, StoreError
        As :func:`embed_split`.
    PartsError
        If the folder has parts of something else, or a worker dies.
    """
    model, folder = Path(checkpoint).absolute(), Path(data).absolute()
    part = open_split(folder, split)
    of: dict[str, Any] = {
        "model": digest_of_files([model]),
        "embedding": name,
        "data": identity_of(part.store),
        "manifest": digest(part.rows.astype("<i8").tobytes()),
        "batch_size": batch_size,
    }
    key = digest(json.dumps(of, sort_keys=True).encode())
    embeds = _EmbedPart(model, folder, split, name, is_tower, batch_size, of["model"], key)
    part = _opened(embeds).part
    # Whole batches: an embedding's last bits depend on how many are computed at once.
    most = max(1, RECORDS_OF_A_PART // batch_size)
    size = batch_size * part_of(len(part.rows) // batch_size, 1, most)
    return write_parts(dest, of, range(len(part.rows)), embeds, size, workers, share, restart)


@dataclass(frozen=True)
class _EmbedPart:
    """Embeds some records of a split, in whatever process; *key* is of all that it reads, as a
    process may outlive what it has read before."""

    checkpoint: Path
    data: Path
    split: str
    name: str
    is_tower: bool
    batch_size: int
    model_digest: str
    key: str

    def __call__(self, positions: Sequence[int]) -> pa.Table:
        opened = _opened(self)
        part = replace(opened.part, rows=opened.part.rows[np.asarray(positions)])
        return _embed(opened.trained, opened.network, part, self.batch_size, False).table()


@dataclass(frozen=True)
class _Opened:
    trained: EmbedsRecords
    network: torch.nn.Module
    part: Split


# Kept, so that a process reads the checkpoint once for all its parts.
@functools.lru_cache(maxsize=1)
def _opened(wanted: _EmbedPart) -> _Opened:
    trained = _embedding_model(wanted.checkpoint)
    require_same(wanted.checkpoint, wanted.model_digest, digest_of_files([wanted.checkpoint]))
    part = fitting_split(trained, wanted.data, wanted.split)
    view = _view(trained, wanted.name, wanted.is_tower)
    return _Opened(trained, trained.embedder(part.store.info.sample_rate, view), part)


def _embedding_model(checkpoint: str | Path) -> EmbedsRecords:
    return require(
        load_trained(checkpoint, named=False),
        EmbedsRecords,
        "has no embedding of a record",
        "give the checkpoint of a method that has",
    )


def _embed(
    trained: EmbedsRecords,
    network: torch.nn.Module,
    part: Split,
    batch_size: int,
    progress: bool = True,
) -> Embeddings:
    records = part.store.records.iloc[part.rows]
    values = rows_of(trained, network, part, batch_size, progress).numpy()
    return Embeddings(tuple(records["record_id"]), tuple(records["patient_id"]), values)


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
