"""How fast records become a store: against wfdb, by number of records, by number of workers."""

from __future__ import annotations

import contextlib
import io
import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import wfdb

from selfmis_plugin.data.filter_names import ECGFOUNDER, NO_FILTER
from selfmis_plugin.data.filters import ecgfounder_filter_reference
from selfmis_plugin.data.preprocessing import to_int16
from selfmis_plugin.preparation.databases.mimic_iv_ecg import list_records
from selfmis_plugin.preparation.run import prepare_database
from selfmis_plugin.profiling.process_tree import peak_memory
from selfmis_plugin.profiling.timing import Speed, compare

#: Records that the slow references read in a turn.
_REFERENCE_RECORDS = 200


@dataclass(frozen=True)
class Preparation:
    """One run of the preparation.

    Attributes
    ----------
    records, workers
        Number of records and of processes.
    seconds
        How long it took.
    peak_memory
        Most memory that it used with all its processes, bytes.
    """

    records: int
    workers: int
    seconds: float
    peak_memory: int

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds


def preparation_speeds(
    database: Path, records: Sequence[Path], work: Path, rounds: int
) -> dict[str, Speed]:
    """Compare on one core: ``prepare`` does everything that the command does, writing included.

    Parameters
    ----------
    database
        Folder in MIMIC-IV-ECG's layout.
    records
        Its records' paths without suffix.
    work
        Folder for stores.
    rounds
        Turns.

    Returns
    -------
    dict
        Records a second of ``prepare`` and of ``wfdb`` (``wfdb.rdrecord`` alone).
    """
    read = records[:_REFERENCE_RECORDS]

    def read_with_wfdb() -> int:
        for path in read:
            wfdb.rdrecord(str(path))
        return len(read)

    return compare(
        {"prepare": preparing(database, work / "timed"), "wfdb": read_with_wfdb}, rounds=rounds
    )


def filtered_speeds(
    database: Path, records: Sequence[Path], work: Path, rounds: int
) -> dict[str, Speed]:
    """Compare like :func:`preparation_speeds`, with ECGFounder's filter.

    ``prepare_filtered`` does everything that the command does; ``filter_reference`` reads with
    wfdb, filters with SciPy and rounds, and writes nothing.
    """
    read = records[:_REFERENCE_RECORDS]

    def filter_with_scipy() -> int:
        for path in read:
            record = wfdb.rdrecord(str(path))
            to_int16(ecgfounder_filter_reference(1e3 * record.p_signal.T, record.fs))
        return len(read)

    ours = preparing(database, work / "filtered", filter=ECGFOUNDER)
    return compare({"prepare_filtered": ours, "filter_reference": filter_with_scipy}, rounds=rounds)


def preparing(
    database: Path,
    dest: Path,
    records: int | None = None,
    workers: int = 1,
    filter: str = NO_FILTER,
) -> Callable[[], int]:
    """Return a function that prepares the first *records* of *database* and returns their number.

    Each call makes the store at *dest* anew.
    """

    def prepare() -> int:
        listing = list_records(database, valid_records=0)
        if records is not None:
            first = itertools.islice(listing.records, records)
            listing = replace(listing, records=first, total=records)
        shutil.rmtree(dest, ignore_errors=True)
        with contextlib.redirect_stderr(io.StringIO()):  # not a progress bar for every turn
            return prepare_database(listing, dest, workers=workers, filter=filter).stored

    return prepare


def grow(database: Path, work: Path, sizes: Sequence[int], workers: int) -> Iterator[Preparation]:
    """Prepare the first records of *database*, as many as each of *sizes*, and delete the store."""
    for size in sizes:
        dest = work / f"grown-{size}"
        with peak_memory() as peak:
            start = time.perf_counter()
            stored = preparing(database, dest, size, workers)()
            seconds = time.perf_counter() - start
        shutil.rmtree(dest)
        yield Preparation(stored, workers, seconds, peak())
