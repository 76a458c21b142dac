"""Writing a store: its description, its tables, its place."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from selfmis_plugin._version import __version__
from selfmis_plugin.data.filter_names import FILTER_NAMES
from selfmis_plugin.data.labels import refuse_derived
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.origin import Origin
from selfmis_plugin.data.person import OLDEST, SEXES
from selfmis_plugin.data.store.format import (
    INFO_FILE,
    OWN_FILES,
    RECORDS_FILE,
    REFUSED_FILE,
    SAMPLE_DTYPE,
    SCHEMA,
    SIGNALS_FILE,
    SPLITS,
    STORE_VERSION,
    UNITS,
    StoreError,
    StoreInfo,
)
from selfmis_plugin.data.store.manifest import check_text, manifest_row
from selfmis_plugin.data.store_parts import Part
from selfmis_plugin.utils.files import folder_beside, make_folder, sync
from selfmis_plugin.utils.replacing import put_back, replace_folder
from selfmis_plugin.utils.temporary import PARTIAL, leftovers

logger = logging.getLogger(__name__)

#: Rows of records.parquet that are kept in memory before they are written.
ROW_GROUP = 8192
_COLUMNS = frozenset(SCHEMA.names)


@dataclass(frozen=True)
class StoreLayout:
    """What the signals of a store are, before there is one.

    Attributes
    ----------
    database
        Name of the database.
    label_sets
        Names of label sets and their labels.
    sample_rate, seconds, leads, filter
        What the signals are.
    origins
        Where the records come from; none where it is not recorded.
    parts
        Of a store that is joined of several, in the order of the records.

    Raises
    ------
    StoreError
        If a lead is named twice, the filter is unknown, there is no lead or no sample, or a label
        has the name of one that is derived.
    """

    database: str
    label_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sample_rate: float = 500
    seconds: float = 10.0
    leads: tuple[str, ...] = STANDARD_LEADS
    filter: str = "none"
    origins: tuple[Origin, ...] = ()
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        if len({lead.casefold() for lead in self.leads}) != len(self.leads) or not self.leads:
            raise StoreError(f"leads must be distinct, at least one: {', '.join(self.leads)}")
        try:
            refuse_derived(name for names in self.label_sets.values() for name in names)
        except ValueError as error:
            raise StoreError(str(error)) from error
        if self.samples < 1:
            raise StoreError(f"{self.seconds} s at {self.sample_rate} Hz is not one sample")
        if self.filter not in FILTER_NAMES:
            raise StoreError(f"filter {self.filter!r} is not one of {', '.join(FILTER_NAMES)}")

    @property
    def samples(self) -> int:
        """Samples of a lead of a record."""
        return round(self.sample_rate * self.seconds)

    @property
    def record_bytes(self) -> int:
        """Bytes of a record in the signal file."""
        return len(self.leads) * self.samples * SAMPLE_DTYPE.itemsize

    def info(self, records: int) -> StoreInfo:
        """Return the description of a store of so many records."""
        whole = self.sample_rate == int(self.sample_rate)
        return StoreInfo(
            version=STORE_VERSION,
            units=UNITS,
            dtype="int16",
            sample_rate=int(self.sample_rate) if whole else self.sample_rate,
            seconds=float(self.seconds),
            samples=self.samples,
            leads=self.leads,
            filter=self.filter,
            records=records,
            database=self.database,
            label_sets={name: tuple(labels) for name, labels in self.label_sets.items()},
            created_with=__version__,
            origins=self.origins,
            parts=self.parts,
        )

    def check_signal(self, signal: npt.NDArray[Any], record_id: str) -> None:
        """Refuse a signal that does not fit.

        Raises
        ------
        StoreError
            If it is not int16 of shape (leads, samples).
        """
        shape = (len(self.leads), self.samples)
        if signal.dtype != np.int16 or signal.shape != shape:
            raise StoreError(
                f"record {record_id!r}: the signal must be int16 of shape {shape}, "
                f"not {signal.dtype} of shape {signal.shape}"
            )

    def checked_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row of the table of records, with defaults filled in.

        Raises
        ------
        StoreError
            If a column is unknown or a value is wrong.
        """
        if not row.keys() <= _COLUMNS:
            unknown = ", ".join(sorted(row.keys() - _COLUMNS))
            raise StoreError(f"a record has no {unknown}; known: {SCHEMA.names}")
        if "record_id" not in row:
            raise StoreError("a record needs a record_id")
        record_id = str(row["record_id"])
        every_lead = (1 << len(self.leads)) - 1
        strat_fold, sex, age = row.get("strat_fold"), row.get("sex"), row.get("age")
        session = row.get("session")
        checked: dict[str, Any] = {
            "record_id": record_id,
            "patient_id": str(row.get("patient_id", record_id)),
            "source": str(row.get("source", "")),
            "split": str(row.get("split", "train")),
            "repaired": str(row.get("repaired", "")),
            "lead_mask": int(row.get("lead_mask", every_lead)),
            "labels": [str(label) for label in row.get("labels", ())],
            "strat_fold": None if strat_fold is None else int(strat_fold),
            "sex": sex,
            "age": None if age is None else float(age),
            "session": None if session is None else int(session),
        }
        if not record_id:
            raise StoreError("a record's id is empty")
        for name in ("record_id", "patient_id", "source"):
            check_text(name, checked[name])
        if checked["split"] not in SPLITS:
            raise StoreError(
                f"record {record_id!r}: split {checked['split']!r}, not one of {', '.join(SPLITS)}"
            )
        if sex not in (None, *SEXES):
            raise StoreError(f"record {record_id!r}: sex {sex!r}, not one of {', '.join(SEXES)}")
        if age is not None and not 0 <= checked["age"] <= OLDEST:
            raise StoreError(
                f"record {record_id!r}: age {age!r}, not from 0 to {OLDEST:g} years, which stands "
                "for everybody older"
            )
        if not 0 <= checked["lead_mask"] <= every_lead:
            raise StoreError(
                f"record {record_id!r}: lead_mask {checked['lead_mask']} has bits beyond the "
                f"{len(self.leads)} leads"
            )
        return checked


