"""What became of a database's records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfmis_plugin.data.origin import Origin, origins_from
from selfmis_plugin.data.store.format import REFUSED_FILE, SPLITS

#: What to say where a store was made from the same before.
NOTHING_WRITTEN = "the same command has made it from the same records, so nothing was written"

_OF_A_RUN = frozenset({"dest", "done_before"})

#: Refused records that a summary shows.
SHOWN = 5


@dataclass
class Summary:
    """What became of a database's records.

    Attributes
    ----------
    database, dest
        Name of the database and folder of the store.
    read, stored
        Number of records looked at and in the store.
    splits
        Number of records by split.
    repaired_records
        Number of records in which something was repaired.
    repaired, refused, left_out
        Number of records by what was repaired, why they were refused, why they were left out.
    examples
        Source and reason of the first refused records.
    notes
        What else the database has to say.
    origins
        Where the records come from; none where it is not recorded.
    done_before
        Whether the store was there already, made from the same by the same command.
    """

    database: str
    dest: Path
    read: int = 0
    stored: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    repaired_records: int = 0
    repaired: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, str]] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    done_before: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return what is kept with the store, JSON-ready."""
        values = {name: value for name, value in vars(self).items() if name not in _OF_A_RUN}
        return {**values, "origins": [origin.to_dict() for origin in self.origins]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], dest: Path) -> Summary:
        """Return the summary of a store that was there already.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the values are not those of :meth:`to_dict`.
        """
        counters = ("splits", "repaired", "refused", "left_out")
        return cls(
            database=str(values["database"]),
            dest=dest,
            read=int(values["read"]),
            stored=int(values["stored"]),
            repaired_records=int(values["repaired_records"]),
            examples=[(source, reason) for source, reason in values["examples"]],
            notes=tuple(values["notes"]),
            origins=origins_from(values["origins"]),
            done_before=True,
            **{name: Counter(values[name]) for name in counters},
        )

    def __str__(self) -> str:
        splits = ", ".join(f"{split} {self.splits[split]:,}" for split in SPLITS)
        lines = [f"{self.dest}: is done; {NOTHING_WRITTEN}"] if self.done_before else []
        lines += [
            f"{self.database}: {self.read:,} records read, {self.stored:,} stored in {self.dest}",
            f"  splits: {splits}",
            f"  origin: {origins_text(self.origins)}",
            f"  repaired: {self.repaired_records:,}{counts(self.repaired)}",
            f"  refused: {self.refused.total():,}{counts(self.refused)}",
        ]
        lines += [f"    {source}: {reason}" for source, reason in self.examples]
        if self.refused.total() > len(self.examples):
            lines.append(f"    ... all of them in {self.dest / REFUSED_FILE}")
        if self.left_out:
            lines.append(f"  left out: {self.left_out.total():,}{counts(self.left_out)}")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def origins_text(origins: tuple[Origin, ...]) -> str:
    """Return where records come from, in words."""
    return "; ".join(map(str, origins)) or "not recorded (--origin TEXT states it)"


def counts(counter: Counter[str]) -> str:
    """Return counts by kind in brackets, the largest first; empty if there are none."""
    parts = ", ".join(f"{kind} {count:,}" for kind, count in counter.most_common())
    return f" ({parts})" if parts else ""
