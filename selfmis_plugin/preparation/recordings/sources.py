"""Which files of a folder are recordings, and whose."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from selfmis_plugin.data.origin import Origin, origins_of
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.listing import DatabaseError, existing_folder, read_columns
from selfmis_plugin.preparation.recordings.opening import is_recording
from selfmis_plugin.preparation.wfdb.header import segment_names
from selfmis_plugin.utils.paths import escaped


@dataclass(frozen=True)
class Source:
    """One recording.

    Attributes
    ----------
    path
        The file, relative to the root folder, with ``/``.
    name
        What its windows are named after: the path without the suffix where that is unique.
    subject
        Whose it is; no subject lies on both sides of a split.
    activity
        What the subject did, "" where that is not known.
    problem
        Why it cannot be used, if that is known already.
    """

    path: str
    name: str
    subject: str
    activity: str = ""
    problem: RecordError | None = None


@dataclass(frozen=True)
class Sources:
    """The recordings of a folder.

    Attributes
    ----------
    root
        The folder.
    recordings
        In the order of their paths.
    note
        Where subject and activity were taken from.
    """

    root: Path
    recordings: tuple[Source, ...]
    note: str

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Where they come from, as far as files say; none where it is not recorded."""
        return origins_of(self.root, (recording.path for recording in self.recordings))


def find_sources(root: Path, group: str | None = None, table: Path | None = None) -> Sources:
    """Find the recordings under *root*.

    Parameters
    ----------
    root
        The folder, searched with its subfolders for recordings of any known format: text files, EDF
        (also .rec) and WFDB headers by their names, others by what stands in them.
    group
        Pattern of the paths, such as ``{subject}/{activity}/*`` or ``{subject}_{activity}.csv``.
        ``*`` and a name stand for any text without a slash.
    table
        CSV file with the columns ``file`` (path below *root*), ``subject`` and, if known,
        ``activity``; files that it does not list are not read. Without *group* and *table* the
        subject is the top folder under *root*, or the file's own name.

    Raises
    ------
    DatabaseError
        If there is no recording, or the pattern or the table cannot be used.
    """
    if group and table:
        raise DatabaseError("give --group or --table, not both")
    root = existing_folder(root)
    if table is not None:
        recordings = list(_listed(root, table))
        note = f"subjects and activities as {table.name} says"
    else:
        paths = list(recording_paths(root))
        if group:
            recordings = list(_matched(paths, group))
            note = f"subjects and activities from the paths, as {group}"
        else:
            recordings = [Source(path, "", path.split("/")[0]) for path in paths]
            recordings = [
                source if "/" in source.path else Source(source.path, "", Path(source.path).stem)
                for source in recordings
            ]
            note = "the subject is the top folder, or the file's name where there is none"
    if not recordings:
        raise DatabaseError(f"{root}: no recording of a known format in it")
    return Sources(root, tuple(_named(recordings)), note)


def recording_paths(root: Path) -> Iterator[str]:
    """Yield the recordings under a folder, by their paths below it, a folder's own in order."""
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        headers = [name for name in files if name.endswith(".hea")]
        # The segments of a multi-segment record are not recordings of their own.
        segments = {f"{name}.hea" for h in headers for name in segment_names(Path(folder, h))}
        for name in sorted(files):
            path = Path(folder, name)
            if not name.startswith(".") and name not in segments and is_recording(path):
                yield path.relative_to(root).as_posix()


def _matched(paths: list[str], group: str) -> Iterator[Source]:
    parts = re.split(r"(\{\w*\}|\*)", group.strip("/"))
    names = [part[1:-1] for part in parts if part.startswith("{")]
    wrong = sorted(set(names) - {"subject", "activity"})
    if wrong or names.count("subject") != 1 or names.count("activity") > 1:
        raise DatabaseError(
            f"--group {group!r} must hold {{subject}} once and may hold {{activity}} once"
            + (f", and knows no {{{wrong[0]}}}" if wrong else "")
        )
    wild = {"*": "[^/]*", "{subject}": "(?P<subject>[^/]+?)", "{activity}": "(?P<activity>[^/]+?)"}
    pattern = re.compile("".join(wild.get(part, re.escape(part)) for part in parts))
    for path in paths:
        found = pattern.fullmatch(path)
        if found:
            yield Source(path, "", found["subject"], found.groupdict().get("activity") or "")
        else:
            reason = f"{path}: does not look like {group}, so its subject is not known"
            yield Source(path, "", "", problem=RecordError("unknown subject", reason))


def _listed(root: Path, table: Path) -> Iterator[Source]:
    try:
        rows = read_columns(table, ["file", "subject", "activity"], option="--table")
    except DatabaseError:
        rows = read_columns(table, ["file", "subject"], option="--table").assign(activity="")
    for row in rows.itertuples(index=False):
        path = os.path.normpath(str(row.file).strip()).replace(os.sep, "/")
        problem = None
        if os.path.isabs(path) or path.split("/")[0] == os.pardir:
            problem = RecordError("file outside folder", f"{path}: is not below {root}")
        elif not (root / path).is_file():
            problem = RecordError("no such file", f"{path}: is in {table.name}, and not in {root}")
        elif not str(row.subject).strip():
            problem = RecordError("unknown subject", f"{path}: has no subject in {table.name}")
        yield Source(path, "", str(row.subject).strip(), str(row.activity).strip(), problem)


def _named(recordings: list[Source]) -> Iterator[Source]:
    stems = Counter(os.path.splitext(source.path)[0] for source in recordings)
    seen: set[str] = set()
    for source in recordings:
        stem = os.path.splitext(source.path)[0]
        name = stem if stems[stem] == 1 else source.path
        problem = source.problem
        if (shown := escaped(source.path)) != source.path:
            problem = RecordError("bad name", f"{shown}: its name is not UTF-8; rename it")
            source = replace(source, path=shown, subject=escaped(source.subject))
            name = shown
        if source.path in seen:
            problem = RecordError("listed twice", f"{source.path}: is listed twice")
        seen.add(source.path)
        yield Source(source.path, name, source.subject, source.activity, problem)