class TableWriter:
    """Writes every file of a store but its signals, in the order of the records.

    The bytes depend on the rows alone, not on how many are handed over at once. The memory needed
    does not grow with them.

    Parameters
    ----------
    folder
        Folder of the store, which is there.
    layout
        What the signals are.
    """

    def __init__(self, folder: Path, layout: StoreLayout) -> None:
        self.folder = folder
        self.layout = layout
        self.records = 0
        self._waiting: list[pa.Table] = []
        self._manifests: dict[str, IO[str]] = {}
        self._refused = self._open(REFUSED_FILE, "source\treason\n")
        self._table = pq.ParquetWriter(folder / RECORDS_FILE, SCHEMA)

    def add(self, rows: pa.Table) -> None:
        """Add rows that :meth:`StoreLayout.checked_row` made, as a table of the store's schema."""
        ids, splits = rows.column("record_id").to_pylist(), rows.column("split").to_pylist()
        for record_id, split in zip(ids, splits, strict=True):
            if split not in self._manifests:
                self._manifests[split] = self._open(f"{split}.tsv", ".\n")
            self._manifests[split].write(manifest_row(record_id, self.layout.samples))
        self.records += len(rows)
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= ROW_GROUP:
            self._write_groups(ROW_GROUP)

    def refuse(self, source: str, reason: str) -> None:
        """Note a record that could not be used."""
        self._refused.write(refused_row(source, reason))

    def finish(self) -> None:
        """Write what is left, and last of all the description; all of it is then on the disk."""
        self._write_groups(1)
        self._table.close()
        texts = (self._refused, *self._manifests.values())
        for file in texts:
            file.close()
        text = json.dumps(self.layout.info(self.records).to_dict(), indent=2, ensure_ascii=False)
        for path in (*(Path(file.name) for file in texts), self.folder / RECORDS_FILE):
            sync(path)
        info = self.folder / INFO_FILE
        info.write_text(text + "\n", encoding="utf-8", newline="\n")
        sync(info)
        sync(self.folder)

    def close(self) -> None:
        """Close the files after a failure; that this fails again must not hide the first error."""
        for file in (self._refused, self._table, *self._manifests.values()):
            with suppress(OSError, ValueError, pa.ArrowException):
                file.close()

    def _open(self, name: str, first: str) -> IO[str]:
        path = self.folder / name
        file: IO[str] = path.open("w", encoding="utf-8", newline="\n")
        file.write(first)
        return file

    def _write_groups(self, least: int) -> None:
        rows = pa.concat_tables(self._waiting) if self._waiting else SCHEMA.empty_table()
        while len(rows) >= least:
            self._table.write_table(rows.slice(0, ROW_GROUP).combine_chunks())
            rows = rows.slice(ROW_GROUP)
        self._waiting = [rows]


