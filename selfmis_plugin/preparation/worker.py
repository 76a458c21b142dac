"""What a worker does: prepare one part, or find that it is finished."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from selfmis_plugin._version import __version__
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.data.store.format import SCHEMA, StoreError
from selfmis_plugin.data.store.writer import StoreLayout
from selfmis_plugin.preparation.input_files import (
    Identity,
    InputFiles,
    WatchedReader,
    identity,
    record_inputs,
)
from selfmis_plugin.preparation.listing import ListedRecord
from selfmis_plugin.preparation.made import relative_to
from selfmis_plugin.preparation.parts import (
    DiskFullError,
    Job,
    Part,
    PartsFolder,
    PreparationError,
    StoppedError,
)
from selfmis_plugin.preparation.record import Prepared, RecordPreparer
from selfmis_plugin.preparation.signal_slots import SlotWriter
from selfmis_plugin.utils.disk import FULL


@dataclass(frozen=True)
class PartDone:
    """What a worker says of a part.

    Attributes
    ----------
    index, records
        Number of the part, and of its listed records.
    found
        Whether it was finished already.
    changed
        Input files that have changed since the part was prepared, so that it was prepared anew.
    """

    index: int
    records: int
    found: bool
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class PartPreparer:
    """Prepares a part in whatever process: writes its signals, then its file.

    Attributes
    ----------
    dest
        Where the store is going to be.
    key
        The plan's key.
    layout
        What the store's signals are.
    part_records
        Number of records of a part.
    preparer
        What prepares a record.
    input_files
        Names the files of a record.
    locate
        Says where a file is that *input_files* names; None: there.
    version
        Version of the plugin that cut the parts; one that differs might prepare otherwise.
    """

    dest: Path
    key: str
    layout: StoreLayout
    part_records: int
    preparer: RecordPreparer
    input_files: InputFiles
    locate: Callable[[str], str] | None = None
    version: str = __version__

    def __call__(self, job: Job) -> PartDone:
        """Prepare a part, unless it is finished and its input files are as they were.

        Raises
        ------
        PreparationError
            If the listing has changed, an input file cannot be read or changes meanwhile, the
            disk is full, or this machine does not see the folder of parts.
        """
        folder = PartsFolder(self.dest)
        path = folder.part_file(job.index)
        if self.version != __version__:
            raise StoppedError(
                f"{socket.gethostname()}: has version {__version__} of the plugin, the run has "
                f"{self.version}; install the same everywhere"
            )
        if not folder.signals.is_file():
            raise StoppedError(
                f"{folder.signals}: is not there on {socket.gethostname()}; the store must be made "
                "on a file system that every worker sees under the same path"
            )
        with _naming(folder.path), folder.part_held(job.index):
            there = Part.read(path, self.key)
            changed: tuple[str, ...] = ()
            if there is not None:
                _check_listing(there, job, folder)
                changed = self._changed(there, folder)
                if not changed:
                    return PartDone(job.index, len(job.records), True)
                path.unlink()
            placed = folder.placed()
            if placed is not None and job.index < placed:
                # Its old slots are others' place by now.
                raise PreparationError(
                    f"{path}: is missing or damaged, and can no longer be prepared anew by itself; "
                    "start anew with --restart"
                )
            self._prepare(job, folder).write(path)
        return PartDone(job.index, len(job.records), False, changed)

    def _changed(self, part: Part, folder: PartsFolder) -> tuple[str, ...]:
        if folder.placed() is not None:
            return ()  # every part was finished, and the inputs are not needed any more
        root = str(self.preparer.root)
        return tuple(
            name
            for name, was in part.inputs.items()
            if self._identity(os.path.join(root, name)) != was
        )

    def _prepare(self, job: Job, folder: PartsFolder) -> Part:
        watched = WatchedReader(self.preparer.reader)
        prepare = replace(self.preparer, reader=watched)
        rows: list[dict[str, Any]] = []
        refused: list[tuple[str, str, str]] = []
        repaired: Counter[str] = Counter()
        repaired_records = 0
        inputs: dict[str, Identity] = {}
        size = self.layout.record_bytes
        room = self.part_records * size
        with SlotWriter(folder.signals, job.index * room, room, size) as signals:
            for record in job.records:
                before = record_inputs(self.preparer.root, record, self.input_files, self._identity)
                inputs.update(before)
                _, outcome = prepare(record)
                if watched.trouble is not None:
                    raise StoppedError(_unreadable(record.source, watched.trouble))
                self._check_unchanged(before)
                try:
                    if isinstance(outcome, RecordError):
                        raise outcome
                    row = self._row(record, outcome)
                except RecordError as error:
                    refused.append((record.source, error.kind, error.reason))
                    continue
                signals.append(outcome.signal)
                rows.append(row)
                repaired_records += bool(outcome.repairs)
                # Each kind once a record, in the order of the steps: a set's order differs by run.
                repaired.update(list(dict.fromkeys(kind for kind, _ in outcome.repairs)))
        root = str(self.preparer.root)
        return Part(
            key=self.key,
            before=job.before,
            listing=job.listing,
            listed=len(job.records),
            rows=pa.Table.from_pylist(rows, schema=SCHEMA),
            repaired_records=repaired_records,
            repaired=dict(repaired),
            refused=refused,
            inputs={relative_to(name, root): was for name, was in inputs.items()},
        )

    def _row(self, record: ListedRecord, prepared: Prepared) -> dict[str, Any]:
        person = record.person.or_else(prepared.person)
        try:
            self.layout.check_signal(prepared.signal, record.record_id)
            return self.layout.checked_row(
                {
                    "record_id": record.record_id,
                    "patient_id": record.patient_id,
                    "source": record.source,
                    "split": record.split,
                    "repaired": "; ".join(text for _, text in prepared.repairs),
                    "lead_mask": prepared.lead_mask,
                    "labels": record.labels,
                    "strat_fold": record.strat_fold,
                    "sex": person.sex,
                    "age": person.age,
                    "session": record.session,
                }
            )
        except StoreError as error:
            raise RecordError("bad table row", str(error)) from error

    def _identity(self, name: str) -> Identity:
        try:
            return identity(name if self.locate is None else self.locate(name))
        except OSError as error:
            hidden = self.locate is not None
            shown = OSError(error.errno, error.strerror) if hidden else error
            raise StoppedError(_unreadable(name, shown)) from error

    def _check_unchanged(self, before: dict[str, Identity]) -> None:
        for name, was in before.items():
            if self._identity(name) != was:
                raise StoppedError(
                    f"{name}: changed while it was read. Wait until whatever writes to the "
                    "database's folder (a download?) has ended"
                )


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Say of an error of the system which folder it is about, and whether the disk is full."""
    try:
        yield
    except OSError as error:
        kind = DiskFullError if error.errno in FULL else StoppedError
        raise kind(f"{folder}: {error.strerror or error}") from error


