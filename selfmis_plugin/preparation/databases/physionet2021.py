"""The PhysioNet/CinC Challenge 2021: 88,253 twelve-lead records of eight sources, SNOMED CT codes.

Reyna et al., "Will Two Do? Varying Dimensions in Electrocardiography" (2021);
https://physionet.org/content/challenge-2021/1.0.3/
"""

from __future__ import annotations

import argparse
import os
import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from selfmis_plugin.data.fractions import draw_split
from selfmis_plugin.data.person import Person, person_of_header
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.databases.ptbxl import SEXES, split_of_fold
from selfmis_plugin.preparation.listing import (
    Database,
    DatabaseError,
    ListedRecord,
    Listing,
    existing_folder,
    read_columns,
)
from selfmis_plugin.preparation.wfdb.header import LARGEST_HEADER

NAME = "physionet2021"

#: The classes that the Challenge scored, in the order of its weights.csv; the Challenge counts the
#: two codes of a pair as one diagnosis.
SCORED: tuple[str, ...] = (
    "164889003",  # atrial fibrillation
    "164890007",  # atrial flutter
    "6374002",  # bundle branch block
    "426627000",  # bradycardia
    "733534002|164909002",  # complete left bundle branch block | left bundle branch block
    "713427006|59118001",  # complete right bundle branch block | right bundle branch block
    "270492004",  # first-degree AV block
    "713426002",  # incomplete right bundle branch block
    "39732003",  # left axis deviation
    "445118002",  # left anterior fascicular block
    "164947007",  # prolonged PR interval
    "251146004",  # low QRS voltages
    "111975006",  # prolonged QT interval
    "698252002",  # nonspecific intraventricular conduction disorder
    "426783006",  # sinus rhythm
    "284470004|63593006",  # premature atrial contraction | supraventricular premature beats
    "10370003",  # pacing rhythm
    "365413008",  # poor R wave progression
    "427172004|17338001",  # premature ventricular contractions | ventricular premature beats
    "164917005",  # abnormal Q wave
    "47665007",  # right axis deviation
    "427393009",  # sinus arrhythmia
    "426177001",  # sinus bradycardia
    "427084000",  # sinus tachycardia
    "164934002",  # abnormal T wave
    "59931005",  # T wave inversion
)
#: The codes that the Challenge's tables call infarction.
INFARCTION: tuple[str, ...] = (
    "164865005",  # myocardial infarction
    "57054005",  # acute myocardial infarction
    "54329005",  # anterior myocardial infarction
    "164867002",  # old myocardial infarction
)

_PAIRS = {code: name for name in SCORED if "|" in name for code in name.split("|")}

