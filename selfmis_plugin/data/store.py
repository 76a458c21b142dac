"""The record store: signals of a whole database in one memory-mapped file.

A store is a folder::

    store.json       what the signals are: rate, units, leads, filter, version, label sets
    signals.i16      little-endian int16 microvolts, (records, leads, samples), C order
    records.parquet  one row per record, in the order of signals.i16
    train.tsv ...    one manifest per split that has records
    refused.tsv      source and reason of every record that could not be used

One lead of one record is contiguous, so that reading lead I alone costs a twelfth.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from selfmis_plugin import __version__
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.signal_file import SignalFile

logger = logging.getLogger(__name__)

STORE_FORMAT = "selfmis-store"
STORE_VERSION = 1
SPLITS: tuple[str, ...] = ("train", "valid", "test")

INFO_FILE = "store.json"
SIGNALS_FILE = "signals.i16"
RECORDS_FILE = "records.parquet"
REFUSED_FILE = "refused.tsv"

#: On disk the samples are little-endian whatever the machine.
SAMPLE_DTYPE = np.dtype("<i2")

_SCHEMA = pa.schema(
    [
        ("record_id", pa.string()),
        ("patient_id", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("repaired", pa.string()),
        ("lead_mask", pa.int64()),
        ("labels", pa.list_(pa.string())),
        ("strat_fold", pa.int64()),
    ]
)
#: Rows of records.parquet that are kept in memory before they are written.
_ROW_GROUP = 8192


class StoreError(ValueError):
    """A store, or a manifest, cannot be read or written; the message says what to do."""


@dataclass(frozen=True)
class StoreInfo:
    """What ``store.json`` says about the signals.

    Attributes
    ----------
    version
        Version of the store's format.
    units
        Unit of one digital step, ``"uV"``.
    dtype
        Type of a sample, ``"int16"``.
    sample_rate
        Samples a second.
    seconds, samples
        Length of every record, in seconds and in samples.
    leads
        Names of the leads, in the order of the signals' second axis.
    filter
        Filter that was applied before storing, ``"none"`` for none.
    records
        Number of records.
    database
        Name of the database that the records come from.
    label_sets
        Names of label sets and their labels, in order.
    created_with
        Version of the plugin that wrote the store.
    """

    version: int
    units: str
    dtype: str
    sample_rate: float
    seconds: float
    samples: int
    leads: tuple[str, ...]
    filter: str
    records: int
    database: str
    label_sets: dict[str, tuple[str, ...]]
    created_with: str

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``store.json``."""
        return {"format": STORE_FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, values: object, path: Path) -> StoreInfo:
        """Check the content of ``store.json``, read from *path*.

        Raises
        ------
        StoreError
            If it is not a store's, is of another version or lacks something.
        """
        if not isinstance(values, dict) or values.get("format") != STORE_FORMAT:
            raise StoreError(f"{path}: not a store's description (format is not {STORE_FORMAT!r})")
        version = values.get("version")
        if version != STORE_VERSION:
            raise StoreError(
                f"{path}: store version {version!r}, but this plugin ({__version__}) understands "
                f"version {STORE_VERSION}; {_again(values.get('database'))}"
            )
        missing = sorted(set(cls.__dataclass_fields__) - set(values))
        if missing:
            raise StoreError(
                f"{path}: lacks {', '.join(missing)}; {_again(values.get('database'))}"
            )
        try:
            info = cls(
                version=STORE_VERSION,
                units=str(values["units"]),
                dtype=str(values["dtype"]),
                sample_rate=float(values["sample_rate"]),
                seconds=float(values["seconds"]),
                samples=int(values["samples"]),
                leads=tuple(str(lead) for lead in values["leads"]),
                filter=str(values["filter"]),
                records=int(values["records"]),
                database=str(values["database"]),
                label_sets={
                    str(name): tuple(str(label) for label in labels)
                    for name, labels in values["label_sets"].items()
                },
                created_with=str(values["created_with"]),
            )
        except (TypeError, ValueError, AttributeError) as error:
            raise StoreError(
                f"{path}: a value is of the wrong kind ({error}); {_again(values.get('database'))}"
            ) from error
        if info.dtype != "int16" or info.units != "uV":
            raise StoreError(
                f"{path}: samples are {info.dtype} in {info.units}, expected int16 in uV; "
                f"{_again(info.database)}"
            )
        if info.samples < 1 or info.records < 0 or not info.leads:
            raise StoreError(
                f"{path}: {info.records} records of {len(info.leads)} leads and {info.samples} "
                f"samples cannot be; {_again(info.database)}"
            )
        return info


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
        except ValueError as error:
            raise StoreError(f"{info_path}: not valid JSON ({error}); {_again(None)}") from error
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
        if lead k is present), labels (list of str) and strat_fold (nullable integer).
        """
        path = self.path / RECORDS_FILE
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise StoreError(
                f"{path}: cannot be read ({error}); {_again(self.info.database)}"
            ) from error
        missing = [name for name in _SCHEMA.names if name not in table.column_names]
        if missing:
            raise StoreError(
                f"{path}: lacks the columns {', '.join(missing)}; {_again(self.info.database)}"
            )
        labels = table.column("labels").to_pylist()
        frame = table.drop_columns(["labels", "strat_fold"]).to_pandas()
        frame["labels"] = pd.Series(labels, index=frame.index, dtype=object)
        folds = table.column("strat_fold")
        frame["strat_fold"] = pd.array(folds.to_pylist(), dtype="Int64")
        return frame[_SCHEMA.names]

    @cached_property
    def signals(self) -> npt.NDArray[np.int16]:
        """All signals: read-only memory map, int16 microvolts, (records, leads, samples)."""
        return np.memmap(self.path / SIGNALS_FILE, dtype=SAMPLE_DTYPE, mode="r", shape=self._shape)

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.info.records, len(self.info.leads), self.info.samples

    @cached_property
    def _signal_file(self) -> SignalFile:
        return SignalFile(self.path / SIGNALS_FILE, self._shape, SAMPLE_DTYPE)

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
            If a row or a lead is not in the store.
        """
        index = self._check_rows(rows)
        columns = None
        if leads is not None:
            wanted = [self._lead_column(lead) for lead in leads]
            if wanted != list(range(len(self.info.leads))):
                columns = np.array(wanted, dtype=np.int64)
        return self._signal_file.gather(index, columns)

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
        known = {label for names in self.info.label_sets.values() for label in names}
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
                f"{self.path / RECORDS_FILE}: record {twice!r} twice; {_again(self.info.database)}"
            )
        return index

    @cached_property
    def _lead_columns(self) -> dict[str, int]:
        return {lead.casefold(): k for k, lead in enumerate(self.info.leads)}

    def _lead_column(self, lead: str) -> int:
        try:
            return self._lead_columns[lead.casefold()]
        except KeyError:
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


