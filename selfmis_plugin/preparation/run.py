"""Turn the records of a database into a store."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from selfmis_plugin.data.filter_names import NO_FILTER
from selfmis_plugin.data.fraction_manifests import LabelFraction, lists_fraction
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.origin import origins_from
from selfmis_plugin.data.recording import Reader, RecordError
from selfmis_plugin.data.store.writer import StoreLayout, check_dest, warn_of_disk
from selfmis_plugin.preparation.assembly import assemble
from selfmis_plugin.preparation.input_files import (
    Identity,
    InputFiles,
    identity,
    record_inputs,
    wfdb_files,
)
from selfmis_plugin.preparation.listing import ListedRecord, Listing
from selfmis_plugin.preparation.made import InputsDigest, Made, kept_in, relative_to
from selfmis_plugin.preparation.parts import (
    DiskFullError,
    Job,
    PartsFolder,
    Plan,
    PreparationError,
    StoppedError,
    jobs,
    part_size,
)
from selfmis_plugin.preparation.record import SAMPLE_RATE, SECONDS, RecordPreparer
from selfmis_plugin.preparation.summary import Summary
from selfmis_plugin.preparation.wfdb.fast_reader import read_record
from selfmis_plugin.preparation.worker import PartPreparer
from selfmis_plugin.utils.parallel import Processes, Workers
from selfmis_plugin.utils.paths import escaped

__all__ = [
    "PreparationError", "Share", "Summary", "kept", "merge", "prepare_database", "prepare_share",
]  # fmt: skip

logger = logging.getLogger(__name__)

#: Changed files that a warning names.
_SHOWN = 5


@dataclass(frozen=True)
class Share:
    """What a run did that prepares a share of a database.

    Attributes
    ----------
    dest
        Folder of the store to be.
    number, shares
        Which of how many.
    parts, records
        Parts of the share, all finished now, and listed records in them.
    found
        How many of the parts were finished before.
    missing
        How many parts of all shares are not finished.
    """

    dest: Path
    number: int
    shares: int
    parts: int
    records: int
    found: int
    missing: int

    def __str__(self) -> str:
        before = f", {self.found:,} of them before" if self.found else ""
        rest = f"{self.missing:,} parts of other shares are not" if self.missing else "so are all"
        when = "When all shares are, make" if self.missing else "Now make"
        return (
            f"share {self.number} of {self.shares}: {self.parts:,} parts with {self.records:,} "
            f"records are finished{before}; {rest}.\n"
            f"{when} the store: selfmis prepare merge --dest {self.dest}"
        )


def prepare_database(
    listing: Listing,
    dest: str | os.PathLike[str],
    *,
    workers: int | Workers = 1,
    required: Sequence[str] = STANDARD_LEADS,
    overwrite: bool = False,
    restart: bool = False,
    reader: Reader | None = None,
    filter: str = NO_FILTER,
    input_files: InputFiles | None = None,
    part_records: int | None = None,
    fraction: LabelFraction | None = None,
) -> Summary:
    """Read, repair and store every record of a database; refuse those that cannot be used.

    Work is cut into parts, which are finished or absent, in a folder ``DEST.parts``. Stopped at any
    moment and called again with the same arguments, this goes on from the finished parts; the store
    is the same to the byte as that of a run that was never stopped, with however many workers. A
    store that was made so already, from records that are as they were, is left alone (unless the
    reader is one of your own).

    Parameters
    ----------
    listing
        The records.
    dest
        Folder of the store to make.
    workers
        Number of processes, or other workers. The store does not depend on them.
    required
        Leads that a record must have; a record without one of them is refused.
    overwrite
        Whether to replace a store at *dest*, when the new one is whole. Files in its folder that
        are not the store's own are kept.
    restart
        Whether to throw away the finished parts of a run that was stopped.
    reader
        What reads a record; None: the listing's own reader, or that of plain WFDB records. An
        OSError that is not the record's fault (a disk or network that fails, a lack of
        permission), or that it was caused by, stops the run.
    filter
        Name of the filter that the records pass, see :mod:`selfmis_plugin.data.filters`.
    input_files
        Names the files of a record, by its path, so that one that changes is noticed; None: as the
        listing says, or those of a WFDB record.
    part_records
        Number of records of a part, by default chosen by the number of records.
    fraction
        Which of the training records ``train.tsv`` is to list; ``train_all.tsv`` then lists all.

    Returns
    -------
    Summary
        What was read, repaired and refused.

    Raises
    ------
    StoreError
        If *dest* is there already, and not made just so.
    WriteError
        If the store's folder cannot be written to.
    PreparationError
        If no record could be used (their reasons are then in ``DEST.refused.tsv``), finished parts
        were prepared with other options or from another listing, or the run had to stop: the disk
        is full, a file cannot be read or changes meanwhile, a worker died.
    """
    folder = PartsFolder(Path(dest).absolute())
    may_be_done = reader is None and not (overwrite or restart)
    reader = reader or listing.reader or read_record
    input_files = input_files or listing.input_files or wfdb_files
    plan = _plan(listing, required, reader, filter, part_records)
    made = _made(plan)
    if may_be_done:
        done = _done_before(folder, plan, made, listing, input_files, fraction)
        if done is not None:
            return done
    _make_way(folder, plan, overwrite, restart, made, fraction)
    with folder.held(alone=True):
        plan = folder.begin(plan)
        layout = _layout(plan)
        if not folder.is_published:
            folder.forget_half_moved()
            _prepare(folder, plan, layout, listing, required, reader, input_files, workers)
        return assemble(folder, plan, layout, overwrite, made, fraction)


def prepare_share(
    listing: Listing,
    dest: str | os.PathLike[str],
    number: int,
    shares: int,
    *,
    workers: int | Workers = 1,
    required: Sequence[str] = STANDARD_LEADS,
    overwrite: bool = False,
    reader: Reader | None = None,
    filter: str = NO_FILTER,
    input_files: InputFiles | None = None,
    part_records: int | None = None,
) -> Share:
    """Prepare one of several shares of a database's parts, such as a task of a job array.

    Shares may be prepared at the same time, on machines that see the same file system. When all
    are finished, :func:`merge` makes the store.

    Parameters
    ----------
    number, shares
        Which share, from 1, of how many.
    listing, dest, workers, required, overwrite, reader, filter, input_files, part_records
        As for :func:`prepare_database`.

    Raises
    ------
    StoreError, PreparationError
        As :func:`prepare_database`.
    ValueError
        If there is no such share.
    """
    if not 1 <= number <= shares:
        raise ValueError(f"share {number} of {shares}: must be from 1 to {shares}")
    folder = PartsFolder(Path(dest).absolute())
    reader = reader or listing.reader or read_record
    input_files = input_files or listing.input_files or wfdb_files
    plan = replace(_plan(listing, required, reader, filter, part_records), shares=shares)
    _make_way(folder, plan, overwrite, restart=False)
    with folder.held(alone=False):
        plan = folder.begin(plan)

        def mine(part: int) -> bool:
            return part % shares == number - 1

        found = _prepare(
            folder, plan, _layout(plan), listing, required, reader, input_files, workers, mine
        )
        wanted = [part for part in range(plan.parts) if mine(part)]
        return Share(
            dest=folder.dest,
            number=number,
            shares=shares,
            parts=len(wanted),
            records=sum(_records(plan, part) for part in wanted),
            found=found,
            missing=plan.parts - len(folder.finished()),
        )


def merge(dest: str | os.PathLike[str], *, overwrite: bool = False) -> Summary:
    """Make the store of parts that are all finished.

    Parameters
    ----------
    dest
        Folder of the store to make.
    overwrite
        Whether to replace a store at *dest*.

    Raises
    ------
    StoreError
        If *dest* is there already.
    PreparationError
        If there are no parts, or some are missing; the message says which.
    """
    folder = PartsFolder(Path(dest).absolute())
    folder.put_back()
    removed = folder.sweep()
    if folder.read_plan() is None:
        about = kept_in(folder.dest) if removed else None
        if about is not None:
            return Summary.from_dict(about, folder.dest)  # a merge was killed at its very end
        raise PreparationError(
            f"{folder.path}: no parts there; prepare them with selfmis prepare DATABASE ... --part"
        )
    with folder.held(alone=True):
        found = folder.read_plan()
        if found is None:
            raise PreparationError(f"{folder.path}: another run has just made the store")
        plan = folder.begin(found[0])
        if not folder.is_published:
            check_dest(folder.dest, overwrite)
            folder.forget_half_moved()
        return assemble(folder, plan, _layout(plan), overwrite, _made(plan))


def kept(dest: str | os.PathLike[str]) -> str:
    """Say what a run that was stopped has left, and how to go on."""
    folder = PartsFolder(Path(dest).absolute())
    found = folder.read_plan()
    if found is None:
        return "nothing was prepared yet"
    plan = found[0]
    records = sum(_records(plan, part) for part in folder.finished())
    return (
        f"{records:,} of {plan.total:,} records are prepared and kept in {folder.path}; "
        "the same command goes on from there"
    )


def _plan(
    listing: Listing,
    required: Sequence[str],
    reader: Reader,
    filter: str,
    part_records: int | None,
) -> Plan:
    named = reader if hasattr(reader, "__qualname__") else type(reader)
    options = {
        "leads": list(required),
        "sample rate": SAMPLE_RATE,
        "seconds": SECONDS,
        "filter": filter,
        "reader": f"{named.__module__}.{named.__qualname__}",
    }
    database = {
        "database": listing.database,
        "records": listing.total,
        "label sets": {name: list(labels) for name, labels in listing.label_sets.items()},
        "left out": dict(listing.left_out),
        "notes": list(listing.notes),
        "origins": [origin.to_dict() for origin in listing.known_origins],
    }
    source = os.path.abspath(listing.root)
    return Plan(options, database, part_records or part_size(listing.total), source=source)


def _layout(plan: Plan) -> StoreLayout:
    sets = plan.database["label sets"]
    return StoreLayout(
        database=plan.database["database"],
        label_sets={name: tuple(labels) for name, labels in sets.items()},
        sample_rate=plan.options["sample rate"],
        seconds=plan.options["seconds"],
        filter=plan.options["filter"],
        # Parts of version 0.1 do not tell.
        origins=origins_from(plan.database.get("origins", ())),
    )


def _made(plan: Plan) -> Made:
    # Which reader it is follows from the database, but for a program's own.
    options = {name: value for name, value in plan.options.items() if name != "reader"}
    return Made(plan.source, {**options, **plan.database})


def _done_before(
    folder: PartsFolder,
    plan: Plan,
    made: Made,
    listing: Listing,
    input_files: InputFiles,
    fraction: LabelFraction | None,
) -> Summary | None:
    """Return the summary of a store that was made just so; what is left of its parts goes."""
    folder.put_back()
    if folder.read_plan() is not None and not folder.is_published:
        return None
    about = made.found_in(folder.dest, lambda: _digest(plan, listing, input_files))
    if about is None or not lists_fraction(folder.dest, fraction):
        return None
    if folder.path.is_dir():
        with folder.held(alone=True):
            folder.remove()
    folder.sweep()
    return Summary.from_dict(about, folder.dest)


def _digest(plan: Plan, listing: Listing, input_files: InputFiles) -> str:
    """Return the digest of the records as they are now."""
    digest, listed, locate = InputsDigest(), "", listing.locate

    def now_of(name: str) -> Identity:
        return identity(name if locate is None else locate(name))

    for job in jobs(_without_doubles(listing), plan.part_records):
        inputs: dict[str, Identity] = {}
        for record in job.records:
            inputs |= record_inputs(listing.root, record, input_files, now_of)
        root = str(listing.root)
        digest.add({relative_to(name, root): now for name, now in inputs.items()})
        listed = job.listing
    return digest.of(listed)


def _make_way(
    folder: PartsFolder,
    plan: Plan,
    overwrite: bool,
    restart: bool,
    made: Made | None = None,
    fraction: LabelFraction | None = None,
) -> None:
    """Check the store's place; remove a folder of parts that is of no use any more."""
    folder.put_back()
    folder.sweep()
    found = folder.read_plan() if not restart else None
    done = (
        found is not None
        and folder.is_published
        and found[1] == plan.described()
        and made is not None
        and made.found_in(folder.dest) is not None
        and lists_fraction(folder.dest, fraction)
    )
    if not done:
        if folder.path.is_dir() and (restart or folder.is_published):
            with folder.held(alone=True):
                folder.remove()
        check_dest(folder.dest, overwrite)


