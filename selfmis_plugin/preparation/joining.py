"""One store of several: records of different databases that a training reads together."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.origin import NOT_RECORDED, Origin
from selfmis_plugin.data.splits import open_splits
from selfmis_plugin.data.store import SPLITS, Store, StoreError, StoreWriter
from selfmis_plugin.data.store.format import OPTIONAL_COLUMNS, StoreInfo
from selfmis_plugin.data.store.writer import refuse_its_own
from selfmis_plugin.data.store_parts import Part, may_share_people

__all__ = ["Joined", "join_stores"]

#: Records that are copied at once: 30 MB of twelve leads.
_CHUNK = 256
#: Columns that stay as they are, beside those of which a row may lack a value.
_PLAIN = ("source", "repaired")


@dataclass(frozen=True)
class Joined:
    """A store that was joined of several.

    Attributes
    ----------
    dest
        Its folder.
    parts
        What it holds.
    splits
        Records by split.
    label_sets
        Labels that all of them know, by set.
    left_out
        Labels that one of them knows and another does not, by set.
    """

    dest: Path
    parts: tuple[Part, ...]
    splits: Mapping[str, int]
    label_sets: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        splits = ", ".join(f"{split} {count:,}" for split, count in self.splits.items())
        lines = [f"{self.dest}: {sum(self.splits.values()):,} records ({splits})"]
        for part in self.parts:
            origins = "; ".join(map(str, part.origins or (Origin(NOT_RECORDED),)))
            named = f", names begin with {part.prefix!r}" if part.prefix else ""
            lines.append(f"  {part.records:,} of {part.database}, {origins}{named}")
        sets = ", ".join(f"{name} ({len(labels)})" for name, labels in self.label_sets.items())
        lines.append(f"  label sets: {sets or 'none that all of them have'}")
        for name, labels in self.left_out.items():
            shown = ", ".join(labels[:20]) + (", ..." if len(labels) > 20 else "")
            lines.append(f"  left out of {name}, as not all of them know it: {shown}")
        return "\n".join(lines)


@dataclass
class _Piece:
    """Records of one part of one of the stores, and what they are called in their database."""

    path: Path
    store: Store
    part: Part
    rows: npt.NDArray[np.int64]
    splits: Sequence[str]
    records: Sequence[str]
    patients: Sequence[str]
    splits_of: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for patient, split in zip(self.patients, self.splits, strict=True):
            self.splits_of.setdefault(patient, set()).add(split)


def join_stores(
    data: Sequence[str | os.PathLike[str]],
    dest: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> Joined:
    """Make one store of the records that several list.

    Records keep their split. Their names, and their patients', stay as they are where they are
    nobody else's; those of a database whose names would collide with an earlier one's get a number
    in front. Records of one database stay one database's, with the same patients. A label is known
    in the joined store if every one of them knows it, in a set of the same name: a record never
    counts as negative for what nobody looked for.

    Parameters
    ----------
    data
        Folders of stores, or of manifests of them, at least two.
    dest
        Folder of the store to make.
    overwrite
        Whether to replace a store at *dest*.

    Returns
    -------
    Joined
        What it holds.

    Raises
    ------
    StoreError
        If the signals differ in leads, rate, length or filter, a record is in several, a patient
        would be trained on and judged by, or *dest* is there already, or is one of them.
    """
    if len(data) < 2:
        raise StoreError("give two stores at least")
    pieces = [piece for path in data for piece in _pieces(Path(path))]
    refuse_its_own(Path(dest).absolute(), [piece.store.path for piece in pieces])
    _refuse_unlike(pieces)
    groups = _kin(pieces)
    for group in groups:
        _refuse_doubles(group)
    prefixes = _prefixes(groups)
    parts = tuple(
        Part(piece.part.database, len(piece.rows), piece.part.origins, prefixes[id(piece)])
        for piece in pieces
    )
    label_sets, left_out = _common_labels([piece.store for piece in pieces])
    info, counts = pieces[0].store.info, Counter[str]()
    with StoreWriter(
        dest,
        database="+".join(dict.fromkeys(part.database for part in parts)),
        label_sets=label_sets,
        sample_rate=info.sample_rate,
        seconds=info.seconds,
        # Of views the leads that they hold: the store is one of its own.
        leads=info.stored_leads,
        filter=info.filter,
        overwrite=overwrite,
        expected_records=sum(part.records for part in parts),
        origins=_origins(parts),
        parts=parts,
    ) as writer:
        known = {label for labels in label_sets.values() for label in labels}
        for piece, part in zip(pieces, parts, strict=True):
            for signal, row in _records(piece, part.prefix, known):
                writer.append(signal, row)
            counts.update(piece.splits)
    splits = {split: counts[split] for split in SPLITS if counts[split]}
    return Joined(writer.dest, parts, splits, label_sets, left_out)


def _pieces(path: Path) -> Iterator[_Piece]:
    """Yield the records that a folder lists, by the part of its store, in the store's order."""
    splits = open_splits(path)
    store = next(iter(splits.values())).store
    split_of: dict[int, str] = {}
    for name, split in splits.items():
        for row in split.rows.tolist():
            if split_of.setdefault(row, name) != name:
                record = store.records["record_id"].iloc[row]
                raise StoreError(
                    f"{path}: record {record} is in {split_of[row]}.tsv and {name}.tsv: leave it "
                    "in one of them"
                )
    rows = np.array(sorted(split_of), dtype=np.int64)
    records, patients = store.own_names("record_id"), store.own_names("patient_id")
    of = store.part_of_records[rows]
    for place, part in enumerate(store.info.whole_parts):
        mine = rows[of == place]
        if len(mine):
            names = [split_of[row] for row in mine.tolist()]
            yield _Piece(
                path, store, part, mine, names, records[mine].tolist(), patients[mine].tolist()
            )


