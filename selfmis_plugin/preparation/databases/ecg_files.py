"""Any folder of ECG files, in any mixture of formats, with labels from a table.

Names stay out: a record's id is a running number, and neither a file's name nor anything that a
file says of a person, but sex and age, comes into the store or a message, unless the user asks for
it.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.origin import origins_of
from selfmis_plugin.data.recording import DigitalRecording, RecordError, Recording
from selfmis_plugin.data.split_names import SPLITS
from selfmis_plugin.preparation.file_tables import Labelled, read_ids, read_labels
from selfmis_plugin.preparation.input_files import wfdb_files
from selfmis_plugin.preparation.listing import (
    Database,
    DatabaseError,
    ListedRecord,
    Listing,
    existing_folder,
)
from selfmis_plugin.preparation.recordings.content import DEVICE_FORMATS, content_of
from selfmis_plugin.preparation.recordings.device_file import reader_is_installed
from selfmis_plugin.preparation.recordings.long_recording import ReadingOptions
from selfmis_plugin.preparation.recordings.sources import recording_paths
from selfmis_plugin.preparation.recordings.subject_splits import SHARE, SubjectSplits
from selfmis_plugin.preparation.recordings.units import told_microvolts
from selfmis_plugin.preparation.recordings.whole_recording import read_whole
from selfmis_plugin.utils import arguments
from selfmis_plugin.utils.extras import how_to_install
from selfmis_plugin.utils.files import whole_file
from selfmis_plugin.utils.paths import escaped

NAME = "ecg-files"

#: The set of all labels of the table.
LABEL_SET = "labels"
#: ``--ids`` that names records after their files.
FILENAME = "filename"

#: Digits of a running number, at least.
_DIGITS = 5


@dataclass(frozen=True)
class NumberedFiles:
    """Reads files by numbers that stand for them; no name leaves it unless names are shown.

    Attributes
    ----------
    root
        The folder.
    files
        Paths below it, by number.
    options
        What the user says about them.
    shown
        Whether messages may say what the files say.
    """

    root: Path
    files: Mapping[str, str]
    options: ReadingOptions
    shown: bool

    def __call__(self, path: Path) -> Recording | DigitalRecording:
        """Read the file of a number; raises RecordError."""
        file = self.root / self.files[path.name]
        try:
            return read_whole(file, self.options)
        except Exception as error:
            if self.shown:
                raise
            refusal = _without_names(path.name, error)
        raise refusal from refusal.__cause__

    def inputs(self, path: str) -> tuple[str, ...]:
        """Name the files of a number, by the number."""
        return tuple(f"{path}.{k}" for k in range(len(self._real(os.path.basename(path)))))

    def locate(self, name: str) -> str:
        """Return where a file is that :meth:`inputs` has named."""
        number, _, place = os.path.basename(name).rpartition(".")
        return self._real(number)[int(place)]

    def _real(self, number: str) -> tuple[str, ...]:
        path = str(self.root / self.files[number])
        return wfdb_files(path) if path.endswith(".hea") else (path,)


def _without_names(number: str, error: Exception) -> RecordError:
    """The same error, by its kind alone: its text may hold a file's name or what the file says."""
    trouble: BaseException | None = error
    while trouble is not None and not isinstance(trouble, OSError):
        trouble = trouble.__cause__ or trouble.__context__
    if trouble is not None:
        refusal = RecordError("unreadable file", f"file {number}: {trouble.strerror}")
        refusal.__cause__ = OSError(trouble.errno, trouble.strerror)
        return refusal
    kind = error.kind if isinstance(error, RecordError) else "unexpected error"
    return RecordError(
        kind,
        f"file {number}: {kind}; --id-list says which file it is, and --ids filename what is wrong "
        "with it",
    )


