"""Turn the records of a database into a store."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from selfmis_plugin.data.fast_reader import read_record
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.listing import ListedRecord, Listing
from selfmis_plugin.data.parallel import ordered_map
from selfmis_plugin.data.preprocessing import NO_FILTER
from selfmis_plugin.data.record_preparation import (
    SAMPLE_RATE,
    SECONDS,
    Prepared,
    Reader,
    RecordPreparer,
)
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.data.store import REFUSED_FILE, SPLITS, StoreError, StoreWriter, refused_row

_SHOWN = 5


class PreparationError(ValueError):
    """No record of a database could be used."""


@dataclass
class Summary:
    """What became of a database's records.

    Attributes
    ----------
    database, dest
        Name of the database and folder of the store.
    read, stored
        Number of records looked at and in the store.
    splits
        Number of records by split.
    repaired_records
        Number of records in which something was repaired.
    repaired, refused, left_out
        Number of records by what was repaired, why they were refused, why they were left out.
    examples
        Source and reason of the first refused records.
    notes
        What else the database has to say.
    """

    database: str
    dest: Path
    read: int = 0
    stored: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    repaired_records: int = 0
    repaired: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, str]] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        splits = ", ".join(f"{split} {self.splits[split]:,}" for split in SPLITS)
        lines = [
            f"{self.database}: {self.read:,} records read, {self.stored:,} stored in {self.dest}",
            f"  splits: {splits}",
            f"  repaired: {self.repaired_records:,}{_counts(self.repaired)}",
            f"  refused: {self.refused.total():,}{_counts(self.refused)}",
        ]
        lines += [f"    {source}: {reason}" for source, reason in self.examples]
        if self.refused.total() > len(self.examples):
            lines.append(f"    ... all of them in {self.dest / REFUSED_FILE}")
        if self.left_out:
            lines.append(f"  left out: {self.left_out.total():,}{_counts(self.left_out)}")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def prepare_database(
    listing: Listing,
    dest: str | os.PathLike[str],
    *,
    workers: int = 1,
    required: Sequence[str] = STANDARD_LEADS,
    overwrite: bool = False,
    reader: Reader = read_record,
    filter: str = NO_FILTER,
) -> Summary:
    """Read, repair and store every record of a database; refuse those that cannot be used.

    Parameters
    ----------
    listing
        The records.
    dest
        Folder of the store to make.
    workers
        Number of processes. The store does not depend on it.
    required
        Leads that a record must have; a record without one of them is refused.
    overwrite
        Whether to replace a store at *dest*.
    reader
        What reads a record.
    filter
        Name of the filter that the records pass, see :mod:`selfmis_plugin.data.filters`.

    Returns
    -------
    Summary
        What was read, repaired and refused.

    Raises
    ------
    StoreError
        If *dest* is there already.
    PreparationError
        If no record could be used; their reasons are then in ``DEST.refused.tsv``.
    """
    writer = StoreWriter(
        dest,
        database=listing.database,
        label_sets=listing.label_sets,
        sample_rate=SAMPLE_RATE,
        seconds=SECONDS,
        filter=filter,
        overwrite=overwrite,
        expected_records=listing.total,
    )
    summary = Summary(listing.database, writer.dest)
    summary.left_out.update(listing.left_out)
    summary.notes = listing.notes
    refused: list[tuple[str, str]] = []
    with writer:
        results = ordered_map(
            RecordPreparer(listing.root, tuple(required), reader, filter),
            _without_doubles(listing),
            workers,
            listing.total,
            listing.database,
        )
        for record, outcome in results:
            summary.read += 1
            if isinstance(outcome, Prepared):
                outcome = _store(writer, record, outcome)
            if isinstance(outcome, RecordError):
                summary.refused[outcome.kind] += 1
                writer.refuse(record.source, outcome.reason)
                if not summary.stored:
                    refused.append((record.source, outcome.reason))
                if len(summary.examples) < _SHOWN:
                    summary.examples.append((record.source, outcome.reason))
                continue
            summary.stored += 1
            summary.splits[record.split] += 1
            summary.repaired_records += bool(outcome.repairs)
            # Each kind once a record, in the order of the steps: a set's order differs by run.
            summary.repaired.update(list(dict.fromkeys(kind for kind, _ in outcome.repairs)))
        if not summary.stored:
            raise PreparationError(_nothing_left(summary, refused))
    return summary


def _without_doubles(listing: Listing) -> Iterator[ListedRecord]:
    seen: set[str] = set()
    for record in listing.records:
        if record.record_id in seen and record.problem is None:
            problem = RecordError("record twice", f"record {record.record_id} is listed twice")
            yield replace(record, problem=problem)
        else:
            seen.add(record.record_id)
            yield record


def _store(writer: StoreWriter, record: ListedRecord, prepared: Prepared) -> Prepared | RecordError:
    row = {
        "record_id": record.record_id,
        "patient_id": record.patient_id,
        "source": record.source,
        "split": record.split,
        "repaired": "; ".join(text for _, text in prepared.repairs),
        "lead_mask": prepared.lead_mask,
        "labels": record.labels,
        "strat_fold": record.strat_fold,
    }
    try:
        writer.append(prepared.signal, row)
    except StoreError as error:
        return RecordError("bad table row", str(error))
    return prepared


def _nothing_left(summary: Summary, refused: Sequence[tuple[str, str]]) -> str:
    if not summary.read:
        return f"{summary.database}: there is no record to prepare"
    path = summary.dest.with_name(summary.dest.name + ".refused.tsv")
    rows = ["source\treason\n", *(refused_row(source, reason) for source, reason in refused)]
    path.write_text("".join(rows), encoding="utf-8", newline="\n")
    counts = _counts(summary.refused)
    lines = [
        f"{summary.database}: none of {summary.read:,} records can be used{counts}",
        *(f"    {source}: {reason}" for source, reason in summary.examples),
        f"all reasons are in {path}",
    ]
    return "\n".join(lines)


def _counts(counter: Counter[str]) -> str:
    parts = ", ".join(f"{kind} {count:,}" for kind, count in counter.most_common())
    return f" ({parts})" if parts else ""
