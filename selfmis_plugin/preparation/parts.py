"""The parts that a preparation is cut into, each of which is finished or absent.

While a store is made there is a folder beside it, ``DEST.parts``::

    plan.json        the options, and what the database says of itself
    lock             held by who works here
    00000.part ...   one file per finished part: its rows, its refusals, its input files
    00000.lock ...   held by who prepares the part
    placed.json      how far the gaps in the signal file are closed (once that has begun)
    store/           the store to be; its signals.i16 has a slot for every listed record

A part is a fixed number of listed records. Whoever prepares it writes its signals to its slots in
the one signal file, and then its ``.part`` file, by a rename: a part without that file counts for
nothing, and one with it is never written to again. So no signal is written twice or copied, unless
a record was refused: then the records behind it are moved up, part by part.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import hashlib
import itertools
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from selfmis_plugin._version import __version__
from selfmis_plugin.data.store.format import SCHEMA, SIGNALS_FILE, STORE_VERSION
from selfmis_plugin.preparation.input_files import Identity
from selfmis_plugin.preparation.listing import ListedRecord
from selfmis_plugin.utils.disk import explained
from selfmis_plugin.utils.files import make_folder, sync
from selfmis_plugin.utils.replacing import put_back
from selfmis_plugin.utils.temporary import remove

logger = logging.getLogger(__name__)

PLAN_FILE = "plan.json"
PLACED_FILE = "placed.json"
LOCK_FILE = "lock"
STORE_FOLDER = "store"

#: Records of a part of a large database.
LARGEST_PART = 1024
#: With 64 records of 12 leads and 5,000 samples each part begins at a page of the disk.
SMALLEST_PART = 64
#: Parts that a database is at least cut into, as far as the smallest part allows.
_PARTS = 64

#: Errors of file systems that know no locks.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
_PATIENCE = 0.2


class PreparationError(ValueError):
    """A database cannot be prepared; the message says what to do."""


class StoppedError(PreparationError):
    """A part could not be prepared now; once the reason is gone the same command goes on."""


class DiskFullError(StoppedError):
    """There is no room for a part."""


def part_size(total: int) -> int:
    """Return how many of *total* records make a part."""
    return min(LARGEST_PART, max(SMALLEST_PART, total // _PARTS // SMALLEST_PART * SMALLEST_PART))


def parts_folder(dest: Path) -> Path:
    """Return the folder in which the store at *dest* is made."""
    return dest.with_name(dest.name + ".parts")


@dataclass(frozen=True)
class Plan:
    """What is prepared, and how.

    Attributes
    ----------
    options
        How: everything that the store's bytes depend on besides the records.
    database
        What the database says of itself: its name, how many records it has, label sets, notes.
    part_records
        Number of records of a part.
    shares
        Into how many shares the first run cut the parts; 1 if it meant to prepare them all.
    key
        A name of its own, so that nothing of a folder that was thrown away is taken for finished.
    source
        Folder of the database. It may be moved before a run goes on.
    """

    options: Mapping[str, Any]
    database: Mapping[str, Any]
    part_records: int
    shares: int = 1
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    source: str = ""

    @property
    def total(self) -> int:
        """Number of listed records."""
        return int(self.database["records"])

    @property
    def parts(self) -> int:
        """Number of parts."""
        return -(-self.total // self.part_records)

    def described(self) -> dict[str, Any]:
        """Return everything that must be the same for a run to go on with another's parts."""
        values = {
            **self.options,
            **self.database,
            "records of a part": self.part_records,
            "plugin version": __version__,
            "store version": STORE_VERSION,
        }
        plain: dict[str, Any] = json.loads(json.dumps(values))
        return plain


