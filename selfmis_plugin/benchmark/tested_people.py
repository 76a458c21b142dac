"""Whether people of the test records were in trainings of the rows that they judge.

A benchmark keeps them apart in what it trains itself. What the user brings, such as a file in the
place of a pre-training, may have been trained on anybody: its provenance is asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selfmis_plugin.benchmark.folder import read_json
from selfmis_plugin.benchmark.folds_rows import judged
from selfmis_plugin.benchmark.given_files import option_of
from selfmis_plugin.benchmark.settings import (
    Cell,
    InfarctionError,
    Settings,
    cell_file,
    further_keys,
    given_file,
)
from selfmis_plugin.benchmark.sources import stages_of, with_sources
from selfmis_plugin.checkpoints.facts import read_facts
from selfmis_plugin.data.provenance import Provenance
from selfmis_plugin.data.same_people import rows_alike
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.data.trained_people import SeenInTraining, told_of_training
from selfmis_plugin.methods.method import LABELLED

__all__ = [
    "MAY_HAVE_SEEN", "SEEN", "never_saw", "refuse_shared_patients", "seen_of", "seen_rows",
    "seen_words", "unsure_words",
]  # fmt: skip

#: What the file of a cell, and the report of a row, say of the tested people.
SEEN, MAY_HAVE_SEEN = "seen_in_training", "may_have_seen"


def refuse_shared_patients(data: Path) -> None:
    """Refuse labelled records of which a patient is both trained on, or chosen by, and tested on.

    Parameters
    ----------
    data
        Folder of a store, or of manifests, with the splits train, valid and test.

    Raises
    ------
    InfarctionError
        If there is such a patient.
    StoreError
        If the data cannot be read.
    """
    test = open_split(data, "test")
    for split in ("train", "valid"):
        part = open_split(data, split)
        alike = rows_alike(part.store, test.store, test.rows, "patient_id")
        names = part.store.own_names("patient_id")[np.intersect1d(alike, part.rows)]
        shared = sorted({name for name in names.tolist() if name})
        if shared:
            others = f" ({len(shared):,} patients are)" if len(shared) > 1 else ""
            raise InfarctionError(
                f"{data}: patient {shared[0]} is in {split}.tsv and in test.tsv{others}, so a "
                "model would be tested on somebody it was trained on: list all records of a "
                "patient in one split, or have them dealt by patient with --folds"
            )


def seen_of(provenance: Provenance, part: Split) -> dict[str, Any] | None:
    """Return what trainings say of the people of test records, JSON-ready.

    Returns
    -------
    dict
        A :class:`~selfmis_plugin.data.trained_people.SeenInTraining`: how many were ``seen``, of
        how many ``patients``; 0 too. None where a training of an unknown file kept no people.
    """
    told = told_of_training(provenance, part)
    return None if told is None else told.to_dict()


def seen_rows(
    rows: Iterable[Mapping[str, Any]], parts: Sequence[tuple[Settings, Sequence[Cell]]]
) -> list[dict[str, Any]]:
    """Return of each row what is known of the tested people, JSON-ready.

    Parameters
    ----------
    rows
        With ``method``, ``mode``, ``fraction`` and ``seeds``, of which all cells are finished.
    parts
        Settings and cells of each rotation, or of the whole benchmark.

    Returns
    -------
    list of dict
        ``seen_in_training``, all rotations of a seed together, of the seed that saw most: None
        where a cell does not say it and no other saw anybody. ``may_have_seen``: what the user
        brought of which it is not known that nobody of them was in its training.
    """
    tested = [open_split(settings.data[LABELLED], "test") for settings, _ in parts]
    told: dict[tuple[Path, int], SeenInTraining | None] = {}
    found = []
    for row in rows:
        key = (row["method"], row["mode"], row["fraction"])
        of_seeds: list[SeenInTraining | None] = []
        unsure: dict[str, None] = {}
        for seed in row["seeds"]:
            said: list[SeenInTraining | None] = []
            for number, (settings, cells) in enumerate(parts):
                for cell in cells:
                    if (cell.method.name, cell.mode, cell.fraction) != key or cell.seed != seed:
                        continue
                    value = read_json(cell_file(settings, cell)).get(SEEN)
                    one = None if value is None else SeenInTraining.from_dict(value)
                    if one is None or not _is_sure(one):
                        for name, file in _brought(settings, cell):
                            of_file = None if file is None else _told(file, number, tested, told)
                            if of_file is None or not _is_sure(of_file):
                                unsure[name] = None
                            # A cell of a version that did not ask.
                            if one is None and of_file is not None and of_file.seen:
                                one = of_file
                    said.append(one)
            of_seeds.append(_joined(said))
        most = max((one for one in of_seeds if one is not None), key=_seen, default=None)
        if most is not None and not most.seen and None in of_seeds:
            most = None
        found.append({SEEN: None if most is None else most.to_dict(), MAY_HAVE_SEEN: list(unsure)})
    return found


def never_saw(row: Mapping[str, Any]) -> bool:
    """Whether nothing that a row started from is known to have, or may have, read a tested
    person's records; *row* has what :func:`seen_rows` returned."""
    seen = row[SEEN]
    return not (seen and seen["seen"]) and not row[MAY_HAVE_SEEN]