_DX = re.compile(r"^#[ \t]*Dx[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)
_CODE = re.compile(r"\d{6,18}")
_PTBXL_RECORD = re.compile(r"HR(\d{5})")

#: Threads that read headers, a chunk at a time: on a network file system they mostly wait. (From
#: memory one thread is the fastest; four cost a quarter of that speed.)
_READERS = 4
_CHUNK = 256
#: Share of PTB-XL records whose sex may differ between header and table.
_MOST_DIFFERENCES = 0.02


@dataclass(frozen=True)
class HeaderNotes:
    """What a header says about patient and diagnosis.

    Attributes
    ----------
    labels
        SNOMED CT codes in the header's order, then the scored classes of two codes.
    person
        Sex and age.
    has_dx
        Whether there is a line of diagnoses.
    problem
        Why the line of diagnoses cannot be used.
    """

    labels: tuple[str, ...] = ()
    person: Person = Person()
    has_dx: bool = False
    problem: RecordError | None = None


def parse_notes(text: str, name: str) -> HeaderNotes:
    """Read the comment lines of a header.

    Parameters
    ----------
    text
        The whole header.
    name
        How to name it in errors.
    """
    person = person_of_header(text)
    found = _DX.search(text)
    if found is None:
        return HeaderNotes(person=person)
    codes = [code.strip() for code in found[1].split(",")]
    codes = [code for code in codes if code and code.casefold() != "unknown"]
    wrong = [code for code in codes if not _CODE.fullmatch(code)]
    if wrong:
        reason = f"{name}: Dx {wrong[0][:40]!r} is not a SNOMED CT code"
        return HeaderNotes(problem=RecordError("bad diagnosis", reason), has_dx=True)
    codes = list(dict.fromkeys(codes))
    pairs = dict.fromkeys(_PAIRS[code] for code in codes if code in _PAIRS)
    return HeaderNotes((*codes, *pairs), person, True)


def list_records(
    root: Path,
    *,
    sources: Sequence[str] = (),
    valid_fraction: float = 0.1,
    test_fraction: float = 0.1,
    split_seed: int = 0,
    ptbxl_table: Path | None = None,
) -> Listing:
    """List the records of the Challenge's training sets under *root*.

    The headers name no patient, so each record counts as a patient of its own and its split is
    drawn from its name. With PTB-XL's own table, that source's records get their patients, folds
    and splits from it: a model can then be evaluated on PTB-XL's test fold without having seen it.

    Parameters
    ----------
    root
        The whole download, its folder ``training``, or the folder of one source.
    sources
        Folders to take, such as ``("georgia", "ningbo")``; all when empty.
    valid_fraction, test_fraction
        Shares of validation and test.
    split_seed
        Seed of the split.
    ptbxl_table
        PTB-XL's ``ptbxl_database.csv``.

    Raises
    ------
    DatabaseError
        If there is no record, no header has a line of diagnoses, a source is absent, the
        fractions leave nothing to train on or the table is not that of these records.
    """
    if not (valid_fraction >= 0 and test_fraction >= 0 and valid_fraction + test_fraction < 1):
        raise DatabaseError(
            f"--valid-fraction {valid_fraction:g} and --test-fraction {test_fraction:g} must not "
            "be negative and must leave a part for training"
        )
    root = existing_folder(root)
    names, without_header = _find(root, sources)
    notes = _read_all(root, names)
    if not any(note.has_dx for note in notes):
        raise DatabaseError(
            f"{root}: none of {len(names):,} headers has a line of diagnoses (# Dx: ...), so this "
            "is not the Challenge's data; for other records use 'selfmis prepare wfdb-folder'"
        )
    left_out = Counter({"signal file without header": without_header} if without_header else {})
    patients = {} if ptbxl_table is None else _ptbxl_patients(ptbxl_table, names, notes)
    records = []
    for name, note in zip(names, notes, strict=True):
        record_id = name.rsplit("/", 1)[-1]
        patient, fold = record_id, None
        split = draw_split(record_id, valid_fraction, test_fraction, split_seed)
        if ptbxl_table is not None and _PTBXL_RECORD.fullmatch(record_id):
            if record_id not in patients:
                left_out["PTB-XL record that its table does not have"] += 1
                continue
            patient, fold = patients[record_id]
            split = split_of_fold(fold)
        records.append(
            ListedRecord(
                record_id, patient, name, split, note.labels, fold, note.problem, note.person
            )
        )
    codes = {label for note in notes for label in note.labels if "|" not in label}
    return Listing(
        database=NAME,
        root=root,
        records=records,
        total=len(records),
        label_sets={
            "snomed": tuple(sorted(codes, key=int)),
            "scored": SCORED,
            "infarction": INFARCTION,
        },
        left_out=left_out,
        notes=_remarks(names, ptbxl_table),
    )


def _find(root: Path, sources: Sequence[str]) -> tuple[list[str], int]:
    """Return the records' paths, and how many signal files have no header."""
    names: list[str] = []
    without_header = 0
    folders: set[str] = set()
    for path, subfolders, files in os.walk(root):
        subfolders.sort()
        folder = Path(path).relative_to(root)
        headers = {name[: -len(".hea")] for name in files if name.endswith(".hea")} - {""}
        signals = {name[: -len(".mat")] for name in files if name.endswith(".mat")}
        if not headers and not signals:
            continue
        belongs_to = {root.name, *folder.parts}
        folders |= {part for part in belongs_to if not re.fullmatch(r"g\d+|training", part)}
        if sources and belongs_to.isdisjoint(sources):
            continue
        names += [(folder / name).as_posix() for name in sorted(headers)]
        without_header += len(signals - headers)
    absent = sorted(set(sources) - folders)
    if absent:
        found = ", ".join(sorted(folders - {root.name})) or "none"
        raise DatabaseError(f"{root}: has no source {', '.join(absent)}; folders there: {found}")
    if not names:
        raise DatabaseError(f"{root}: no record in it (no file ends in .hea)")
    return names, without_header


def _read_all(root: Path, names: Sequence[str]) -> list[HeaderNotes]:
    chunks = [names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK)]
    notes: list[HeaderNotes] = []
    with (
        ThreadPoolExecutor(_READERS) as readers,
        tqdm(total=len(names), desc=f"{NAME}: headers", unit="", smoothing=0.05) as bar,
    ):
        for part in readers.map(lambda chunk: [_read(root, name) for name in chunk], chunks):
            notes += part
            bar.update(len(part))
    return notes


