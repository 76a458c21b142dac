"""Any file that holds an ECG, by its name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.long_recording import LongRecording, ReadingOptions
from selfmis_plugin.preparation.recordings.opening import open_recording
from selfmis_plugin.preparation.wfdb.header import GAP, read_header
from selfmis_plugin.preparation.wfdb.reader import header_path

_WFDB_SIGNALS = (".dat", ".mat", "")
_HEADER = ".hea"


def open_strip_file(path: Path, options: ReadingOptions | None = None) -> LongRecording:
    """Open a WFDB record (any of its files), an EDF file, a table, or a file of one column.

    Raises
    ------
    RecordError
        If it cannot be read.
    """
    path = _named(path)
    if path.is_dir():
        raise RecordError("folder", f"{path}: is a folder: name the recordings in it")
    if not path.is_file():
        raise RecordError("no such file", f"{path}: no such file")
    return open_recording(path, options)


def files_of_strip(path: Path) -> Iterator[Path]:
    """Yield the files that :func:`open_strip_file` reads: of a WFDB record its header and those
    that it names; what cannot be understood names none."""
    file = _named(path)
    yield file
    if file.suffix.casefold() != _HEADER:
        return
    with contextlib.suppress(RecordError):
        header = read_header(file)
        for name in (name for name, _ in header.segments if name != GAP):
            segment = file.with_name(name + _HEADER)
            yield segment
            yield from _signal_files(segment)
        yield from _signal_files(file)


def _signal_files(header: Path) -> list[Path]:
    names = dict.fromkeys(line.file for line in read_header(header).signals if line.file != GAP)
    return [header.with_name(name) for name in names]


def _named(path: Path) -> Path:
    """Return the header of a WFDB record that is given by another of its files or by none."""
    suffix = path.suffix.casefold()
    if suffix not in _WFDB_SIGNALS:
        return path
    header = path.with_suffix(_HEADER) if suffix else header_path(path)
    return header if header.is_file() else path