def _records(plan: Plan, part: int) -> int:
    return max(0, min(plan.part_records, plan.total - part * plan.part_records))


def _prepare(
    folder: PartsFolder,
    plan: Plan,
    layout: StoreLayout,
    listing: Listing,
    required: Sequence[str],
    reader: Reader,
    input_files: InputFiles,
    workers: int | Workers,
    wanted: Callable[[int], bool] = lambda part: True,
) -> int:
    """Prepare the parts that are wanted; return how many of them were finished before."""
    parts = [part for part in range(plan.parts) if wanted(part)]
    there = folder.signals.stat().st_blocks * 512
    warn_of_disk(folder.dest, sum(_records(plan, p) for p in parts) * layout.record_bytes - there)
    if isinstance(workers, int):
        # More than there are parts would only cost time to start.
        workers = Processes(min(workers, max(1, len(parts))))
    preparer = PartPreparer(
        dest=folder.dest,
        key=plan.key,
        layout=layout,
        part_records=plan.part_records,
        preparer=RecordPreparer(listing.root, tuple(required), reader, layout.filter),
        input_files=input_files,
        locate=listing.locate,
    )
    found = 0
    bar = tqdm(
        total=sum(_records(plan, part) for part in parts),
        desc=f"preparing {listing.database}",
        unit=" records",
        smoothing=0.05,
    )
    try:
        with bar:
            for done in workers.map(preparer, _wanted_jobs(listing, plan, wanted)):
                if done.found:
                    found += 1
                    _already(bar, done.records)
                else:
                    bar.update(done.records)
                if done.changed:
                    others = len(done.changed) - _SHOWN
                    logger.warning(
                        "%s%s: changed since part %d was prepared, so it was prepared anew",
                        ", ".join(done.changed[:_SHOWN]),
                        f" and {others} more" if others > 0 else "",
                        done.index,
                    )
    except DiskFullError as error:
        missing = plan.total - sum(_records(plan, part) for part in folder.finished())
        more = f"about {missing * layout.record_bytes / 1e9:.1f} GB more are needed"
        raise StoppedError(f"{error}; {more}. {_so_far(folder)}") from error
    except StoppedError as error:
        raise StoppedError(f"{error}. {_so_far(folder)}") from error
    except BrokenProcessPool as error:
        raise StoppedError(
            f"a worker process died, perhaps for lack of memory ({error}). {_so_far(folder)}"
        ) from error
    return found