def _read(root: Path, name: str) -> HeaderNotes:
    try:
        with open(f"{root}/{name}.hea", "rb") as file:
            return parse_notes(file.read(LARGEST_HEADER).decode("latin-1"), name)
    except OSError as error:
        reason = f"{name}.hea: {error.strerror or error}"
        return HeaderNotes(problem=RecordError("unreadable file", reason))


def _ptbxl_patients(
    path: Path, names: Sequence[str], notes: Sequence[HeaderNotes]
) -> dict[str, tuple[str, int]]:
    """Return patient and fold of the PTB-XL records, after comparing sexes with the headers.

    The records are numbered as in PTB-XL. Should that not be so in somebody's copy, half of the
    sexes would differ.
    """
    table = read_columns(path, ("ecg_id", "patient_id", "sex", "strat_fold"))
    patients: dict[str, tuple[str, int]] = {}
    sexes: dict[str, str] = {}
    for ecg_id, patient, sex, fold in table.itertuples(index=False, name=None):
        try:
            record_id = f"HR{int(float(ecg_id)):05d}"
            patients[record_id] = (f"ptbxl-{int(float(patient))}", int(float(fold)))
            split_of_fold(patients[record_id][1])
            sexes[record_id] = SEXES.get(sex.removesuffix(".0"), "")
        except ValueError as error:
            raise DatabaseError(f"{path}, ecg_id {ecg_id}: {error}") from None
    compared = different = 0
    for name, note in zip(names, notes, strict=True):
        theirs = sexes.get(name.rsplit("/", 1)[-1])
        if theirs and note.person.sex:
            compared += 1
            different += theirs != note.person.sex
    if not compared:
        raise DatabaseError(f"{path}: lists no record that is here (HR00001 is ecg_id 1)")
    if different > _MOST_DIFFERENCES * compared:
        raise DatabaseError(
            f"{path}: the patient's sex differs in {different:,} of {compared:,} records from the "
            "headers', so this is not the table of these records"
        )
    return patients


def _remarks(names: Sequence[str], ptbxl_table: Path | None) -> tuple[str, ...]:
    remarks = []
    if ptbxl_table is None:
        remarks.append("no patients are known, so each record counts as a patient of its own")
        ptbxl = sum(_PTBXL_RECORD.fullmatch(name.rsplit("/", 1)[-1]) is not None for name in names)
        if ptbxl:
            remarks.append(
                f"{ptbxl:,} records are PTB-XL's and lie in every split; before evaluating on "
                "PTB-XL give its table with --ptbxl-table, or leave them out with --sources"
            )
    return tuple(remarks)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share, at least 0 and less than 1")
    return value


def _sources(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sources",
        type=_sources,
        default=(),
        metavar="NAMES",
        help="folders to take, such as georgia,ningbo (default: all)",
    )
    for split in ("valid", "test"):
        parser.add_argument(
            f"--{split}-fraction",
            type=_share,
            default=0.1,
            metavar="F",
            help=f"share of the records that goes to {split} (default: %(default)s)",
        )
    parser.add_argument(
        "--split-seed",
        type=int,
        default=0,
        metavar="S",
        help="seed of the split, which is drawn from a record's name (default: %(default)s)",
    )
    parser.add_argument(
        "--ptbxl-table",
        type=Path,
        metavar="FILE",
        help="PTB-XL's ptbxl_database.csv: its records then keep their patients and folds",
    )


def _listing(root: Path, options: argparse.Namespace) -> Listing:
    return list_records(
        root,
        sources=options.sources,
        valid_fraction=options.valid_fraction,
        test_fraction=options.test_fraction,
        split_seed=options.split_seed,
        ptbxl_table=options.ptbxl_table,
    )


DATABASE = Database(
    name=NAME,
    title="PhysioNet/CinC Challenge 2021: SNOMED CT codes; splits drawn from the records' names",
    add_arguments=_add_arguments,
    list_records=_listing,
)