class StoreWriter:
    """Write a store, record by record; it appears at *dest* only when it is whole.

    Use it as a context manager. Everything is written to a hidden folder beside *dest*, which
    is renamed at the end; after an exception that folder is removed and *dest* is as it was. What a
    run that was killed has left of it is removed, and what it had taken away is put back.

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
        Whether to replace a store that is there. What else lies in its folder, such as manifests
        of the user's own, is kept.
    expected_records
        How many records are to come, for a warning when the disk is too small for them.
    origins
        Where the records come from; none where it is not recorded.
    parts
        Of a store that is joined of several, in the order of the records.

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
        origins: Sequence[Origin] = (),
        parts: Sequence[Part] = (),
    ) -> None:
        self.dest = Path(dest).absolute()
        self.overwrite = overwrite
        self.expected_records = expected_records
        sets = {name: tuple(names) for name, names in (label_sets or {}).items()}
        self.layout = StoreLayout(
            database, sets, sample_rate, seconds, tuple(leads), filter, tuple(origins), tuple(parts)
        )
        self.refused = 0
        self._seen: set[str] = set()
        self._rows: list[dict[str, Any]] = []
        self._last: Callable[[Path], object] | None = None
        put_back(self.dest)
        check_dest(self.dest, overwrite)

    def __len__(self) -> int:
        return len(self._seen)

    def __contains__(self, record_id: object) -> bool:
        return record_id in self._seen

    def __enter__(self) -> StoreWriter:
        make_folder(self.dest.parent, self.dest)
        for left in leftovers(self.dest, PARTIAL):
            logger.warning("%s: left over from a run that was killed; it is removed", left)
        if self.expected_records is not None:
            warn_of_disk(self.dest, self.expected_records * self.layout.record_bytes)
        with contextlib.ExitStack() as stack:
            self._folder = stack.enter_context(folder_beside(self.dest))
            self._signals: IO[bytes] = open(self._folder / SIGNALS_FILE, "wb")
            stack.callback(_close, self._signals)
            self._tables = TableWriter(self._folder, self.layout)
            stack.callback(self._tables.close)
            stack.push(self._finish)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def append(self, signal: npt.NDArray[np.int16], row: Mapping[str, Any]) -> None:
        """Add a record.

        Parameters
        ----------
        signal
            int16 microvolts, (leads, samples).
        row
            ``record_id``, and where known ``patient_id`` (default: the record's id), ``source``,
            ``split`` (train, valid or test; default train), ``repaired``, ``lead_mask`` (default:
            every lead), ``labels``, ``strat_fold``, ``sex`` (female or male), ``age`` (years,
            90 for everybody older) and ``session`` (which of the patient's days it is, from 1).

        Raises
        ------
        StoreError
            If the signal is of another shape or type, the id was there before, or a value is wrong.
        """
        checked = self.layout.checked_row(row)
        record_id = checked["record_id"]
        if record_id in self._seen:
            raise StoreError(f"record {record_id!r} is there twice")
        self.layout.check_signal(signal, record_id)
        self._signals.write(np.ascontiguousarray(signal, dtype=SAMPLE_DTYPE).data)
        self._seen.add(record_id)
        self._rows.append(checked)
        if len(self._rows) >= ROW_GROUP:
            self._write_rows()

    def refuse(self, source: str, reason: str) -> None:
        """Note a record that could not be used, for ``refused.tsv``."""
        self.refused += 1
        self._tables.refuse(source, reason)

    def adopt(self, folder: Path) -> None:
        """Move a folder on the same file system, such as a report, into the store."""
        folder.rename(self._folder / folder.name)

    def at_the_end(self, write: Callable[[Path], object]) -> None:
        """Let *write* add to the store's folder when all else is in it."""
        self._last = write

    def _write_rows(self) -> None:
        self._tables.add(pa.Table.from_pylist(self._rows, schema=SCHEMA))
        self._rows.clear()

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        if not len(self):
            raise StoreError(f"{self.dest}: no record to store")
        self._write_rows()
        self._signals.flush()
        os.fsync(self._signals.fileno())
        self._tables.finish()
        if self._last is not None:
            self._last(self._folder)
        publish(self._folder, self.dest, self.overwrite)


def _close(file: IO[Any]) -> None:
    """Close a file after a failure; that this fails again must not hide the first error."""
    with suppress(OSError):
        file.close()


def check_dest(dest: Path, overwrite: bool) -> None:
    """Refuse to make a store where something is that may not be replaced.

    Raises
    ------
    StoreError
        If *dest* is there and *overwrite* is false, or it is no store.
    """
    if not os.path.lexists(dest):
        return
    if not overwrite:
        raise StoreError(
            f"{dest}: is there already; give another folder, or overwrite it (--overwrite)"
        )
    # A wrong path must not cost somebody a folder of something else.
    is_folder = dest.is_dir() and not dest.is_symlink()
    if not is_folder or (any(dest.iterdir()) and not (dest / INFO_FILE).is_file()):
        raise StoreError(
            f"{dest}: is not a store (no {INFO_FILE}), so it is not overwritten; "
            "give another folder or remove it yourself"
        )


def refuse_its_own(dest: Path, sources: Iterable[Path]) -> None:
    """Refuse to replace what is read: whoever reads it would find less, or something else.

    Parameters
    ----------
    dest
        What is going to be made.
    sources
        What it is made of.

    Raises
    ------
    StoreError
        If *dest* is one of *sources*.
    """
    if dest.exists() and any(path.exists() and dest.samefile(path) for path in sources):
        raise StoreError(
            f"{dest}: is what is read, and would be lost if it were overwritten; give another "
            "folder"
        )


def warn_of_disk(dest: Path, needed: int) -> None:
    """Warn if the disk has fewer bytes free than *needed*."""
    free = shutil.disk_usage(dest.parent).free
    if needed > free:
        logger.warning(
            "%s: the store may need %.1f GB, the disk has %.1f GB free",
            dest,
            needed / 1e9,
            free / 1e9,
        )


def publish(
    folder: Path, dest: Path, overwrite: bool, aside: Path | None = None
) -> tuple[str, ...]:
    """Give a store that is whole its place.

    Parameters
    ----------
    folder
        The store, on the same file system as *dest*.
    dest
        Its place. Files in a store there that are not a store's own stay at *dest*.
    overwrite
        Whether to replace a store.
    aside
        Where the store that is replaced goes; without it that one is removed.

    Returns
    -------
    tuple of str
        Names of the files that were kept.

    Raises
    ------
    StoreError
        If *dest* is there and *overwrite* is false, or it is no store.
    """
    # Checked again now: another run may have made dest meanwhile.
    check_dest(dest, overwrite)
    return replace_folder(folder, dest, OWN_FILES.__contains__, aside)


def refused_row(source: str, reason: str) -> str:
    """Return a row of ``refused.tsv``, on one line whatever the texts hold."""
    return f"{' '.join(source.split())}\t{' '.join(reason.split())}\n"