def _refuse_unlike(pieces: Sequence[_Piece]) -> None:
    first = pieces[0]
    for piece in pieces[1:]:
        for name in ("stored_leads", "sample_rate", "seconds", "samples", "filter"):
            one, other = (getattr(p.store.info, name) for p in (first, piece))
            if one != other:
                raise StoreError(
                    f"{first.path} and {piece.path}: {name.replace('_', ' ')} {_shown(one)} and "
                    f"{_shown(other)}: prepare both alike"
                )


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return value if isinstance(value, str) else f"{value:g}"


def _kin(pieces: Sequence[_Piece]) -> list[list[_Piece]]:
    """Return pieces together whose people may be the same."""
    groups: list[list[_Piece]] = []
    for piece in pieces:
        kin = [g for g in groups if any(may_share_people(piece.part, one.part) for one in g)]
        merged = [*itertools.chain.from_iterable(kin), piece]
        if kin:
            groups[groups.index(kin[0])] = merged
            groups = [group for group in groups if group not in kin[1:]]
        else:
            groups.append(merged)
    return groups


def _refuse_doubles(group: Sequence[_Piece]) -> None:
    """Refuse a record that comes twice, and a patient whom two of them have in other splits."""
    for number, piece in enumerate(group):
        for before in group[:number]:
            both = set(before.records) & set(piece.records)
            if both:
                raise StoreError(
                    f"{before.path} and {piece.path}: record {min(both)} of "
                    f"{piece.part.database} is in both: leave it out of the manifests of one, or "
                    "prepare one of them with other names if they are different databases"
                )
            for patient, splits in piece.splits_of.items():
                elsewhere = before.splits_of.get(patient)
                if elsewhere is not None and len(elsewhere | splits) > 1:
                    raise StoreError(
                        f"{before.path} and {piece.path}: patient {patient} of "
                        f"{piece.part.database} is in {', '.join(sorted(elsewhere))} of the one "
                        f"and {', '.join(sorted(splits))} of the other: give manifests that keep "
                        "patients in one split"
                    )


def _prefixes(groups: Sequence[Sequence[_Piece]]) -> dict[int, str]:
    """Return by piece what to write before its names, nothing where they are nobody else's."""
    found: dict[int, str] = {}
    records: set[str] = set()
    patients: set[str] = set()
    for number, group in enumerate(groups, start=1):
        own_records = {name for piece in group for name in piece.records}
        own_patients = {name for piece in group for name in piece.patients}
        for dashes in itertools.count():
            prefix = f"{number}{'-' * dashes}" if dashes else ""
            named = {prefix + name for name in own_records}
            persons = {prefix + name for name in own_patients}
            if records.isdisjoint(named) and patients.isdisjoint(persons):
                break
        records |= named
        patients |= persons
        found |= {id(piece): prefix for piece in group}
    return found


def _common_labels(
    stores: Sequence[Store],
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Return by set the labels that all know, in the first one's order, and those that not all
    do."""
    sets = [store.info.label_sets for store in stores]
    common: dict[str, tuple[str, ...]] = {}
    left_out: dict[str, tuple[str, ...]] = {}
    for name in dict.fromkeys(itertools.chain.from_iterable(sets)):
        every = [one.get(name, ()) for one in sets]
        labels = dict.fromkeys(itertools.chain.from_iterable(every))
        shared = tuple(label for label in labels if all(label in one for one in every))
        if shared:
            common[name] = shared
        if rest := tuple(label for label in labels if label not in shared):
            left_out[name] = rest
    return common, left_out


def _origins(parts: Sequence[Part]) -> tuple[Origin, ...]:
    """Return every origin once, and that one is not recorded where another is."""
    if not any(part.origins for part in parts):
        return ()
    unknown = (Origin(NOT_RECORDED),)
    return tuple(dict.fromkeys(o for part in parts for o in part.origins or unknown))


def _records(
    piece: _Piece, prefix: str, known: Set[str]
) -> Iterator[tuple[npt.NDArray[np.int16], dict[str, Any]]]:
    """Yield signals and rows of the table."""
    table = piece.store.records
    for start in range(0, len(piece.rows), _CHUNK):
        chosen = slice(start, start + _CHUNK)
        rows = piece.rows[chosen]
        signals = piece.store.read(rows, piece.store.info.stored_leads)
        some = table.iloc[rows]
        columns = {name: some[name].tolist() for name in _PLAIN}
        columns["lead_mask"] = [_stored_mask(mask, piece.store.info) for mask in some["lead_mask"]]
        for name in OPTIONAL_COLUMNS:
            absent = some[name].isna().tolist()
            values = zip(some[name].tolist(), absent, strict=True)
            columns[name] = [None if lacks else value for value, lacks in values]
        columns["labels"] = [[one for one in labels if one in known] for labels in some["labels"]]
        columns["record_id"] = [prefix + name for name in piece.records[chosen]]
        columns["patient_id"] = [prefix + name for name in piece.patients[chosen]]
        columns["split"] = list(piece.splits[chosen])
        for place, signal in enumerate(signals):
            yield signal, {name: values[place] for name, values in columns.items()}


def _stored_mask(mask: int, info: StoreInfo) -> int:
    """Return which of the leads that a store holds are present."""
    places = [info.leads.index(lead) for lead in info.stored_leads]
    return sum((int(mask) >> place & 1) << k for k, place in enumerate(places))
