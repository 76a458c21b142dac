"""Sex and age of whom a record is of, as databases write them, and groups of these."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = [
    "GROUPINGS", "OLDEST", "SEXES", "UNKNOWN", "UNKNOWN_PERSON", "Person", "age_of",
    "person_of_header", "sex_of",
]  # fmt: skip

FEMALE, MALE, UNKNOWN = "female", "male", "not recorded"
SEXES = (FEMALE, MALE)

#: The age that a store gives to everybody older: databases hide ages above 89, PTB-XL as 300.
OLDEST = 90.0
_HIDDEN = 300.0
_OLDEST_TAKEN = 130

_SEXES = {"f": FEMALE, "female": FEMALE, "m": MALE, "male": MALE}
#: ``# Age: 56`` of PhysioNet's headers, ``#<age>: 56`` of LUDB's.
_COMMENT = re.compile(r"^#[ \t]*<?(age|sex)>?[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Person:
    """Whom a record is of.

    Attributes
    ----------
    sex
        ``female`` or ``male``; None where it is not recorded.
    age
        Years at the recording, 90 for everybody older; None where it is not recorded.

    Raises
    ------
    ValueError
        If it is another word, or no age of a person: it would be taken for nobody's.

    Examples
    --------
    >>> Person("female", 63).is_known
    True
    """

    sex: str | None = None
    age: float | None = None

    def __post_init__(self) -> None:
        if self.sex not in (None, FEMALE, MALE):
            raise ValueError(f"sex {self.sex!r} is not one of {FEMALE!r}, {MALE!r} and None")
        if self.age is not None and not 0 <= self.age <= _OLDEST_TAKEN:
            raise ValueError(f"age {self.age!r} is not a number of years, 0 to {_OLDEST_TAKEN}")
        if self.age is not None:
            object.__setattr__(self, "age", min(self.age, OLDEST))

    @property
    def is_known(self) -> bool:
        """Whether both are."""
        return self.sex is not None and self.age is not None

    def or_else(self, other: Person) -> Person:
        """Return this person, of whom what is not recorded is as *other* has it."""
        return Person(
            other.sex if self.sex is None else self.sex,
            other.age if self.age is None else self.age,
        )

    @property
    def sign(self) -> float:
        """1 for men, -1 for women, NaN where the sex is not known."""
        return {MALE: 1.0, FEMALE: -1.0}.get(self.sex or "", math.nan)


#: Nobody in particular.
UNKNOWN_PERSON = Person()


def sex_of(text: str) -> str | None:
    """Return the sex that a word or letter names; None for anything else."""
    return _SEXES.get(text.strip().casefold())


def age_of(text: str) -> float | None:
    """Return years; None for what is no age of a person."""
    try:
        years = float(text)
    except ValueError:
        return None
    if years == _HIDDEN:
        return OLDEST
    return min(years, OLDEST) if math.isfinite(years) and 0 <= years <= _OLDEST_TAKEN else None


def person_of_header(text: str) -> Person:
    """Return what the comments of a WFDB header say; the first of each counts."""
    found: dict[str, str] = {}
    for name, value in _COMMENT.findall(text):
        found.setdefault(name.casefold(), value)
    return Person(sex_of(found.get("sex", "")), age_of(found.get("age", "")))


def _sex_group(sex: object) -> str:
    return sex if isinstance(sex, str) else UNKNOWN


#: Upper ends of the groups, not in them: those of public health tables (National Center for Health
#: Statistics, Health, United States), children apart.
_AGES = ((18, "under 18"), (45, "18 to 44"), (65, "45 to 64"), (75, "65 to 74"))
_OLDER = "75 and older"


def _age_group(age: float) -> str:
    if math.isnan(age):
        return UNKNOWN
    return next((name for end, name in _AGES if age < end), _OLDER)


#: What records can be grouped by: groups in their order, and the group of a value of the column of
#: that name in the table of records.
GROUPINGS: Mapping[str, tuple[tuple[str, ...], Callable[..., str]]] = {
    "sex": ((FEMALE, MALE, UNKNOWN), _sex_group),
    "age": ((*(name for _, name in _AGES), _OLDER, UNKNOWN), _age_group),
}
