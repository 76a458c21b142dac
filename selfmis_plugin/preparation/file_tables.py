"""Tables about the files of a folder: what their labels are, whose they are, what they are called.

What a table says of a person is not shown: messages name rows and columns.
"""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfmis_plugin.data.labels import INFARCTION_TYPES, refuse_derived
from selfmis_plugin.data.person import SEXES, UNKNOWN_PERSON, Person, age_of, sex_of
from selfmis_plugin.data.split_names import SPLITS
from selfmis_plugin.preparation.listing import DatabaseError, read_columns

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Labelled", "LabelTable", "read_ids", "read_labels"]

_FILE, _PATIENT, _SPLIT, _LABELS, _ID = "file", "patient", "split", "labels", "id"
_SEX, _AGE = "sex", "age"
#: Columns of a table of labels that are no label.
_ABOUT = (_FILE, _PATIENT, _SPLIT, _SEX, _AGE)
#: What people call these columns.
_OTHERWISE = {
    **dict.fromkeys(("gender", "patient_sex"), _SEX),
    **dict.fromkeys(("subject", "person", "mrn"), _PATIENT),
    **dict.fromkeys(("filename", "path", "record"), _FILE),
    **dict.fromkeys(("fold", "subset", "strat_fold"), _SPLIT),
    "label": _LABELS,
}
_YES = frozenset({"1", "1.0", "true", "yes"})
_NO = frozenset({"0", "0.0", "false", "no", ""})


@dataclass(frozen=True)
class Labelled:
    """What a table says of one file.

    Attributes
    ----------
    labels
        Its statements.
    patient, split
        Whose it is, and where it belongs; "" where the table does not say.
    person
        Sex and age, as far as the table says; the file's own where it does not.
    row
        Line of the file that says it, the first being 1; 0 where none does.
    """

    labels: tuple[str, ...] = ()
    patient: str = ""
    split: str = ""
    person: Person = UNKNOWN_PERSON
    row: int = 0


@dataclass(frozen=True)
class LabelTable:
    """What a table says of the files of a folder.

    Attributes
    ----------
    said
        By file.
    labels
        All its labels, in order.
    notes
        What there is to note of it.
    """

    said: Mapping[str, Labelled]
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_labels(table: Path, paths: Sequence[str]) -> LabelTable:
    """Read a table of labels.

    Parameters
    ----------
    table
        CSV file with a column ``file``, and ``labels`` (apart by semicolons) or a column of 0 and
        1 for each label; perhaps also ``patient``, ``split``, ``sex`` and ``age``. Headings may
        be written in capitals.
    paths
        Files below the folder.

    Raises
    ------
    DatabaseError
        If it cannot be read, has a column that would not be used, or a label is written in two
        ways.
    """
    frame = _read(table, (*_ABOUT, _LABELS, _ID), "--labels")
    single = [str(name) for name in frame.columns if name not in (*_ABOUT, _LABELS, _ID)]
    listing = _LABELS in frame.columns
    if listing and single:
        raise DatabaseError(
            f"{table}: column {single[0]} would not be used beside the column {_LABELS}: "
            f"{_advice(single[0])}"
        )
    rows = _rows(table, frame, paths)
    found, listed = {}, dict[str, None]() if listing else dict.fromkeys(single)
    for path, row in rows.items():
        values = {str(name): value for name, value in frame.iloc[row].items()}
        if listing:
            parts = [part.strip() for part in str(values[_LABELS]).split(";")]
            labels = tuple(dict.fromkeys(part for part in parts if part))
            listed.update(dict.fromkeys(labels))
        else:
            labels = tuple(name for name in single if _is_set(table, row, name, values[name]))
        split = str(values.get(_SPLIT, "")).strip()
        if split and split not in SPLITS:
            raise DatabaseError(
                f"{table}: row {row + 2}: split must be one of {', '.join(SPLITS)} or empty"
            )
        patient = str(values.get(_PATIENT, "")).strip()
        found[path] = Labelled(labels, patient, split, _person(table, row, values), row + 2)
    order = tuple(sorted(listed)) if listing else tuple(listed)
    try:
        refuse_derived(order)
    except ValueError as error:
        raise DatabaseError(f"{table}: {error}") from error
    _refuse_two_spellings(table, order)
    absent = len(frame) - len(rows)
    notes = [f"{absent:,} rows of {table.name} name no file in the folder"] if absent else []
    counts = Counter(label for about in found.values() for label in about.labels)
    if order:
        listed_counts = ", ".join(f"{label} {counts[label]:,}" for label in order)
        notes.append(f"labels of {len(found):,} files: {listed_counts}")
    return LabelTable(found, order, tuple(notes))


