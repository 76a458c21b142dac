"""The files that a record comes from: whether one has changed or cannot be read."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from selfmis_plugin.data.recording import DigitalRecording, Reader, RecordError, Recording
from selfmis_plugin.preparation.listing import ListedRecord
from selfmis_plugin.preparation.wfdb.header import GAP, read_header

#: Size in bytes and time of the last change in ns; None for a file that is not there.
Identity = tuple[int, int] | None

#: Names the files of a record that is given by its path without suffix.
InputFiles = Callable[[str], Iterable[str]]

#: What the path or the content is to blame for. Everything else is the disk's or the network's
#: fault, or a matter of permissions, and the record may be fine.
_RECORDS_FAULT = frozenset(
    {
        errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL,
        errno.EOVERFLOW, errno.EILSEQ, errno.ESPIPE,
    }
)  # fmt: skip


def wfdb_files(path: str) -> tuple[str, ...]:
    """Name the files of a WFDB record: the header, and the signal files or segments it names."""
    stem = path.removesuffix(".hea")
    # Nearly all records are so; then the header need not be read once more.
    for suffix in (".dat", ".mat"):
        if os.path.exists(stem + suffix):
            return (stem + ".hea", stem + suffix)
    folder, headers = os.path.dirname(stem), [stem + ".hea"]
    files: list[str] = []
    for header in headers:  # it grows by the segments' headers
        try:
            read = read_header(Path(header))
        except (RecordError, ValueError):
            continue
        files += [os.path.join(folder, signal.file) for signal in read.signals]
        if header == headers[0]:
            names = dict.fromkeys(name for name, _ in read.segments if name != GAP)
            headers += [os.path.join(folder, name + ".hea") for name in names]
    return tuple(dict.fromkeys([*headers, *files]))


def record_inputs(
    root: Path, record: ListedRecord, input_files: InputFiles, of: Callable[[str], Identity]
) -> dict[str, Identity]:
    """Return the identity, as *of* tells it, of every file of a record that may be read."""
    # What leads out of the folder is refused, and nothing there is touched.
    if record.problem is not None or ".." in record.source.split("/"):
        return {}
    return {name: of(name) for name in input_files(f"{root}{os.sep}{record.source}")}


def identity(path: str) -> Identity:
    """Return what tells a file from the one that it was before; None if it is not there.

    Raises
    ------
    OSError
        If the disk, the network or the permissions do not let us know.
    """
    try:
        found = os.stat(path)
    except ValueError:  # a null character: no file has such a name
        return None
    except OSError as error:
        if error.errno in _RECORDS_FAULT:
            return None
        raise
    return found.st_size, found.st_mtime_ns


@dataclass
class WatchedReader:
    """A reader that remembers when not the record but the disk was to blame.

    A reader turns whatever goes wrong into a refusal. That is right for a damaged record, and
    wrong for a network disk that is away for a moment and would cost ten thousand records.

    Attributes
    ----------
    reader
        What reads.
    trouble
        The last error of the disk, the network or the permissions.
    """

    reader: Reader
    trouble: OSError | None = None

    def __call__(self, path: Path) -> Recording | DigitalRecording:
        """Read a record."""
        try:
            return self.reader(path)
        except Exception as error:
            self.trouble = _trouble(error) or self.trouble
            raise


def _trouble(error: BaseException | None) -> OSError | None:
    """Find an error of the system among an error and those that it came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno not in (None, *_RECORDS_FAULT):
            return error
        error = error.__cause__ or error.__context__
    return None
