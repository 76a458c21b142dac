"""Any folder of WFDB records, or a single record."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from selfmis_plugin.data.origin import origins_of
from selfmis_plugin.data.split_names import SPLITS
from selfmis_plugin.preparation.listing import Database, DatabaseError, ListedRecord, Listing
from selfmis_plugin.preparation.wfdb.header import read_person, segment_names
from selfmis_plugin.preparation.wfdb.reader import header_path

NAME = "wfdb-folder"


def list_records(root: Path, split: str = "train", valid_records: int = 0) -> Listing:
    """List every WFDB record under *root*, in the order of their paths.

    Parameters
    ----------
    root
        A folder, searched with its subfolders, or one record with or without the suffix .hea.
    split
        Split that the records go to.
    valid_records
        Number of records, the last in order of their paths, that go to validation instead.

    Raises
    ------
    DatabaseError
        If there is no record, or none but those for validation.
    """
    if root.is_dir():
        root = root.absolute()
        sources = list(_sources(root))
        if not sources:
            raise DatabaseError(f"{root}: no WFDB record in it (no file ends in .hea)")
    elif header_path(root).is_file():
        header = header_path(root).absolute()
        root, sources = header.parent, [header.stem]
    else:
        raise DatabaseError(f"{root}: no such folder, and no record {header_path(root).name}")
    first_valid = len(sources) - valid_records
    if valid_records < 0 or (valid_records and first_valid < 1):
        raise DatabaseError(
            f"{root}: --valid-records {valid_records} leaves no record for {split}; it has "
            f"{len(sources)}"
        )
    records = (
        ListedRecord(
            source,
            source,
            source,
            split if number < first_valid else "valid",
            person=read_person(root / f"{source}.hea"),
        )
        for number, source in enumerate(sources)
    )
    return Listing(
        database=NAME,
        root=root,
        records=records,
        total=len(sources),
        origins=origins_of(root, sources),
    )


def _sources(root: Path) -> Iterator[str]:
    for folder, subfolders, files in os.walk(root):
        subfolders.sort()
        headers = sorted(name for name in files if name.endswith(".hea") and name != ".hea")
        # The segments of a multi-segment record are not records of their own.
        segments = {name for header in headers for name in segment_names(Path(folder, header))}
        relative = Path(folder).relative_to(root)
        for header in headers:
            if header[: -len(".hea")] not in segments:
                yield (relative / header[: -len(".hea")]).as_posix()


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default="train",
        help="split that the records go to (default: %(default)s)",
    )
    parser.add_argument(
        "--valid-records",
        type=int,
        default=0,
        metavar="N",
        help="the last N records, in order of their paths, go to validation instead",
    )


DATABASE = Database(
    name=NAME,
    title="any folder of WFDB records, or one record",
    add_arguments=_add_arguments,
    list_records=lambda root, options: list_records(root, options.split, options.valid_records),
)
