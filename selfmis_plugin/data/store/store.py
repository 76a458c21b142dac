"""The record store: signals of a whole database in one memory-mapped file.

A store is a folder::

    store.json       what the signals are: rate, units, leads, filter, version, label sets
    signals.i16      little-endian int16 microvolts, (records, leads, samples), C order
    records.parquet  one row per record, in the order of signals.i16
    train.tsv ...    one manifest per split that has records
    refused.tsv      source and reason of every record that could not be used
    prepared.json    from what, and how, ``selfmis prepare`` made it

One lead of one record is contiguous, so that reading lead I alone costs a twelfth.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from selfmis_plugin.data.store.format import (
    INFO_FILE,
    RECORDS_FILE,
    REFUSED_FILE,
    SAMPLE_DTYPE,
    SCHEMA,
    SIGNALS_FILE,
    SPLITS,
    STORE_FORMAT,
    STORE_VERSION,
    StoreError,
    StoreInfo,
    again,
)
from selfmis_plugin.data.store.manifest import Manifest, read_manifest, write_manifest
from selfmis_plugin.data.store.record_table import read_records
from selfmis_plugin.data.store.signal_file import SignalFile, check_length
from selfmis_plugin.data.store.writer import StoreWriter
from selfmis_plugin.data.store_parts import Part

__all__ = [
    "INFO_FILE", "RECORDS_FILE", "REFUSED_FILE", "SAMPLE_DTYPE", "SIGNALS_FILE", "SPLITS",
    "STORE_FORMAT", "STORE_VERSION", "Manifest", "Store", "StoreError", "StoreInfo", "StoreWriter",
    "read_manifest", "write_manifest",
]  # fmt: skip

#: Columns of whole numbers that a row may lack.
_WHOLE_NUMBERS = ("strat_fold", "session")

#: What damaged bytes make of Arrow, whose own errors are not all of one class.
_UNREADABLE = (OSError, ArithmeticError, LookupError, TypeError, ValueError, pa.ArrowException)

#: Zeros before a number within a name.
_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


def _without_zeros(name: str) -> str:
    return _ZEROS.sub("", name)


class Store:
    """Records of one database, memory-mapped and read-only.

    A store can be pickled; the copy opens the files anew when it first needs them.

    Parameters
    ----------
    path
        The store's folder.
    info
        What its ``store.json`` says. Use :meth:`Store.open`, which reads and checks it.
    """

    def __init__(self, path: Path, info: StoreInfo) -> None:
        self.path = path
        self.info = info

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Store:
        """Open the store in the folder *path* and check that its files fit together.

        Raises
        ------
        StoreError
            If there is no store, its version is not understood or a file is damaged.
        """
        # Absolute, because the toolkits change the working folder when a run starts.
        folder = Path(path).absolute()
        info_path = folder / INFO_FILE
        if not folder.is_dir():
            raise StoreError(f"{folder}: no such folder; prepare a store with `selfmis prepare`")
        try:
            values = json.loads(info_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise StoreError(
                f"{folder}: not a store (no {INFO_FILE}); prepare one with `selfmis prepare`"
            ) from None
        except OSError as error:
            raise StoreError(f"{info_path}: cannot be read ({error}); {again(None)}") from error
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{info_path}: not valid JSON ({error}); {again(None)}") from error
        info = StoreInfo.from_dict(values, info_path)
        _check_sizes(folder, info)
        return cls(folder, info)

    def __len__(self) -> int:
        return self.info.records

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, {self.info.records} records of {self.info.database})"

    def __getstate__(self) -> dict[str, Any]:
        # Not the memory map nor the table: they are large, and cheap to open again.
        return {"path": self.path, "info": self.info}

    @cached_property
    def records(self) -> pd.DataFrame:
        """The table of records, row k for record k of :attr:`signals`.

        Columns: record_id, patient_id, source, split, repaired (str), lead_mask (int; bit k set
        if lead k is present), labels (list of str), strat_fold (nullable integer), sex (``female``,
        ``male`` or None), age (years, NaN where it is not recorded) and session (nullable integer:
        recordings of a patient with the same one were made on the same day, 1 on the first).
        """
        path = self.path / RECORDS_FILE
        try:
            table = read_records(path, self.info)
        except _UNREADABLE as error:
            raise StoreError(
                f"{path}: cannot be read ({error}); {again(self.info.database)}"
            ) from error
        labels = table.column("labels").to_pylist()
        frame = table.drop_columns(["labels", *_WHOLE_NUMBERS]).to_pandas()
        frame["labels"] = pd.Series(labels, index=frame.index, dtype=object)
        for name in _WHOLE_NUMBERS:
            frame[name] = pd.array(table.column(name).to_pylist(), dtype="Int64")
        return frame[SCHEMA.names]

    @cached_property
    def part_of_records(self) -> npt.NDArray[np.int64]:
        """Which of ``info.whole_parts`` each record is of, int64 (records,)."""
        counts = [part.records for part in self.info.whole_parts]
        return np.repeat(np.arange(len(counts), dtype=np.int64), counts)

    def own_names(self, column: str) -> npt.NDArray[np.object_]:
        """Return what records or patients are called in their own database.

        Parameters
        ----------
        column
            ``record_id`` or ``patient_id``.
        """
        names = self.records[column].to_numpy()
        if not self.info.parts:
            return names
        prefixes = [part.prefix for part in self.info.parts]
        pairs = zip(names, self.part_of_records, strict=True)
        own = [name.removeprefix(prefixes[part]) for name, part in pairs]
        return np.array(own, dtype=object)

    def parts_among(self, rows: npt.NDArray[np.int64]) -> tuple[Part, ...]:
        """Return the parts that records are of, and how many of each; none where the store was
        not joined."""
        counts = np.bincount(self.part_of_records[rows], minlength=len(self.info.parts))
        pairs = zip(self.info.parts, counts.tolist(), strict=False)
        return tuple(replace(part, records=count) for part, count in pairs if count)

    @cached_property
    def signals(self) -> npt.NDArray[np.int16]:
        """All signals: read-only memory map, int16 microvolts, (records, leads, samples), of the
        leads ``info.stored_leads``."""
        return np.memmap(self.path / SIGNALS_FILE, dtype=SAMPLE_DTYPE, mode="r", shape=self._shape)

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.info.records, len(self.info.stored_leads), self.info.samples

    @cached_property
    def _signal_file(self) -> SignalFile:
        return SignalFile(self.path / SIGNALS_FILE, self._shape, SAMPLE_DTYPE)

    @property
    def bytes_of_sample(self) -> int:
        """Bytes of a sample in the file."""
        return SAMPLE_DTYPE.itemsize

    def check_length(self) -> None:
        """See whether the signals are all there still; a look at the file's size.

        Raises
        ------
        CutShortError
            If the file has become shorter since the store was opened, or is not there.
        """
        path = self.path / SIGNALS_FILE
        expected = math.prod(self._shape) * SAMPLE_DTYPE.itemsize
        check_length(path, path.stat().st_size if path.is_file() else 0, expected)

    def read(
        self, rows: npt.ArrayLike, leads: Sequence[str] | None = None
    ) -> npt.NDArray[np.int16]:
        """Copy records into memory, reading only the bytes of the leads asked for.

        Parameters
        ----------
        rows
            Row numbers, in any order; repeated ones are allowed.
        leads
            Names of the leads, in the order wanted; all when None.

        Returns
        -------
        numpy.ndarray
            int16 microvolts, (len(rows), len(leads), samples).

        Raises
        ------
        StoreError
            If a row or a lead is not in the store, or the signals have been cut short.
        """
        return self._signal_file.gather(self._check_rows(rows), self._columns(leads))

    def announce(self, rows: npt.ArrayLike, leads: Sequence[str] | None = None) -> None:
        """Ask the kernel to fetch records that are going to be read, without waiting for them.

        Parameters
        ----------
        rows, leads
            As for :meth:`read`.

        Raises
        ------
        StoreError
            If a row or a lead is not in the store.
        """
        self._signal_file.announce(self._check_rows(rows), self._columns(leads))

    def _columns(self, leads: Sequence[str] | None) -> npt.NDArray[np.int64] | None:
        """Return numbers of leads in the file; None for all in their order."""
        wanted = [self._lead_column(lead) for lead in (self.info.leads if leads is None else leads)]
        in_order = wanted == list(range(len(self.info.stored_leads)))
        return None if in_order else np.array(wanted, dtype=np.int64)

    def check_leads(self, leads: Sequence[str]) -> None:
        """Refuse leads that cannot be read.

        Raises
        ------
        StoreError
            If the store does not know a lead, or is a view without its signals.
        """
        for lead in leads:
            self._lead_column(lead)

    def rows_of(self, record_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the row numbers of records.

        Raises
        ------
        StoreError
            If an id is unknown; the message names the first ones.
        """
        rows = self._index.get_indexer(pd.Index(list(record_ids), dtype=object))
        unknown = np.flatnonzero(rows < 0)
        if len(unknown):
            names = ", ".join(repr(record_ids[int(k)]) for k in unknown[:5])
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            raise StoreError(
                f"{self.path}: has no record {names}{more}; is this manifest another store's?"
            )
        return rows.astype(np.int64)

    def find(self, record_id: str) -> int:
        """Return the row of the record that a user asks for, with or without zeros before numbers.

        Raises
        ------
        StoreError
            If there is none, or ``17`` is asked for and ``17`` and ``00017`` are both there.
        """
        ids = self.records["record_id"]
        wanted = _without_zeros(record_id)
        rows = np.flatnonzero(ids.map(_without_zeros).to_numpy() == wanted)
        exact = [row for row in rows if ids.iloc[row] == record_id]
        # Who writes the zeros means them.
        if exact and (len(rows) == 1 or wanted != record_id):
            return int(exact[0])
        if len(rows) == 1:
            return int(rows[0])
        if len(rows):
            names = " and ".join(repr(ids.iloc[row]) for row in rows)
            raise StoreError(
                f"{self.path}: has the records {names}, and {record_id!r} may be either: write all "
                "the zeros"
            )
        raise StoreError(
            f"{self.path}: has no record {record_id!r}: names are in the first column of its "
            "train.tsv, valid.tsv and test.tsv"
        )

    def targets(self, rows: npt.ArrayLike, labels: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return labels as a multi-hot table.

        Parameters
        ----------
        rows
            Row numbers.
        labels
            Names of labels, one column each; such as ``info.label_sets["diagnostic"]``.

        Returns
        -------
        numpy.ndarray
            float32 zeros and ones, (len(rows), len(labels)).

        Raises
        ------
        StoreError
            If a row is not in the store or a label is in none of its label sets.
        """
        index = self._check_rows(rows)
        known = self.info.labels
        unknown = [label for label in labels if label not in known]
        if unknown:
            sets = ", ".join(f"{k} ({len(v)})" for k, v in self.info.label_sets.items()) or "none"
            raise StoreError(
                f"{self.path}: unknown labels {', '.join(map(repr, unknown[:5]))}; "
                f"label sets of this store: {sets}"
            )
        column = {label: k for k, label in enumerate(labels)}
        if len(column) != len(labels):
            raise StoreError("a label is asked for twice")
        targets = np.zeros((len(index), len(labels)), dtype=np.float32)
        listed = self.records["labels"].to_numpy()
        for row, record in enumerate(index):
            for label in listed[record]:
                if label in column:
                    targets[row, column[label]] = 1.0
        return targets

    @cached_property
    def _index(self) -> pd.Index:
        index = pd.Index(self.records["record_id"].to_numpy(), dtype=object)
        if not index.is_unique:
            twice = index[index.duplicated()][0]
            raise StoreError(
                f"{self.path / RECORDS_FILE}: record {twice!r} twice; {again(self.info.database)}"
            )
        return index

    @cached_property
    def _lead_columns(self) -> dict[str, int]:
        return {lead.casefold(): k for k, lead in enumerate(self.info.stored_leads)}

    def _lead_column(self, lead: str) -> int:
        try:
            return self._lead_columns[lead.casefold()]
        except KeyError:
            view = self.info.view
            if view is not None and lead.casefold() in map(str.casefold, self.info.leads):
                raise StoreError(
                    f"{self.path}: is a view of {view.origin} without the signals of lead {lead}; "
                    f"it has {', '.join(view.leads)}. Read {view.origin} itself, or make a view "
                    f"that has it: selfmis prepare view {view.origin} --leads "
                    f"{','.join((*view.leads, lead))} --dest DIR"
                ) from None
            raise StoreError(
                f"{self.path}: has no lead {lead!r}; it has {', '.join(self.info.leads)}"
            ) from None

    def _check_rows(self, rows: npt.ArrayLike) -> npt.NDArray[np.int64]:
        index = np.asarray(rows)
        if index.size == 0:
            index = index.astype(np.int64)
        if index.ndim != 1 or not np.issubdtype(index.dtype, np.integer):
            raise StoreError(f"rows must be a list of whole numbers, not {index.dtype}")
        if index.size and (index.min() < 0 or index.max() >= self.info.records):
            bad = index.min() if index.min() < 0 else index.max()
            raise StoreError(f"{self.path}: no row {bad}; it has {self.info.records} records")
        return index.astype(np.int64, copy=False)


def _check_sizes(folder: Path, info: StoreInfo) -> None:
    signals = folder / SIGNALS_FILE
    expected = info.records * len(info.stored_leads) * info.samples * SAMPLE_DTYPE.itemsize
    try:
        found = signals.stat().st_size
    except OSError as error:
        why = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise StoreError(f"{signals}: {why}; {again(info.database)}") from None
    if found != expected:
        raise StoreError(
            f"{signals}: {found} bytes, expected {expected} ({info.records} records of "
            f"{len(info.stored_leads)} leads and {info.samples} samples); {again(info.database)}"
        )
    table = folder / RECORDS_FILE
    try:
        rows = pq.read_metadata(table).num_rows
    except _UNREADABLE as error:
        raise StoreError(f"{table}: cannot be read ({error}); {again(info.database)}") from error
    if rows != info.records:
        raise StoreError(f"{table}: {rows} rows, expected {info.records}; {again(info.database)}")
