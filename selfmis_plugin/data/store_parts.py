"""Parts of a store that was joined of several: whose people are whose.

A name of a patient means somebody in one database alone, so every question about people of two
stores is asked part by part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from selfmis_plugin.data.origin import NOT_RECORDED, SYNTHETIC, Origin, origins_from
from selfmis_plugin.utils.fields import Fields

__all__ = ["Part", "may_share_people", "parts_from"]


@dataclass(frozen=True)
class Part:
    """Records of one database within a store, which follow each other there.

    Attributes
    ----------
    database
        Its name.
    records
        How many they are.
    origins
        Where they come from; none where it is not recorded.
    prefix
        What stands before its own names of records and patients.
    """

    database: str
    records: int
    origins: tuple[Origin, ...] = ()
    prefix: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "database": self.database,
            "records": self.records,
            "origins": [origin.to_dict() for origin in self.origins],
            "prefix": self.prefix,
        }


def parts_from(values: Iterable[Any]) -> tuple[Part, ...]:
    """Read what :meth:`Part.to_dict` wrote.

    Raises
    ------
    FieldError
        If it is something else.
    """
    return tuple(_part(Fields(value, f"parts[{place}]")) for place, value in enumerate(values))


def _part(fields: Fields) -> Part:
    return Part(
        fields.text("database"),
        fields.whole("records"),
        origins_from(fields.items_of("origins")),
        fields.text("prefix") if fields["prefix"] else "",
    )


def may_share_people(one: Part, other: Part) -> bool:
    """Whether a patient of one name in both is the same person, as far as anybody can tell.

    Synthetic hearts are nobody else's, and those of two cohorts have the same numbers and nothing
    else in common.
    """
    if one.database != other.database:
        return False
    unknown = (Origin(NOT_RECORDED),)
    return any(
        mine == theirs or SYNTHETIC not in (mine.kind, theirs.kind)
        for mine in one.origins or unknown
        for theirs in other.origins or unknown
    )
