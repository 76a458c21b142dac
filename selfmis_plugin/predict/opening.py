"""Any file that holds an ECG, by its name."""

from __future__ import annotations

from pathlib import Path

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.long_recording import LongRecording, ReadingOptions
from selfmis_plugin.preparation.recordings.opening import open_recording
from selfmis_plugin.preparation.wfdb.reader import header_path

_WFDB_SIGNALS = (".dat", ".mat", "")


def open_strip_file(path: Path, options: ReadingOptions | None = None) -> LongRecording:
    """Open a WFDB record (any of its files), an EDF file, a table, or a file of one column.

    Raises
    ------
    RecordError
        If it cannot be read.
    """
    suffix = path.suffix.casefold()
    header = header_path(path) if not suffix else path.with_suffix(".hea")
    if suffix in _WFDB_SIGNALS and header.is_file():
        path = header
    if path.is_dir() and not header.is_file():
        raise RecordError("folder", f"{path}: is a folder: name the recordings in it")
    if not path.is_file():
        raise RecordError("no such file", f"{path}: no such file")
    return open_recording(path, options)
