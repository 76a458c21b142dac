"""PTB-XL: 21,799 twelve-lead records of 10 s with SCP-ECG statements.

Wagner et al., Scientific Data 7, 154 (2020); https://physionet.org/content/ptb-xl/
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.person import Person, age_of
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

NAME = "ptbxl"
RECORDS_TABLE = "ptbxl_database.csv"
STATEMENTS_TABLE = "scp_statements.csv"
COLUMNS = (
    "ecg_id", "patient_id", "scp_codes", "strat_fold", "filename_lr", "filename_hr"
)  # fmt: skip
#: Not needed to prepare a record.
PERSON_COLUMNS = ("sex", "age")
#: How the table writes sexes.
SEXES = {"0": "male", "1": "female"}
#: Which column names the files of which rate.
FILE_COLUMNS = {500: "filename_hr", 100: "filename_lr"}


def split_of_fold(fold: int) -> str:
    """Return the split of a fold: 1 to 8 train, 9 valid, 10 test.

    Raises
    ------
    ValueError
        If there is no such fold.
    """
    if not 1 <= fold <= 10:
        raise ValueError(f"fold {fold} is not one of 1 to 10")
    return {9: "valid", 10: "test"}.get(fold, "train")


def read_statements(path: Path) -> dict[str, tuple[str, ...]]:
    """Read ``scp_statements.csv`` and return the label sets, in the table's order.

    Returns
    -------
    dict
        "diagnostic": statements with diagnostic == 1; "infarction": the nine types of infarction;
        "all": every statement.

    Raises
    ------
    DatabaseError
        If the table cannot be read, lacks a column or has no diagnostic statement.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, index_col=0)
    except FileNotFoundError:
        raise DatabaseError(f"{path}: no such file; is this the database's root folder?") from None
    except (OSError, ValueError) as error:
        raise DatabaseError(f"{path}: cannot be read as CSV ({error})") from error
    if "diagnostic" not in table.columns:
        found = ", ".join(map(str, table.columns))
        raise DatabaseError(f"{path}: lacks the column diagnostic; found {found}")
    statements = tuple(str(name) for name in table.index)
    is_diagnostic = pd.to_numeric(table["diagnostic"], errors="coerce") == 1
    diagnostic = tuple(str(name) for name in table.index[is_diagnostic])
    if not diagnostic:
        raise DatabaseError(f"{path}: no statement has diagnostic == 1")
    return {"diagnostic": diagnostic, "infarction": INFARCTION_TYPES, "all": statements}


def parse_codes(text: str) -> tuple[str, ...]:
    """Return the statements in a cell of the column scp_codes, whatever their likelihood.

    Raises
    ------
    ValueError
        If the text is not a Python dictionary of statements.
    """
    try:
        codes = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        codes = None
    if not isinstance(codes, dict) or not all(isinstance(code, str) for code in codes):
        raise ValueError(f"scp_codes {text[:60]!r} is not a dictionary of statements")
    return tuple(codes)


def list_records(root: Path, source_rate: int = 500) -> Listing:
    """List the records of PTB-XL in the folder *root* that have a diagnostic statement.

    Parameters
    ----------
    root
        Folder of the database.
    source_rate
        Which of the database's two copies of the signals to read, in hertz: 500 or 100.

    Raises
    ------
    DatabaseError
        If a table is missing or wrong, or only the signals of the other rate are there.
    """
    root = existing_folder(root)
    label_sets = read_statements(root / STATEMENTS_TABLE)
    table = read_columns(root / RECORDS_TABLE, COLUMNS, PERSON_COLUMNS)
    _check_signals(root, table, source_rate)
    diagnostic = set(label_sets["diagnostic"])
    column = FILE_COLUMNS[source_rate]
    rows = table[[*COLUMNS[:4], column, *PERSON_COLUMNS]].itertuples(index=False, name=None)
    records = [_listed(column, *row) for row in rows]
    wanted = [r for r in records if r.problem or not diagnostic.isdisjoint(r.labels)]
    left_out = len(records) - len(wanted)
    return Listing(
        database=NAME,
        root=root,
        records=wanted,
        total=len(wanted),
        label_sets=label_sets,
        left_out={"no diagnostic statement": left_out} if left_out else {},
    )


def _listed(
    column: str,
    ecg_id: str,
    patient_id: str,
    codes: str,
    fold: str,
    file: str,
    sex: str,
    age: str,
) -> ListedRecord:
    problem = None
    record_id, patient, strat_fold, split = ecg_id, patient_id, None, "train"
    labels: tuple[str, ...] = ()
    try:
        record_id = f"{_whole('ecg_id', ecg_id):05d}"
        patient = str(_whole("patient_id", patient_id))
        strat_fold = _whole("strat_fold", fold)
        split = split_of_fold(strat_fold)
        labels = parse_codes(codes)
        if not file:
            raise ValueError(f"{column} is empty")
    except ValueError as error:
        problem = RecordError("bad table row", f"{RECORDS_TABLE}, ecg_id {ecg_id}: {error}")
    source = file or f"ecg_id {ecg_id}"
    person = Person(SEXES.get(sex.removesuffix(".0")), age_of(age))
    return ListedRecord(record_id, patient, source, split, labels, strat_fold, problem, person)


def _whole(column: str, text: str) -> int:
    # The table writes patients as 15709.0.
    try:
        value = float(text)
        if value != int(value) or value < 0:
            raise ValueError
    except (ValueError, OverflowError):
        raise ValueError(f"{column} {text!r} is not a whole number") from None
    return int(value)


def _check_signals(root: Path, table: pd.DataFrame, rate: int) -> None:
    if not len(table):
        raise DatabaseError(f"{root / RECORDS_TABLE}: has no rows")
    other = next(one for one in FILE_COLUMNS if one != rate)
    wanted, found = table[FILE_COLUMNS[rate]], table[FILE_COLUMNS[other]]
    # Absent one by one they are refused; absent altogether it is another download.
    if _any_there(root, wanted) or not _any_there(root, found):
        return
    raise DatabaseError(
        f"{root}: has only the {other} Hz signals ({found.iloc[0]}); download the {rate} Hz ones "
        f"too ({wanted.iloc[0]}), or prepare these with --source-rate {other}"
    )


def _any_there(root: Path, names: pd.Series) -> bool:
    headers: Iterator[Path] = (root / f"{name}.hea" for name in names if name)
    return any(header.is_file() for header in headers)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source-rate",
        type=int,
        choices=tuple(FILE_COLUMNS),
        default=500,
        help="which copy of the signals to read, in Hz; those of 100 are resampled to the store's "
        "500, and task.sample_rate=100 trains on them as they were (default: %(default)s)",
    )


DATABASE = Database(
    name=NAME,
    title="PTB-XL: folds 1-8 train, 9 valid, 10 test; 44 diagnostic statements",
    add_arguments=_add_arguments,
    list_records=lambda root, options: list_records(root, options.source_rate),
)