def list_records(
    root: Path,
    reading: ReadingOptions | None = None,
    ids: str | None = None,
    id_list: Path | None = None,
    table: Path | None = None,
    split: str | None = None,
    splits: SubjectSplits | None = None,
) -> Listing:
    """List every ECG file under *root*, in the order of their paths.

    Parameters
    ----------
    root
        The folder, searched with its subfolders.
    reading
        What the user says about files that do not say it themselves.
    ids
        None: records are called by running numbers; ``filename``: after their files; else a CSV
        file with the columns ``file`` and ``id`` and, perhaps, ``patient``.
    id_list
        Where to write which number is which file, for the user's eyes alone.
    table
        CSV file with a column ``file``, and ``labels`` (apart by semicolons) or a column of 0 and
        1 for each label; perhaps also ``patient``, ``split``, ``sex`` and ``age``, which go before
        what the files say.
    split
        The split of all records; None: by shares of the patients.
    splits
        These shares; a record without a patient is one of its own.

    Raises
    ------
    DatabaseError
        If there is no file, a table cannot be used, or a format needs a package that is missing.
    """
    root = existing_folder(root)
    paths = sorted(recording_paths(root))
    if not paths:
        raise DatabaseError(f"{root}: no ECG of a known format in it")
    _check_readers(root, paths)
    width = max(_DIGITS, len(str(len(paths))))
    numbers = {path: f"{k:0{width}d}" for k, path in enumerate(paths, start=1)}
    named = None if ids in (None, FILENAME) else read_ids(Path(str(ids)), paths, table)
    about = read_labels(table, paths) if table else None
    said = about.said if about else {}
    labels = about.labels if about else ()
    notes = list(about.notes) if about else []
    used = [path for path in paths if path in said] if table else paths
    if not used:
        raise DatabaseError(f"{table}: none of its files is below {root}")
    patients = _patients(used, numbers, named, said, shown=ids == FILENAME)
    whose = set(patients.values())
    given = _given_splits(table, patients, said)
    if split and given:
        raise DatabaseError(
            f"--split {split} would not be used: {table} has a column split; leave out one of them"
        )
    drawn = splits or SubjectSplits()
    if given.keys() == whose and (drawn.valid_fraction or drawn.test_fraction):
        raise DatabaseError(
            f"--valid-fraction and --test-fraction would not be used: {table} has the split of "
            "every patient; leave them out"
        )
    chosen = dict.fromkeys(whose, split) if split else drawn.assign(whose, given=given)
    if len(whose) == len(used):
        notes.append("every record is of a patient of its own")
    record_ids = _record_ids(used, numbers, named, after_files=ids == FILENAME)
    records = []
    for path in used:
        row = said.get(path, Labelled())
        records.append(
            ListedRecord(
                record_id=record_ids[path],
                patient_id=patients[path],
                source=numbers[path],
                split=chosen[patients[path]],
                labels=row.labels,
                person=row.person,
            )
        )
    if id_list is not None:
        _write_id_list(id_list, records, {number: path for path, number in numbers.items()})
    files = NumberedFiles(
        root, {n: p for p, n in numbers.items()}, reading or ReadingOptions(), ids == FILENAME
    )
    notes += _said(reading)
    types = tuple(name for name in INFARCTION_TYPES if name in labels)
    sets = {LABEL_SET: labels, **({"infarction": types} if types else {})} if labels else {}
    return Listing(
        database=NAME,
        root=root,
        records=records,
        total=len(records),
        label_sets=sets,
        left_out=Counter({"no row in the table": left}) if (left := len(paths) - len(used)) else {},
        notes=tuple(notes),
        reader=files,
        input_files=files.inputs,
        locate=files.locate,
        origins=origins_of(root, paths),
    )


def _check_readers(root: Path, paths: Sequence[str]) -> None:
    for path in paths:
        try:
            format = content_of(root / path)
        except OSError:
            continue  # said of this record alone
        if format in DEVICE_FORMATS and not reader_is_installed(format):
            raise DatabaseError(
                f"{root}: holds {format}, which ecgdatakit reads, and it is not installed; "
                + how_to_install("formats")
            )


def _given_splits(
    table: Path | None, patients: Mapping[str, str], said: Mapping[str, Labelled]
) -> dict[str, str]:
    """The splits of the patients of whom a table gives one; two of one patient are refused."""
    given: dict[str, Labelled] = {}
    for path, patient in patients.items():
        row = said.get(path, Labelled())
        if not row.split:
            continue
        other = given.setdefault(patient, row)
        if other.split != row.split:
            raise DatabaseError(
                f"{table}: rows {other.row} and {row.row} are of one patient, and in the splits "
                f"{other.split} and {row.split}: put both into one"
            )
    return {patient: row.split for patient, row in given.items()}


