"""Formats of long recordings, by the suffix of the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.csv_file import CsvRecording
from selfmis_plugin.preparation.recordings.edf_file import EdfRecording
from selfmis_plugin.preparation.recordings.long_recording import LongRecording, ReadingOptions
from selfmis_plugin.preparation.recordings.wfdb_file import WfdbRecording

FORMATS: Mapping[str, Callable[[Path, ReadingOptions], LongRecording]] = {
    ".csv": CsvRecording,
    ".tsv": CsvRecording,
    ".txt": CsvRecording,
    ".hea": WfdbRecording,
    ".edf": EdfRecording,
    ".rec": EdfRecording,
}


def open_recording(path: Path, options: ReadingOptions | None = None) -> LongRecording:
    """Open a long recording.

    Parameters
    ----------
    path
        A CSV, TSV, text, EDF or WFDB header file.
    options
        What the user says about files that do not say it themselves.

    Raises
    ------
    RecordError
        If the file cannot be read or is of no known format.
    """
    reader = FORMATS.get(path.suffix.casefold())
    if reader is None:
        raise RecordError(
            "unknown format", f"{path.name}: is none of {', '.join(FORMATS)}; convert it"
        )
    try:
        return reader(path, options or ReadingOptions())
    except OSError as error:
        raise RecordError("unreadable file", f"{path.name}: {error.strerror or error}") from error
