"""What a model says of many records, in parts: one Parquet file each, whole or absent.

In the folder lie::

    _plan.json       of what the parts are: model, data, options
    00000.parquet    what is said of the first records, with the plan's digest in its schema
    ...

A part is a fixed number of records. A file that is there with that digest is finished, so a run
that was killed goes on when its command is given again, and several runs may work on one folder.
``pyarrow`` and ``pandas`` read the folder as one table: names with an underscore are left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from selfmis_plugin._version import __version__
from selfmis_plugin.utils.files import require_folder, whole_file, write_json
from selfmis_plugin.utils.parallel import Workers
from selfmis_plugin.utils.temporary import is_temporary

__all__ = [
    "PartsError",
    "PartsWritten",
    "part_of",
    "require_same",
    "write_parts",
]

Item = TypeVar("Item")

_PLAN = "_plan.json"
_KEY = b"selfmis_key"
#: Parts of a run at least, where its records are enough.
_PARTS = 64


class PartsError(ValueError):
    """Parts cannot be written; the message says what to do."""


@dataclass(frozen=True)
class PartsWritten:
    """What is in a folder of parts after a run.

    Attributes
    ----------
    folder
        The folder.
    records, parts
        Of all shares together.
    found, written
        Parts of this run that were there before, and that it wrote.
    missing
        Parts that are not there yet, of other shares.
    """

    folder: Path
    records: int
    parts: int
    found: int
    written: int
    missing: int

    def __str__(self) -> str:
        before = f", {self.found} of them were there already" if self.found else ""
        text = f"{self.folder}: {self.found + self.written} files{before}"
        if self.missing:
            return f"{text}; {self.missing} of {self.parts} are missing still, of other shares"
        return f"{text}; all {self.records:,} records are there"


@dataclass(frozen=True)
class _Write(Generic[Item]):
    """Writes one part, in whatever process."""

    folder: Path
    key: str
    compute: Callable[[Sequence[Item]], pa.Table]
    version: str = __version__

    def __call__(self, job: tuple[int, Sequence[Item]]) -> tuple[bool, int]:
        """Return whether it had to be written, and its number of records."""
        number, items = job
        path = _file(self.folder, number)
        if self.version != __version__ or not (self.folder / _PLAN).is_file():
            here = socket.gethostname()
            raise PartsError(
                f"{self.folder}: is not there on {here}, or the plugin is another version "
                f"({__version__} there, {self.version} here): every worker must see it under the "
                "same path, and have the same version"
            )
        if _is_finished(path, self.key):
            return False, len(items)
        table = self.compute(items)
        with whole_file(path) as temporary:
            pq.write_table(table.replace_schema_metadata({_KEY: self.key}), temporary)
        return True, len(items)


def part_of(total: int, least: int, most: int) -> int:
    """Return how many of *total* records, or batches of them, a part has: a sixty-fourth, so that
    every worker has some, but at least and at most so many. It is the same for any number of
    workers, as others may go on."""
    return min(most, max(least, total // _PARTS))


def write_parts(
    dest: str | os.PathLike[str],
    of: Mapping[str, Any],
    items: Sequence[Item],
    compute: Callable[[Sequence[Item]], pa.Table],
    part_records: int,
    workers: Workers,
    share: tuple[int, int] = (1, 1),
    restart: bool = False,
) -> PartsWritten:
    """Write what is said of records, as far as it is not there.

    Parameters
    ----------
    dest
        Folder of the parts.
    of
        Of what they are, JSON-ready: all that they depend on, the records too.
    items
        The records; they are cut as needed.
    compute
        Returns a table of some of them. It can be pickled.
    part_records
        Records of a part.
    workers
        Who computes.
    share
        K and N: every N-th part alone, from the K-th on.
    restart
        Whether to throw away parts of something else that are there.

    Raises
    ------
    PartsError
        If the folder has parts of something else, or is no folder of parts, or a worker dies.
    WriteError
        If the disk is full, or nothing may be written there.
    """
    folder = Path(dest).absolute()
    parts = -(-len(items) // part_records)
    values = {**of, "records": len(items), "part_records": part_records, "version": __version__}
    key = _begin(folder, json.loads(json.dumps(values)), restart)
    wanted = [number for number in range(parts) if number % share[1] == share[0] - 1]

    def jobs() -> Iterator[tuple[int, Sequence[Item]]]:
        for number in wanted:
            yield number, items[number * part_records : (number + 1) * part_records]

    written = 0
    try:
        with tqdm(total=sum(min(part_records, len(items) - n * part_records) for n in wanted),
                  unit=" records", smoothing=0.05) as bar:  # fmt: skip
            for is_new, records in workers.map(_Write(folder, key, compute), jobs()):
                written += is_new
                bar.update(records)
    except BrokenProcessPool as error:
        raise PartsError(
            f"{folder}: a worker process was killed, perhaps for lack of memory; what is finished "
            "is kept, and the same command goes on from there"
        ) from error
    missing = sum(not _is_finished(_file(folder, number), key) for number in range(parts))
    return PartsWritten(folder, len(items), parts, len(wanted) - written, written, missing)


def require_same(path: Path, wanted: str, found: str) -> None:
    """Refuse a file or folder that is another one than when the run began, or here than there.

    Raises
    ------
    PartsError
        If the digests differ.
    """
    if wanted != found:
        raise PartsError(
            f"{path}: is not what it was when this run began, or another file on "
            f"{socket.gethostname()}: give the command again, with another folder or --restart"
        )


def _begin(folder: Path, values: dict[str, Any], restart: bool) -> str:
    """Make the folder ready; return the key of its plan, the same for all runs of one."""
    plan = folder / _PLAN
    key = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    before: dict[str, Any] = {}
    try:
        before = dict(json.loads(plan.read_text(encoding="utf-8")))
    except NotADirectoryError:
        require_folder(folder)  # which says what is in the way
        raise
    except FileNotFoundError:
        # A run that begins at the same moment, or was killed as it began, leaves its plan's file.
        there = folder.iterdir() if folder.is_dir() else ()
        if any(path != plan and not is_temporary(path) for path in there):
            if plan.is_file():
                return _begin(folder, values, restart)
            raise PartsError(
                f"{folder}: is not a folder of parts (no {_PLAN}); give another folder"
            ) from None
    except (OSError, ValueError, TypeError) as error:
        if not restart:
            raise PartsError(
                f"{plan}: cannot be read ({error}); give another folder, or --restart"
            ) from error
    if before == values:
        return key
    if before and not restart:
        other = [name for name in {**before, **values} if before.get(name) != values.get(name)]
        raise PartsError(
            f"{folder}: holds parts of something else (other {', '.join(other)}): give what they "
            "were begun with to go on, another folder, or --restart to throw them away"
        )
    for path in folder.glob("[0-9]*.parquet"):
        path.unlink()
    write_json(plan, values)
    return key


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.parquet"


def _is_finished(path: Path, key: str) -> bool:
    try:
        return (pq.read_schema(path).metadata or {}).get(_KEY) == key.encode()
    except (OSError, pa.ArrowException):
        return False
