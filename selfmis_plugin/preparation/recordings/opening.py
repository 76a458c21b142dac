"""Formats of recordings: by what stands in a file, or by its suffix where that does not tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.array_file import read_mat_file, read_npy_file
from selfmis_plugin.preparation.recordings.content import (
    DEVICE_FORMATS,
    EDF,
    MATLAB,
    MATLAB_73,
    NUMPY,
    content_of,
    sealed_as,
)
from selfmis_plugin.preparation.recordings.csv_file import CsvRecording
from selfmis_plugin.preparation.recordings.device_file import read_device_file
from selfmis_plugin.preparation.recordings.edf_file import EdfRecording
from selfmis_plugin.preparation.recordings.long_recording import LongRecording, ReadingOptions
from selfmis_plugin.preparation.recordings.wfdb_file import WfdbRecording

Opener = Callable[[Path, ReadingOptions], LongRecording]

#: Formats that only a file's suffix tells, and suffixes of those that its content tells too.
FORMATS: Mapping[str, Opener] = {
    ".csv": CsvRecording,
    ".tsv": CsvRecording,
    ".txt": CsvRecording,
    ".hea": WfdbRecording,
    ".edf": EdfRecording,
    ".rec": EdfRecording,
    ".npy": read_npy_file,
    ".mat": read_mat_file,
}

#: Formats that are known by their content, whatever the file is called.
_BY_CONTENT: Mapping[str, Opener] = {
    **dict.fromkeys(DEVICE_FORMATS, read_device_file),
    EDF: EdfRecording,
    NUMPY: read_npy_file,
    MATLAB: read_mat_file,
}

#: What a recording can be, for messages.
_KNOWN = (
    "a CSV, TSV or text file, WFDB, EDF, HL7 aECG, SCP-ECG, DICOM, GE MUSE XML, Philips XML, "
    "Mortara XML, ISHNE, MFER, Kardia JSON, .mat or .npy"
)


def open_recording(path: Path, options: ReadingOptions | None = None) -> LongRecording:
    """Open a recording.

    Parameters
    ----------
    path
        A file of any known format; of a WFDB record the header.
    options
        What the user says about files that do not say it themselves.

    Raises
    ------
    RecordError
        If the file cannot be read, is empty or encrypted, or is of no known format.
    """
    try:
        if not path.stat().st_size:
            raise RecordError(
                "empty file", f"{path.name}: is empty; copy or export it again, and whole"
            )
        return _opener(path)(path, options or ReadingOptions())
    except OSError as error:
        raise RecordError("unreadable file", f"{path.name}: {error.strerror or error}") from error


def is_recording(path: Path) -> bool:
    """Whether a file looks like a recording, be it a damaged or a sealed one.

    Of a WFDB record that is the header and not the signal file. A file that cannot be read counts
    by its suffix.
    """
    suffix = path.suffix.casefold()
    if suffix in (".dat", ".mat") and path.with_suffix(".hea").is_file():
        return False
    if suffix in FORMATS:
        return True
    try:
        return content_of(path) is not None
    except OSError:
        return False


def _opener(path: Path) -> Opener:
    content = content_of(path)
    if content == MATLAB_73:
        raise RecordError(
            "MATLAB 7.3", f"{path.name}: is MATLAB 7.3 (HDF5); save it with save(..., '-v7')"
        )
    if content is not None:
        return _BY_CONTENT[content]
    if (sealed := sealed_as(path)) is not None:
        raise RecordError(
            "encrypted or packed file",
            f"{path.name}: is {sealed}; decrypt or unpack it first",
        )
    opener = FORMATS.get(path.suffix.casefold())
    if opener is None:
        raise RecordError("unknown format", f"{path.name}: is none of {_KNOWN}; convert it")
    return opener