def _so_far(folder: PartsFolder) -> str:
    text = kept(folder.dest)
    return text[0].upper() + text[1:]


def _already(bar: Any, records: int) -> None:
    """Count records of another run, without taking them for speed."""
    if bar.disable:
        return
    bar.initial += records
    bar.last_print_n += records
    bar.n += records
    bar.refresh()


def _wanted_jobs(listing: Listing, plan: Plan, wanted: Callable[[int], bool]) -> Iterator[Job]:
    count = 0
    for job in jobs(_without_doubles(listing), plan.part_records):
        count += len(job.records)
        if wanted(job.index):
            yield job
    if count != listing.total:
        raise PreparationError(
            f"{listing.database}: {listing.total} records were announced, {count} are listed"
        )


def _written_as_utf8(record: ListedRecord) -> ListedRecord:
    """Refuse a record whose path no table can hold, by a name that it can."""
    source = escaped(record.source)
    if source == record.source:
        return record
    return replace(
        record,
        record_id=escaped(record.record_id),
        patient_id=escaped(record.patient_id),
        source=source,
        problem=RecordError("bad name", f"{source}: its name is not UTF-8; rename it"),
    )


def _without_doubles(listing: Listing) -> Iterator[ListedRecord]:
    seen: set[str] = set()
    for record in map(_written_as_utf8, listing.records):
        if record.record_id in seen and record.problem is None:
            problem = RecordError("record twice", f"record {record.record_id} is listed twice")
            yield replace(record, problem=problem)
        else:
            seen.add(record.record_id)
            yield record