def read_ids(
    table: Path, paths: Sequence[str], labels: Path | None = None
) -> dict[str, tuple[str, str]]:
    """Read id and patient ("" where it is not said) of each file.

    Parameters
    ----------
    table
        CSV file with the columns ``file`` and ``id`` and, perhaps, ``patient``.
    paths
        Files below the folder.
    labels
        The table of labels: where it is the same one, its other columns are no matter of this.

    Raises
    ------
    DatabaseError
        If it cannot be read, has no row for a file, or a column that would not be used.
    """
    frame = _read(table, (_FILE, _ID, _PATIENT), "--ids")
    others = [str(name) for name in frame.columns if name not in (_FILE, _ID, _PATIENT)]
    if others and (labels is None or labels.resolve() != table.resolve()):
        raise DatabaseError(
            f"{table}: column {others[0]} would not be used (known: {_FILE}, {_ID}, {_PATIENT}): "
            f"{_advice(others[0], (_FILE, _ID, _PATIENT))}"
        )
    if _ID not in frame.columns:
        raise DatabaseError(f"{table}: lacks the columns {_ID}; found {', '.join(frame.columns)}")
    rows = _rows(table, frame, paths)
    without = len(paths) - len(rows)
    if without:
        raise DatabaseError(f"{table}: has no row for {without:,} of {len(paths):,} files")
    found = {
        path: (
            str(frame[_ID].iloc[row]).strip(),
            str(frame[_PATIENT].iloc[row]).strip() if _PATIENT in frame.columns else "",
        )
        for path, row in rows.items()
    }
    for number, (name, _) in enumerate(found.values()):
        if not name:
            raise DatabaseError(f"{table}: row {list(rows.values())[number] + 2} has no id")
    return found


def _read(table: Path, known: Sequence[str], option: str) -> pd.DataFrame:
    """Return the whole table; headings that are known are written as they are here."""
    frame = read_columns(table, None, option=option)
    headings = {str(name): _heading(str(name), known) for name in frame.columns}
    for name, count in Counter(headings.values()).items():
        if count > 1:
            raise DatabaseError(f"{table}: {count} columns are called {name}: leave one")
    frame = frame.rename(columns=headings)
    if _FILE not in frame.columns:
        raise DatabaseError(
            f"{table}: lacks the columns {_FILE}; found {', '.join(map(str, frame.columns))}"
        )
    return frame


def _heading(name: str, known: Sequence[str]) -> str:
    plain = name.strip().casefold()
    return plain if plain in known else name.strip()


def _advice(name: str, known: Sequence[str] = (*_ABOUT, _LABELS)) -> str:
    """What to do with a column that is none of those that are known."""
    plain = name.casefold().replace(" ", "_")
    meant = _OTHERWISE.get(plain) or next(
        (one for one in known if plain.startswith(f"{one}_") or plain.endswith(f"_{one}")), None
    )
    near = [meant] if meant in known else difflib.get_close_matches(plain, known, n=1)
    return f"call it {near[0]}, or take it out" if near else "take it out"


def _refuse_two_spellings(table: Path, labels: Iterable[str]) -> None:
    """Refuse labels that differ by case alone, from each other or from a type of infarction, and
    those that hold others, apart by commas: records of one would be without the other."""
    labels = tuple(labels)
    spelled = {name.casefold(): name for name in INFARCTION_TYPES}
    for label in labels:
        other = spelled.setdefault(label.casefold(), label)
        if other != label:
            raise DatabaseError(
                f"{table}: the labels {label!r} and {other!r} differ by their letters' case alone: "
                f"write {other} everywhere"
            )
    for label in labels:
        parts = [part.strip() for part in label.split(",")]
        if len(parts) > 1 and any(part.casefold() in spelled for part in parts):
            raise DatabaseError(
                f"{table}: the label {label!r} holds others, apart by commas: put semicolons "
                "between labels"
            )


def _places(paths: Sequence[str]) -> dict[str, str]:
    """Files by what a table may call them: the path, or the name where only one has it."""
    counts = Counter(os.path.basename(path) for path in paths)
    names = {os.path.basename(path): path for path in paths}
    return {
        **{name: path for name, path in names.items() if counts[name] == 1},
        **{path: path for path in paths},
    }


def _rows(table: Path, frame: pd.DataFrame, paths: Sequence[str]) -> dict[str, int]:
    """The row of each file of the folder."""
    places, rows = _places(paths), dict[str, int]()
    for number, said in enumerate(frame[_FILE]):
        path = places.get(os.path.normpath(said.strip()).replace(os.sep, "/"))
        if path is None:
            continue
        if path in rows:
            raise DatabaseError(
                f"{table}: rows {rows[path] + 2} and {number + 2} are the same file: leave one out"
            )
        rows[path] = number
    return rows


def _is_set(table: Path, row: int, name: str, value: object) -> bool:
    text = str(value).strip().casefold()
    if text in _YES:
        return True
    if text in _NO:
        return False
    raise DatabaseError(
        f"{table}: row {row + 2}: column {name} is a label, and holds neither 1 nor 0; "
        f"{_advice(name)} (known besides labels: {', '.join(_ABOUT)})"
    )


def _person(table: Path, row: int, values: Mapping[str, Any]) -> Person:
    """Sex and age of a row, whose cells may be empty, or absent."""
    said = {name: str(values[name]).strip() if name in values else "" for name in (_SEX, _AGE)}
    person = Person(sex_of(said[_SEX]), age_of(said[_AGE]))
    # What stands there is not shown: it may be anything of a person.
    if said[_SEX] and person.sex is None:
        raise DatabaseError(
            f"{table}: row {row + 2}: sex must be one of {', '.join(SEXES)}, f, m or empty"
        )
    if said[_AGE] and person.age is None:
        raise DatabaseError(f"{table}: row {row + 2}: age must be years, 0 to 130, or empty")
    return person