class PartsFolder:
    """A folder of parts.

    Parameters
    ----------
    dest
        Where the store is going to be.
    """

    def __init__(self, dest: Path) -> None:
        self.dest = dest
        self.path = parts_folder(dest)
        self.store = self.path / STORE_FOLDER
        self.signals = self.store / SIGNALS_FILE
        self.replaced = self.path / "replaced"

    def read_plan(self) -> tuple[Plan, dict[str, Any]] | None:
        """Return the plan and what it was described by; None if there is none.

        Raises
        ------
        PreparationError
            If the file is damaged.
        """
        path = self.path / PLAN_FILE
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            plan = Plan(
                values["options"],
                values["database"],
                int(values["part_records"]),
                int(values["shares"]),
                values["key"],
                values.get("source", ""),
            )
            return plan, values["described"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise PreparationError(
                f"{path}: is damaged ({error}); remove {self.path}, or start anew with --restart"
            ) from error

    def begin(self, plan: Plan) -> Plan:
        """Make the folder ready for a plan; return the one that holds, if another run was first.

        Raises
        ------
        PreparationError
            If the folder has parts that were prepared otherwise; the message says what differs.
        """
        found = self.read_plan()
        if found is None:
            with explained(self.dest):
                self._write_plan(plan)
            found = self.read_plan()
            assert found is not None
        there, described = found
        now = plan.described()
        # Version 0.1 did not ask where the records come from.
        differences = _differences({"origins": now.get("origins"), **described}, now)
        if differences:
            raise PreparationError(
                f"{self.path}: holds parts that were prepared otherwise:\n"
                + "".join(f"    {line}\n" for line in differences)
                + "Give the options and the database as they were to go on with them, or throw "
                "them away with --restart"
            )
        if not self.signals.is_file() and self.store.is_dir():
            raise PreparationError(f"{self.signals}: is missing; start anew with --restart")
        return there

    def _write_plan(self, plan: Plan) -> None:
        self.store.mkdir(exist_ok=True)
        self.signals.touch()
        values = {
            "options": plan.options,
            "database": plan.database,
            "part_records": plan.part_records,
            "shares": plan.shares,
            "key": plan.key,
            "source": plan.source,
            "described": plan.described(),
        }
        with _temporary(self.path / PLAN_FILE) as temporary:
            temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
            sync(temporary)
            _link_or_rename(temporary, self.path / PLAN_FILE)
        sync(self.path)

    @property
    def is_published(self) -> bool:
        """Whether the store is at its place already, and only this folder is left to remove."""
        return (self.path / PLAN_FILE).is_file() and not self.store.is_dir()

    def part_file(self, index: int) -> Path:
        """Return the file that makes part *index* finished."""
        return self.path / f"{index:05d}.part"

    def finished(self) -> set[int]:
        """Return the numbers of the parts that have a file."""
        names = os.listdir(self.path) if self.path.is_dir() else []
        return {int(name[:-5]) for name in names if name.endswith(".part") and name[:-5].isdigit()}

    def placed(self) -> int | None:
        """Return the first part that is not at its place; None if nothing was moved yet."""
        placed = self._read_placed()
        return None if placed is None else int(placed["moving"])

    def note_placing(self, part: int) -> None:
        """Note that all parts before *part* are at their place and that it is going to move."""
        self._write_placed({"moving": part, "lost": False})

    def forget_half_moved(self) -> None:
        """Declare a part absent whose signals were being moved when a run was killed."""
        placed = self._read_placed()
        if placed is not None and not placed["lost"]:
            self.part_file(placed["moving"]).unlink(missing_ok=True)
            self._write_placed({**placed, "lost": True})

    def _read_placed(self) -> dict[str, Any] | None:
        try:
            values = json.loads((self.path / PLACED_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return dict(values)

    def _write_placed(self, values: Mapping[str, Any]) -> None:
        path = self.path / PLACED_FILE
        with _temporary(path) as temporary:
            temporary.write_text(json.dumps(values), encoding="utf-8")
            sync(temporary)
            temporary.replace(path)
        sync(self.path)

    def remove(self) -> None:
        """Remove the folder with everything in it."""
        self.put_back()
        # By a rename first: whoever still writes here must not find a folder half removed.
        gone = self.path.with_name(f".{self.path.name}-removed-{uuid.uuid4().hex[:8]}")
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(gone)
        self.sweep()

    def put_back(self) -> None:
        """Put back a store that was taken away to be replaced by a run that was killed then."""
        put_back(self.dest)
        if self.replaced.is_dir() and not os.path.lexists(self.dest):
            self.replaced.rename(self.dest)

    def sweep(self) -> bool:
        """Remove what is left of folders that were being removed when a run was killed.

        Returns whether there was something.
        """
        there = sorted(self.path.parent.glob(f".{glob.escape(self.path.name)}-removed-*"))
        for left in there:
            shutil.rmtree(left, ignore_errors=True)
        return bool(there)

    def clear_store(self) -> None:
        """Remove all but the signals of what a run that was killed has left of the store to be."""
        for path in self.store.iterdir():
            if path != self.signals:
                remove(path)

    @contextlib.contextmanager
    def held(self, *, alone: bool) -> Iterator[None]:
        """Keep other runs out of the folder; with *alone* false, those that want it alone.

        Raises
        ------
        PreparationError
            If another run is at work there.
        """
        make_folder(self.path, self.dest)
        path = self.path / LOCK_FILE
        with explained(self.dest):
            file = path.open("ab")
        with file:
            if not _lock(file.fileno(), alone) or not _is_file(file.fileno(), path):
                raise PreparationError(
                    f"{self.path}: another run is at work there; wait until it has ended, or stop "
                    "it, and give the same command again"
                )
            yield

    @contextlib.contextmanager
    def part_held(self, index: int) -> Iterator[None]:
        """Wait until nobody else prepares part *index*, and keep others from it."""
        with (self.path / f"{index:05d}.lock").open("ab") as file:
            while not _lock(file.fileno(), True):
                time.sleep(_PATIENCE)
            yield


@dataclass(frozen=True)
class Part:
    """What a finished part's file holds.

    Attributes
    ----------
    key
        The plan's.
    before, listing
        Digests of the listed records before the part, and up to its last.
    listed
        How many listed records it has.
    rows
        The rows of the records that were stored, in order.
    repaired_records
        Number of records in which something was repaired.
    repaired
        Number of records by what was repaired.
    refused
        Source, kind and reason of the records that were refused.
    inputs
        Identity of every file that was read, by name; relative to the database's folder.
    """

    key: str
    before: str
    listing: str
    listed: int
    rows: pa.Table
    repaired_records: int
    repaired: dict[str, int]
    refused: list[tuple[str, str, str]]
    inputs: dict[str, Identity]

    def write(self, path: Path) -> None:
        """Write the part's file, whole or not at all; then the part is finished."""
        facts = {
            "key": self.key,
            "before": self.before,
            "listing": self.listing,
            "listed": self.listed,
            "repaired_records": self.repaired_records,
            "repaired": self.repaired,
            "refused": self.refused,
            "inputs": self.inputs,
        }
        rows = self.rows.replace_schema_metadata({"part": json.dumps(facts)})
        with _temporary(path) as temporary:
            with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as out:
                out.write_table(rows)
            sync(temporary)
            temporary.replace(path)
        sync(path.parent)

    @classmethod
    def read(cls, path: Path, key: str) -> Part | None:
        """Read a part's file; None if there is none, or it is damaged or of another plan."""
        try:
            with pa.OSFile(str(path), "rb") as source, pa.ipc.open_file(source) as file:
                rows = file.read_all()
            facts = json.loads(rows.schema.metadata[b"part"])
            part = cls(
                key=facts["key"],
                before=facts["before"],
                listing=facts["listing"],
                listed=facts["listed"],
                rows=rows.replace_schema_metadata(None).cast(SCHEMA),
                repaired_records=facts["repaired_records"],
                repaired=facts["repaired"],
                refused=[(source, kind, reason) for source, kind, reason in facts["refused"]],
                inputs={n: None if i is None else (i[0], i[1]) for n, i in facts["inputs"].items()},
            )
        except FileNotFoundError:
            return None
        except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
            logger.warning("%s: is damaged (%s); the part is prepared anew", path, error)
            return None
        return part if part.key == key else None


@dataclass(frozen=True)
class Job:
    """The records of a part that is to be prepared.

    Attributes
    ----------
    index
        Number of the part.
    records
        Its records.
    before, listing
        Digests of all listed records before it, and up to its last.
    """

    index: int
    records: tuple[ListedRecord, ...]
    before: str
    listing: str


def jobs(records: Iterable[ListedRecord], part_records: int) -> Iterator[Job]:
    """Cut a listing into parts. It is read as needed, so that memory stays flat."""
    source = iter(records)
    digest, before = hashlib.sha256(), ""
    for index in itertools.count():
        part = tuple(itertools.islice(source, part_records))
        if not part:
            return
        for record in part:
            digest.update(_text(record).encode("utf-8", "surrogatepass"))
        yield Job(index, part, before, digest.hexdigest())
        before = digest.hexdigest()


def _text(record: ListedRecord) -> str:
    problem = record.problem.reason if record.problem is not None else ""
    fields = (record.record_id, record.patient_id, record.source, record.split, problem)
    person = (str(record.strat_fold), str(record.person.sex), str(record.person.age))
    # Nothing where there is none, so that a preparation that was begun before goes on.
    session = () if record.session is None else (f"session {record.session}",)
    return "\x1f".join((*fields, *person, *session, *record.labels, "\x1e"))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    missing = "nothing"
    return [
        f"{name}: now {_short(now.get(name, missing))}, then {_short(before.get(name, missing))}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name, missing) != now.get(name, missing)
    ]


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."


def shares_of(parts: Sequence[int], shares: int) -> list[str]:
    """Return which of *shares* shares some parts belong to, as ``--part`` names them."""
    return [f"{share + 1}/{shares}" for share in sorted({part % shares for part in parts})]


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Give a name of nobody else's beside *path*; what is still there at the end is removed."""
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _link_or_rename(temporary: Path, path: Path) -> None:
    """Give a file its name; who is second loses."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        temporary.replace(path)


def _lock(handle: int, alone: bool) -> bool:
    """Try to lock a file; the lock ends with the process, however that ends."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        # There the user has to see to it that no two runs are at work at once.
        logger.debug("this file system knows no locks: %s", error)
    return True


def _is_file(handle: int, path: Path) -> bool:
    """Whether an open file is still the one called *path*."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