def seen_words(
    rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return the names of rows whose models were trained on tested people, and the warning of
    ``selfmis evaluate`` about them; rows of which the same is said are together.

    Parameters
    ----------
    rows
        With ``method``, ``mode``, ``fraction``, ``seeds`` and what :func:`seen_rows` returned.
    titles
        What methods are called, by their names.
    """
    said: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row[SEEN] and row[SEEN]["seen"]:
            said.setdefault(str(SeenInTraining.from_dict(row[SEEN])), []).append(row)
    return _named(said, rows, titles)


def unsure_words(
    rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return the names of rows of which nobody can tell, and why; as :func:`seen_words`."""
    said: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row[MAY_HAVE_SEEN] and not (row[SEEN] and row[SEEN]["seen"]):
            words = (
                "it is not known whether patients of these records were in the training of "
                f"{', '.join(row[MAY_HAVE_SEEN])}"
            )
            said.setdefault(words, []).append(row)
    return _named(said, rows, titles)


def _named(
    said: Mapping[str, Sequence[Mapping[str, Any]]],
    rows: Sequence[Mapping[str, Any]],
    titles: Mapping[str, str],
) -> list[tuple[str, str]]:
    return [
        ("; ".join(f"{titles[row['method']]}, {judged(row, rows)}" for row in of), words)
        for words, of in said.items()
    ]


def _brought(settings: Settings, cell: Cell) -> Iterator[tuple[str, Path | None]]:
    """Yield what the user brings into the trainings of a cell: the name of a file in the place of a
    pre-training, and the file; or a config key that names what lies somewhere."""
    whole = with_sources(settings, [cell])
    stages = {stage.name: stage for one in whole for stage in stages_of(settings, one)}
    keys: dict[str, object] = {}
    for one in whole:
        classifier = one.method.modes[one.mode]
        keys |= classifier.overrides
        keys |= further_keys(settings, one.mode, f"{one.method.name}/{one.mode}")
    for stage in stages.values():
        file = given_file(settings, stage)
        if file is not None:
            yield f"{option_of(stage)} {file.name}", file
        else:
            keys |= {**stage.overrides, **further_keys(settings, stage.name)}
    for key, value in keys.items():
        if isinstance(value, str | Path) and os.path.exists(value):
            yield f"{key}={Path(value).name}", None


def _told(
    file: Path,
    number: int,
    tested: Sequence[Split],
    told: dict[tuple[Path, int], SeenInTraining | None],
) -> SeenInTraining | None:
    """Return what a file says of a rotation's tested people, asked once."""
    if (file, number) not in told:
        told[file, number] = told_of_training(read_facts(file).provenance, tested[number])
    return told[file, number]


def _is_sure(told: SeenInTraining) -> bool:
    """Whether nobody was seen for certain."""
    return not told.seen and 0 < told.patients == told.compared


def _joined(parts: Sequence[SeenInTraining | None]) -> SeenInTraining | None:
    """Put rotations together, which test other people each; None where one does not say it and no
    other saw anybody."""
    known = [part for part in parts if part is not None]
    seen = sum(part.seen for part in known)
    if not known or (not seen and None in parts):
        return None
    return SeenInTraining(
        seen,
        sum(part.compared for part in known),
        sum(part.patients for part in known),
        sum(part.records for part in known),
        tuple(dict.fromkeys(step for part in known for step in part.steps)),
        ", ".join(dict.fromkeys(part.database for part in known if part.database)),
    )


def _seen(told: SeenInTraining) -> int:
    return told.seen