@dataclass(frozen=True)
class Manifest:
    """A list of records in the toolkits' form.

    Attributes
    ----------
    path
        The manifest's own file.
    root
        The folder its first line names; a relative one is relative to the manifest's folder.
    record_ids
        Names of the records.
    samples
        Number of samples of each, int64.
    """

    path: Path
    root: Path
    record_ids: list[str]
    samples: npt.NDArray[np.int64]


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read a manifest: root folder in the first line, then ``record_id<TAB>samples`` rows.

    Raises
    ------
    StoreError
        If the file is absent or empty, or a row has not this form; the message names the line.
    """
    source = Path(path).absolute()
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{source}: cannot be read ({error})") from error
    if not lines or not lines[0].strip():
        raise StoreError(f"{source}: the first line must name the root folder")
    record_ids: list[str] = []
    samples: list[int] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != 2 or not fields[0] or not fields[1].strip().isdecimal():
            raise StoreError(
                f"{source}, line {number}: expected record_id<TAB>samples, found {line[:80]!r}"
            )
        record_ids.append(fields[0])
        samples.append(int(fields[1]))
    root = Path(os.path.normpath(source.parent / lines[0].strip()))
    return Manifest(source, root, record_ids, np.asarray(samples, dtype=np.int64))


def write_manifest(
    path: str | os.PathLike[str],
    record_ids: Sequence[str],
    samples: Sequence[int] | npt.NDArray[np.int64],
    root: str = ".",
) -> None:
    """Write a manifest that :func:`read_manifest` and the toolkits read.

    Parameters
    ----------
    path
        File to write.
    record_ids, samples
        One row each.
    root
        First line: the store's folder, absolute or relative to the manifest's.

    Raises
    ------
    StoreError
        If the two differ in length or an id holds a tab or a line break.
    """
    if len(record_ids) != len(samples):
        raise StoreError(f"{path}: {len(record_ids)} records but {len(samples)} lengths")
    rows = [str(root)]
    for record_id, length in zip(record_ids, samples, strict=True):
        _check_text("record_id", record_id)
        rows.append(f"{record_id}\t{int(length)}")
    Path(path).write_text("\n".join(rows) + "\n", encoding="utf-8", newline="\n")


class StoreWriter:
    """Write a store, record by record; it appears at *dest* only when it is whole.

    Use it as a context manager. Everything is written to a hidden folder beside *dest*, which
    is renamed at the end; after an exception that folder is removed and *dest* is as it was.

    Parameters
    ----------
    dest
        Folder to make.
    database
        Name of the database.
    label_sets
        Names of label sets and their labels.
    sample_rate, seconds, leads, filter
        What the signals are.
    overwrite
        Whether to replace a store that is there.
    expected_records
        How many records are to come, for a warning when the disk is too small for them.

    Raises
    ------
    StoreError
        If *dest* is there and *overwrite* is false, or it is no store.

    Examples
    --------
    >>> with StoreWriter("store", database="mine") as writer:  # doctest: +SKIP
    ...     writer.append(signal, {"record_id": "1", "patient_id": "7", "split": "train"})
    """

    def __init__(
        self,
        dest: str | os.PathLike[str],
        *,
        database: str,
        label_sets: Mapping[str, Sequence[str]] | None = None,
        sample_rate: float = 500,
        seconds: float = 10.0,
        leads: Sequence[str] = STANDARD_LEADS,
        filter: str = "none",
        overwrite: bool = False,
        expected_records: int | None = None,
    ) -> None:
        self.dest = Path(dest).absolute()
        self.overwrite = overwrite
        self.expected_records = expected_records
        self.sample_rate = sample_rate
        self.seconds = float(seconds)
        self.samples = round(sample_rate * seconds)
        self.leads = tuple(leads)
        self.filter = filter
        self.database = database
        self.label_sets = {name: tuple(names) for name, names in (label_sets or {}).items()}
        if len({lead.casefold() for lead in self.leads}) != len(self.leads) or not self.leads:
            raise StoreError(f"leads must be distinct, at least one: {', '.join(self.leads)}")
        if self.samples < 1:
            raise StoreError(f"{seconds} s at {sample_rate} Hz is not one sample")
        self.refused = 0
        self._ids: dict[str, list[str]] = {split: [] for split in SPLITS}
        self._seen: set[str] = set()
        self._rows: list[dict[str, Any]] = []
        self._check_dest()

    def __len__(self) -> int:
        return len(self._seen)

    def __contains__(self, record_id: object) -> bool:
        return record_id in self._seen

    def __enter__(self) -> StoreWriter:
        self.dest.parent.mkdir(parents=True, exist_ok=True)
        self._warn_of_disk()
        self._folder = self.dest.with_name(f".{self.dest.name}.partial-{uuid.uuid4().hex[:8]}")
        self._folder.mkdir()
        try:
            self._signals: IO[bytes] = open(self._folder / SIGNALS_FILE, "wb")
            self._refused: IO[str] = open(
                self._folder / REFUSED_FILE, "w", encoding="utf-8", newline="\n"
            )
            self._refused.write("source\treason\n")
            self._table = pq.ParquetWriter(self._folder / RECORDS_FILE, _SCHEMA)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._close_quietly()
            shutil.rmtree(self._folder, ignore_errors=True)

    def append(self, signal: npt.NDArray[np.int16], row: Mapping[str, Any]) -> None:
        """Add a record.

        Parameters
        ----------
        signal
            int16 microvolts, (leads, samples).
        row
            ``record_id``, and where known ``patient_id`` (default: the record's id), ``source``,
            ``split`` (train, valid or test; default train), ``repaired``, ``lead_mask`` (default:
            every lead), ``labels`` and ``strat_fold``.

        Raises
        ------
        StoreError
            If the signal is of another shape or type, the id was there before, or a value is wrong.
        """
        checked = self._check_row(row)
        shape = (len(self.leads), self.samples)
        if signal.dtype != np.int16 or signal.shape != shape:
            raise StoreError(
                f"record {checked['record_id']!r}: the signal must be int16 of shape {shape}, "
                f"not {signal.dtype} of shape {signal.shape}"
            )
        self._signals.write(np.ascontiguousarray(signal, dtype=SAMPLE_DTYPE).data)
        self._seen.add(checked["record_id"])
        self._ids[checked["split"]].append(checked["record_id"])
        self._rows.append(checked)
        if len(self._rows) >= _ROW_GROUP:
            self._write_rows()

    def refuse(self, source: str, reason: str) -> None:
        """Note a record that could not be used, for ``refused.tsv``."""
        self.refused += 1
        self._refused.write(refused_row(source, reason))

    def _check_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(row) - set(_SCHEMA.names))
        if unknown:
            raise StoreError(f"a record has no {', '.join(unknown)}; known: {_SCHEMA.names}")
        if "record_id" not in row:
            raise StoreError("a record needs a record_id")
        record_id = str(row["record_id"])
        every_lead = (1 << len(self.leads)) - 1
        checked: dict[str, Any] = {
            "record_id": record_id,
            "patient_id": str(row.get("patient_id", record_id)),
            "source": str(row.get("source", "")),
            "split": str(row.get("split", "train")),
            "repaired": str(row.get("repaired", "")),
            "lead_mask": int(row.get("lead_mask", every_lead)),
            "labels": [str(label) for label in row.get("labels", ())],
            "strat_fold": None if row.get("strat_fold") is None else int(row["strat_fold"]),
        }
        if not record_id:
            raise StoreError("a record's id is empty")
        for name in ("record_id", "patient_id", "source"):
            _check_text(name, checked[name])
        if record_id in self._seen:
            raise StoreError(f"record {record_id!r} is there twice")
        if checked["split"] not in SPLITS:
            raise StoreError(
                f"record {record_id!r}: split {checked['split']!r}, not one of {', '.join(SPLITS)}"
            )
        if not 0 <= checked["lead_mask"] <= every_lead:
            raise StoreError(
                f"record {record_id!r}: lead_mask {checked['lead_mask']} has bits beyond the "
                f"{len(self.leads)} leads"
            )
        return checked

    def _check_dest(self) -> None:
        if not os.path.lexists(self.dest):
            return
        if not self.overwrite:
            raise StoreError(
                f"{self.dest}: is there already; give another folder, or overwrite it (--overwrite)"
            )
        # A wrong path must not cost somebody a folder of something else.
        is_folder = self.dest.is_dir() and not self.dest.is_symlink()
        if not is_folder or (any(self.dest.iterdir()) and not (self.dest / INFO_FILE).is_file()):
            raise StoreError(
                f"{self.dest}: is not a store (no {INFO_FILE}), so it is not overwritten; "
                "give another folder or remove it yourself"
            )

    def _warn_of_disk(self) -> None:
        for left in sorted(self.dest.parent.glob(f".{self.dest.name}.partial-*")):
            logger.warning("%s: left over from a run that was killed; remove it", left)
        if self.expected_records is None:
            return
        needed = self.expected_records * len(self.leads) * self.samples * SAMPLE_DTYPE.itemsize
        free = shutil.disk_usage(self.dest.parent).free
        if needed > free:
            logger.warning(
                "%s: the store may need %.1f GB, the disk has %.1f GB free",
                self.dest,
                needed / 1e9,
                free / 1e9,
            )

    def _write_rows(self) -> None:
        self._table.write_table(pa.Table.from_pylist(self._rows, schema=_SCHEMA))
        self._rows.clear()

    def _finish(self) -> None:
        if not len(self):
            raise StoreError(f"{self.dest}: no record to store")
        self._write_rows()
        self._table.close()
        self._refused.close()
        self._signals.flush()
        os.fsync(self._signals.fileno())
        self._signals.close()
        for split, record_ids in self._ids.items():
            if record_ids:
                lengths = np.full(len(record_ids), self.samples, dtype=np.int64)
                write_manifest(self._folder / f"{split}.tsv", record_ids, lengths)
        rate = int(self.sample_rate) if self.sample_rate == int(self.sample_rate) else None
        info = StoreInfo(
            version=STORE_VERSION,
            units="uV",
            dtype="int16",
            sample_rate=self.sample_rate if rate is None else rate,
            seconds=self.seconds,
            samples=self.samples,
            leads=self.leads,
            filter=self.filter,
            records=len(self),
            database=self.database,
            label_sets=self.label_sets,
            created_with=__version__,
        )
        text = json.dumps(info.to_dict(), indent=2, ensure_ascii=False)
        (self._folder / INFO_FILE).write_text(text + "\n", encoding="utf-8", newline="\n")
        # Checked before the old store goes: another run may have made dest meanwhile.
        self._check_dest()
        if self.dest.exists():
            old = self._folder.with_name(self._folder.name + "-old")
            self.dest.rename(old)
            try:
                self._folder.rename(self.dest)
            except BaseException:
                old.rename(self.dest)
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            self._folder.rename(self.dest)

    def _close_quietly(self) -> None:
        # After a failure (such as a full disk) closing fails again; the first error is the one
        # to show.
        for file in (self._signals, self._refused, self._table):
            try:
                file.close()
            except (OSError, ValueError, pa.ArrowException):
                logger.debug("closing %r failed", file, exc_info=True)


def refused_row(source: str, reason: str) -> str:
    """Return a row of ``refused.tsv``, on one line whatever the texts hold."""
    return f"{' '.join(source.split())}\t{' '.join(reason.split())}\n"


def _again(database: object) -> str:
    name = database if isinstance(database, str) and database else "NAME"
    return f"prepare it again with `selfmis prepare {name} ... --overwrite`"


def _check_sizes(folder: Path, info: StoreInfo) -> None:
    signals = folder / SIGNALS_FILE
    expected = info.records * len(info.leads) * info.samples * SAMPLE_DTYPE.itemsize
    try:
        found = signals.stat().st_size
    except FileNotFoundError:
        raise StoreError(f"{signals}: is missing; {_again(info.database)}") from None
    if found != expected:
        raise StoreError(
            f"{signals}: {found} bytes, expected {expected} ({info.records} records of "
            f"{len(info.leads)} leads and {info.samples} samples); {_again(info.database)}"
        )
    table = folder / RECORDS_FILE
    try:
        rows = pq.read_metadata(table).num_rows
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{table}: cannot be read ({error}); {_again(info.database)}") from error
    if rows != info.records:
        raise StoreError(f"{table}: {rows} rows, expected {info.records}; {_again(info.database)}")


def _check_text(name: str, text: str) -> None:
    # Manifests have one record a line, fields apart by tabs; str.splitlines knows many breaks.
    if "\t" in text or len(text.splitlines()) > 1 or text != text.rstrip("\r\n"):
        raise StoreError(f"{name} {text!r} holds a tab or a line break")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise StoreError(f"{name} {text!r} is not valid text") from None