def _check_listing(part: Part, job: Job, folder: PartsFolder) -> None:
    if part.listing == job.listing:
        return
    raise PreparationError(
        f"{folder.path}: the database lists other records than when this was begun"
        f"{_first_difference(part.rows.to_pylist(), job.records)}. Go back to the tables and "
        "options of then, or prepare everything anew with --restart"
    )


def _first_difference(rows: list[dict[str, Any]], records: Iterable[ListedRecord]) -> str:
    listed = {record.record_id: record for record in reversed(tuple(records))}
    for row in rows:
        record = listed.get(row["record_id"])
        if record is None:
            return f" (record {row['record_id']!r} is not where it was)"
        for name in (
            "patient_id",
            "source",
            "split",
            "strat_fold",
            "labels",
            "sex",
            "age",
            "session",
        ):
            value = getattr(record.person if name in ("sex", "age") else record, name)
            now = list(value) if isinstance(value, tuple) else value
            if now is None and name in ("sex", "age"):
                continue  # the row has what the record's file says
            if now != row[name]:
                return f" (record {row['record_id']!r}: {name} now {now!r}, then {row[name]!r})"
    return ""


def _unreadable(name: str, error: OSError) -> str:
    what = error.strerror or str(error)
    named = f" ({error.filename})" if error.filename else ""
    return (
        f"{name}{named}: cannot be read: {what}. This is not the record's fault, so it is not "
        "refused: see to the disk, the network or the permissions"
    )
