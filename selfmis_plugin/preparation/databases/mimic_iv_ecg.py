"""MIMIC-IV-ECG: 800,035 twelve-lead records of 10 s, without labels.

Gow et al. (2023), https://physionet.org/content/mimic-iv-ecg/1.0/
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.listing import (
    Database,
    DatabaseError,
    ListedRecord,
    Listing,
    existing_folder,
    read_columns,
)

if TYPE_CHECKING:
    import pandas as pd

NAME = "mimic-iv-ecg"
RECORDS_TABLE = "record_list.csv"
COLUMNS = ("subject_id", "study_id", "path")
#: The SelfMIS paper validates on the last records of the list.
VALID_RECORDS = 5000


def list_records(
    root: Path, valid_records: int = VALID_RECORDS, split_by_patient: bool = False
) -> Listing:
    """List the records of MIMIC-IV-ECG in the folder *root*.

    Parameters
    ----------
    root
        Folder that holds ``record_list.csv``.
    valid_records
        How many records at the end of the list are validation; the others are training.
    split_by_patient
        Leave out the training records of patients who also have validation records. The paper
        does not.

    Raises
    ------
    DatabaseError
        If the list is missing, wrong or too short.
    """
    import pandas as pd

    root = existing_folder(root)
    path = root / RECORDS_TABLE
    table = read_columns(path, COLUMNS)
    if not 0 <= valid_records < len(table):
        raise DatabaseError(
            f"{path}: has {len(table)} rows, so {valid_records} validation records leave none to "
            "train on; give fewer with --valid-records"
        )
    is_valid = np.arange(len(table)) >= len(table) - valid_records
    valid_patients = pd.unique(table.loc[is_valid, "subject_id"])
    on_both = table["subject_id"].isin(valid_patients).to_numpy() & ~is_valid
    patients = table.loc[on_both, "subject_id"].nunique()
    left_out: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    if split_by_patient:
        if on_both.any():
            left_out = {"train record of a patient in valid": int(on_both.sum())}
        table, is_valid = table[~on_both], is_valid[~on_both]
        if is_valid.all():
            raise DatabaseError(f"{path}: every patient has validation records; none is left")
    elif patients:
        notes = (
            f"{patients} patients have records in train ({int(on_both.sum())}) and in valid; "
            "--split-by-patient leaves them out of train",
        )
    return Listing(
        database=NAME,
        root=root,
        records=_listed(table, is_valid),
        total=len(table),
        left_out=left_out,
        notes=notes,
    )


def _listed(table: pd.DataFrame, is_valid: np.ndarray) -> Iterator[ListedRecord]:
    rows = table.itertuples(index=False, name=None)
    for (patient, study, path), valid in zip(rows, is_valid, strict=True):
        problem = None
        if not (patient and study and path):
            problem = RecordError(
                "bad table row",
                f"{RECORDS_TABLE}, study {study or '?'}: subject_id, study_id or path is empty",
            )
        yield ListedRecord(
            record_id=study,
            patient_id=patient,
            source=path or f"study {study or '?'}",
            split="valid" if valid else "train",
            problem=problem,
        )


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--valid-records",
        type=_count,
        default=VALID_RECORDS,
        metavar="N",
        help="the last N records of the list are validation (default: %(default)s)",
    )
    parser.add_argument(
        "--split-by-patient",
        action="store_true",
        help="leave out training records of patients who also have validation records",
    )


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of records")
    return int(text)


DATABASE = Database(
    name=NAME,
    title="MIMIC-IV-ECG: the last 5,000 records valid, the others train",
    add_arguments=_add_arguments,
    list_records=lambda root, options: list_records(
        root, options.valid_records, options.split_by_patient
    ),
)