def _patients(
    paths: Sequence[str],
    numbers: Mapping[str, str],
    named: Mapping[str, tuple[str, str]] | None,
    said: Mapping[str, Labelled],
    shown: bool,
) -> dict[str, str]:
    """Whose each file is: a number for each that the table of labels names, else as --ids says."""
    running: dict[str, str] = {}
    found = {}
    for path in paths:
        patient = said[path].patient if path in said else ""
        if named is not None and named[path][1]:
            if patient and patient != named[path][1]:
                raise DatabaseError(
                    f"row {said[path].row} of --labels names another patient than --ids does: "
                    "leave the column patient out of one of them"
                )
            found[path] = named[path][1]
        elif patient:
            number = running.setdefault(patient, f"patient-{len(running) + 1:0{_DIGITS}d}")
            found[path] = patient if shown else number
        else:
            found[path] = named[path][0] if named is not None else numbers[path]
    return found


def _record_ids(
    paths: Sequence[str],
    numbers: Mapping[str, str],
    named: Mapping[str, tuple[str, str]] | None,
    after_files: bool,
) -> dict[str, str]:
    if named is not None:
        return {path: named[path][0] for path in paths}
    if not after_files:
        return {path: numbers[path] for path in paths}
    # Files that differ by their suffix alone keep it.
    stems = Counter(os.path.splitext(path)[0] for path in paths)
    ids = {path: os.path.splitext(path)[0] for path in paths}
    return {path: escaped(stem if stems[stem] == 1 else path) for path, stem in ids.items()}


def _write_id_list(path: Path, records: Sequence[ListedRecord], files: Mapping[str, str]) -> None:
    with (
        whole_file(path, mode=0o600) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["record_id", "file"])
        rows.writerows([r.record_id, escaped(files[r.source])] for r in records)


def _said(reading: ReadingOptions | None) -> list[str]:
    if reading is None or reading == ReadingOptions():
        return []
    parts = [
        f"{reading.rate:g} Hz" if reading.rate else "",
        f"{reading.microvolts_per_unit:g} uV a unit" if reading.microvolts_per_unit else "",
        f"channels {', '.join(reading.channels)}" if reading.channels else "",
    ]
    return [f"of files that do not say it, as told: {'; '.join(filter(None, parts))}"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="CSV",
        help="a table with a column file (path below ROOT), and either a column labels (apart by "
        "semicolons) or a column of 0 and 1 for each label; a column patient keeps a patient's "
        "records in one split, a column split says which, columns sex and age go before what the "
        "files say; files without a row are left out",
    )
    parser.add_argument(
        "--ids",
        metavar="FILE|filename",
        help="records' ids from a table with the columns file and id (and perhaps patient), or "
        "from the files' names; default: running numbers in the order of the paths, and no name "
        "comes into the store or a message",
    )
    parser.add_argument(
        "--id-list",
        type=Path,
        metavar="FILE",
        help="write there which number is which file, readable by you alone",
    )
    parser.add_argument(
        "--rate",
        "--sample-rate",
        type=arguments.positive,
        metavar="HZ",
        help="samples a second of files that do not say it: text, .npy, .mat",
    )
    parser.add_argument(
        "--units",
        "--unit",
        type=told_microvolts,
        metavar="UNIT",
        help="unit of the values: uV, mV, V, or the microvolts in one step; default: the files'",
    )
    parser.add_argument(
        "--channels",
        type=arguments.names,
        metavar="NAMES",
        help="the channels of files that name none, in their order, such as I,II,III,aVR,...",
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        help="the split of all records; default: by shares of the patients",
    )
    for split in ("valid", "test"):
        parser.add_argument(
            f"--{split}-fraction",
            type=float,
            metavar="SHARE",
            help=f"share of the patients in {split}.tsv, by a hash (default: {SHARE})",
        )


def _list(root: Path, options: argparse.Namespace) -> Listing:
    for split in ("valid", "test"):
        if options.split and getattr(options, f"{split}_fraction") is not None:
            raise DatabaseError(
                f"--{split}-fraction would not be used: all records are in --split {options.split}"
            )
    return list_records(
        root,
        ReadingOptions(options.rate, options.units, options.channels),
        options.ids,
        options.id_list,
        options.labels,
        options.split,
        SubjectSplits(options.valid_fraction, options.test_fraction, seed=options.seed or 0),
    )


DATABASE = Database(
    name=NAME,
    title="any folder of ECG files: HL7 aECG, SCP-ECG, DICOM, GE, Philips and Mortara XML, ISHNE, "
    "MFER, Kardia, WFDB, EDF, CSV, .mat, .npy",
    add_arguments=_add_arguments,
    list_records=_list,
    draws_splits=True,
)
