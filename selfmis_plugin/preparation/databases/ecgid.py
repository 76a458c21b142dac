"""ECG-ID: 310 recordings of lead I, 20 s each, of 90 persons, to tell persons apart.

Lugovaya (2005), https://physionet.org/content/ecgiddb/1.0.0/. Every record holds lead I twice, as
``ECG I`` (raw) and ``ECG I filtered`` (the author's own filter, applied afterwards). Its pages say
that a person has 2 to 20 recordings; the files hold 1 (Person_74) to 22 (Person_02).
"""

from __future__ import annotations

import argparse
import datetime
import functools
import re
from collections.abc import Mapping
from pathlib import Path

from selfmis_plugin.data.recording import Reader, RecordError, Recording
from selfmis_plugin.preparation.listing import (
    Database,
    DatabaseError,
    ListedRecord,
    Listing,
    existing_folder,
)
from selfmis_plugin.preparation.wfdb.header import LARGEST_HEADER, open_file, read_person
from selfmis_plugin.preparation.wfdb.reader import read_recording

NAME = "ecgid"

_PERSON = re.compile(r"Person_(\d{1,9})", re.ASCII)
_RECORD = re.compile(r"rec_(\d{1,9})", re.ASCII)
_DATE = re.compile(r"# *ECG date: *(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)


def _naming(wanted: str, name: str) -> str | None:
    return "I" if name.strip().casefold() == wanted else None


def read_raw(path: Path) -> Recording:
    """Read the signal ``ECG I`` as lead I; raises RecordError."""
    return read_recording(path, naming=functools.partial(_naming, "ecg i"))


def read_filtered(path: Path) -> Recording:
    """Read the signal ``ECG I filtered`` as lead I; raises RecordError."""
    return read_recording(path, naming=functools.partial(_naming, "ecg i filtered"))


#: What reads which of the two signals.
SIGNALS: dict[str, Reader] = {"filtered": read_filtered, "raw": read_raw}


def list_records(root: Path, signal: str = "filtered") -> Listing:
    """List the recordings of ECG-ID in the folder *root*.

    They all go to the split test, since nothing is trained on them, by person and number of the
    recording: a person's first recording comes first. Which were made on the same day their
    headers' dates tell (``# ECG date: 07.12.2004``); a date itself is kept nowhere.

    Parameters
    ----------
    root
        Folder that holds ``Person_01``, ``Person_02`` and so on.
    signal
        Which of the two signals is lead I: ``filtered`` or ``raw``.

    Raises
    ------
    DatabaseError
        If there is no recording.
    """
    root = existing_folder(root)
    sources = sorted(
        (int(person[1]), int(record[1]), f"{header.parent.name}/{header.stem}")
        for header in root.glob("Person_*/rec_*.hea")
        if (person := _PERSON.fullmatch(header.parent.name))
        and (record := _RECORD.fullmatch(header.stem))
    )
    if not sources:
        raise DatabaseError(
            f"{root}: no recording in it (none is called Person_01/rec_1.hea or the like); give "
            "the folder of ECG-ID that RECORDS is in"
        )
    days: dict[int, dict[str, datetime.date]] = {}
    for number, _, source in sources:
        if (day := _day(root / f"{source}.hea")) is not None:
            days.setdefault(number, {})[source] = day
    records = [
        ListedRecord(
            source,
            source.split("/")[0],
            source,
            "test",
            person=read_person(root / f"{source}.hea"),
            session=_session(source, days.get(number, {})),
        )
        for number, _, source in sources
    ]
    return Listing(
        database=NAME, root=root, records=records, total=len(records), reader=SIGNALS[signal]
    )


def _day(header: Path) -> datetime.date | None:
    """Return the day that a header says it was recorded on; None where it says none."""
    try:
        with open_file(header) as file:
            text = file.read(LARGEST_HEADER).decode("latin-1")
        found = _DATE.search(text)
        return None if found is None else datetime.date(*(int(found[k]) for k in (3, 2, 1)))
    except (OSError, RecordError, ValueError):
        return None


def _session(source: str, days: Mapping[str, datetime.date]) -> int | None:
    """Return the number of a recording's day among its person's."""
    return 1 + sorted(set(days.values())).index(days[source]) if source in days else None


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--signal",
        choices=tuple(SIGNALS),
        default="filtered",
        help="which of the two copies of lead I to take (default: %(default)s)",
    )


DATABASE = Database(
    name=NAME,
    title="ECG-ID: lead I of 90 persons, several recordings each, all test",
    add_arguments=_add_arguments,
    list_records=lambda root, options: list_records(root, options.signal),
    leads=("I",),
)
