"""Uploaded files where readers find them: in a folder of memory, for as long as they are read."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.wfdb.header import read_header
from selfmis_plugin.serve.upload import UploadedFile, UploadError

__all__ = ["laid_out"]

#: Where Linux keeps files in memory alone.
_MEMORY = Path("/dev/shm")


@contextlib.contextmanager
def laid_out(files: Sequence[UploadedFile]) -> Iterator[list[Path]]:
    """Give the recordings among files as paths, whose names are the files'.

    The folder can be entered by this user alone and is removed at the end. It lies in memory where
    the system has room for that, otherwise where temporary files lie. The signal files and segments
    of a WFDB record that is among the files are no recordings of their own. Files of one name lie
    apart from each other.

    Raises
    ------
    UploadError
        If files of one name are parts of WFDB records: which belong together cannot be told.
    """
    size = sum(len(file.content) for file in files)
    with tempfile.TemporaryDirectory(
        prefix="selfmis-", dir=_memory(size), ignore_cleanup_errors=True
    ) as root:
        seen: Counter[str] = Counter()
        paths = []
        for file in files:
            folder = Path(root, str(seen[file.name]))
            seen[file.name] += 1
            folder.mkdir(exist_ok=True)
            path = folder / file.name
            path.write_bytes(file.content)
            paths.append(path)
        parts: set[Path] = set()
        for path in paths:
            own = _parts_of(path)
            _refuse_ambiguous(path, own, seen)
            parts |= own
        yield [path for path in paths if path not in parts]


def _refuse_ambiguous(header: Path, parts: set[Path], seen: Counter[str]) -> None:
    """Refuse a record of which several files have the name of one: browsers send no folders."""
    names = sorted({header.name, *(part.name for part in parts)} & seen.keys()) if parts else []
    for name in names:
        if seen[name] > 1:
            raise UploadError(
                f"{seen[name]} files at once are called {name}, of WFDB records whose other files "
                "then cannot be told apart: drop the files of one such record at a time"
            )


def _memory(size: int) -> Path | None:
    try:
        usable = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > 2 * size
    except OSError:
        return None
    return _MEMORY if usable else None


def _parts_of(path: Path) -> set[Path]:
    """The other files of a WFDB record, if the file is its header."""
    if path.suffix.casefold() != ".hea":
        return set()
    # Also of a header that cannot be read: one message says what is wrong with the record.
    names = {path.with_suffix(suffix).name for suffix in (".dat", ".mat")}
    with contextlib.suppress(OSError, RecordError, ValueError):
        header = read_header(path)
        names |= {line.file for line in header.signals}
        names |= {f"{name}.hea" for name, _ in header.segments}
    return {path.parent / name for name in names} - {path}
