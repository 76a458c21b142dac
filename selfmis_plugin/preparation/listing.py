"""What a database tells about its records, before any signal is read."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.origin import Origin, found_origins
from selfmis_plugin.data.person import Person
from selfmis_plugin.data.recording import Reader, RecordError

if TYPE_CHECKING:
    import pandas as pd


class DatabaseError(ValueError):
    """A database's folder or tables are not what they should be; the message names the file."""


@dataclass(frozen=True)
class ListedRecord:
    """One record of a database.

    Attributes
    ----------
    record_id, patient_id
        Names of record and patient, the first unique in the database.
    source
        Path of the record relative to the database's root, without suffix.
    split
        train, valid or test.
    labels
        Every statement of the record.
    strat_fold
        Fold, for databases that come with folds.
    problem
        Why the record cannot be used, if the tables already show it.
    person
        Sex and age, as far as they are recorded.
    session
        Which of the patient's days it was recorded on, from 1, where that is known: the date
        itself would say more about the patient than anybody needs.
    """

    record_id: str
    patient_id: str
    source: str
    split: str
    labels: tuple[str, ...] = ()
    strat_fold: int | None = None
    problem: RecordError | None = None
    person: Person = Person()
    session: int | None = None


@dataclass(frozen=True)
class Listing:
    """The records of a database.

    Attributes
    ----------
    database
        Name of the database.
    root
        Folder that the records' sources are relative to.
    records
        The records, made as they are asked for.
    total
        How many there are.
    label_sets
        Names of label sets and their labels, in order.
    left_out
        How many records were left out on purpose, by reason.
    notes
        What else the summary should say.
    reader
        What reads a record, for a database whose channels have names of their own.
    input_files
        Names the files of a record by its path, where they are not those of a WFDB record.
    locate
        Says where a file is that *input_files* names, where the name must not tell.
    origins
        Where the records come from; None: what the root folder says of itself.
    """

    database: str
    root: Path
    records: Iterable[ListedRecord]
    total: int
    label_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reader: Reader | None = None
    input_files: Callable[[str], Iterable[str]] | None = None
    locate: Callable[[str], str] | None = None
    origins: tuple[Origin, ...] | None = None

    @property
    def known_origins(self) -> tuple[Origin, ...]:
        """Where the records come from; none where it is not recorded."""
        return found_origins(self.root) if self.origins is None else self.origins


@dataclass(frozen=True)
class Database:
    """A database that can be prepared.

    Attributes
    ----------
    name
        Name of the command and of the database in the store.
    title
        One line of help.
    add_arguments
        Adds the database's own options to a parser.
    list_records
        Turns root folder and parsed options into a listing; raises DatabaseError.
    leads
        Leads that a record must have unless the user says otherwise.
    draws_splits
        Whether ``--seed`` draws its splits, beside the fraction of ``--label-fraction``.
    """

    name: str
    title: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    list_records: Callable[[Path, argparse.Namespace], Listing]
    leads: tuple[str, ...] = STANDARD_LEADS
    draws_splits: bool = False


def existing_folder(root: Path) -> Path:
    """Return *root* as an absolute path.

    Raises
    ------
    DatabaseError
        If it is not a folder.
    """
    if not root.is_dir():
        raise DatabaseError(f"{root}: no such folder; give the folder that the database is in")
    return root.absolute()


def read_columns(
    path: Path,
    columns: Sequence[str] | None,
    optional: Sequence[str] = (),
    option: str | None = None,
) -> pd.DataFrame:
    """Read columns of a CSV file as text; an empty cell is an empty text.

    Parameters
    ----------
    path
        The file.
    columns
        Those that it must have; None: whatever it has, without what a spreadsheet leaves, columns
        that have neither heading nor value.
    optional
        Those that are columns of empty texts where the file lacks them.
    option
        The option of the command line that named the file; None: it is one of the database's.

    Raises
    ------
    DatabaseError
        If the file cannot be read or lacks a column; the message names those it has.
    """
    import pandas as pd

    try:
        found = [str(name) for name in pd.read_csv(path, nrows=0).columns]
        missing = [name for name in columns or () if name not in found]
        if missing:
            raise DatabaseError(
                f"{path}: lacks the columns {', '.join(missing)}; found {', '.join(found)}"
            )
        with warnings.catch_warnings():
            # Rows longer than the header: pandas would take other columns than the named ones.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    except FileNotFoundError:
        advice = (
            f"give the table with {option}" if option else "is this the database's root folder?"
        )
        raise DatabaseError(f"{path}: no such file; {advice}") from None
    except DatabaseError:
        raise
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        raise DatabaseError(f"{path}: cannot be read as CSV ({error})") from error
    if columns is None:
        columns = [
            name
            for name in table.columns
            if not (str(name).startswith("Unnamed: ") and (table[name] == "").all())
        ]
    return table.reindex(columns=[*columns, *optional], fill_value="")
