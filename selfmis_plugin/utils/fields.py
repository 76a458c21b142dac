"""Values of a description that somebody else wrote: JSON of a folder, the config in a checkpoint.

A value is taken as what it is to be, or refused by the name of its entry.
"""

from __future__ import annotations

import math
import numbers
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["FieldError", "Fields", "number", "shown", "text", "whole"]

_SHOWN = 200
#: Half a sign, of which JSON can hold one alone.
_SURROGATE = re.compile("[\ud800-\udfff]")


class FieldError(ValueError):
    """An entry is missing, or is not what it is to be; the message names it."""


def shown(value: object) -> str:
    """Return a value for a message: short, however large or deeply nested it is."""
    return reprlib.repr(value)[:_SHOWN]


def number(
    name: str, value: object, above: float = -math.inf, least: float = -math.inf,
    most: float = math.inf,
) -> float:  # fmt: skip
    """Return a finite number, larger than *above*, at least *least* and at most *most*.

    Raises
    ------
    FieldError
        If it is something else.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:  # a whole number of hundreds of digits
            found = math.inf
        if math.isfinite(found) and above < found and least <= found <= most:
            return found
    bounds = [
        f"{word} {bound:g}"
        for word, bound in (("above", above), ("at least", least), ("at most", most))
        if math.isfinite(bound)
    ]
    wanted = " ".join(["a finite number", " and ".join(bounds)]).strip()
    raise FieldError(f"{name} must be {wanted}, not {shown(value)}")


def whole(name: str, value: object, least: int = 0, most: int = 2**63 - 1) -> int:
    """Return a whole number between *least* and *most*; ``4.0`` is one.

    Raises
    ------
    FieldError
        If it is something else.
    """
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    # An infinity and NaN are equal to no whole number, and int() refuses them.
    if real and math.isfinite(_clipped(value)) and int(value) == value and least <= value <= most:  # type: ignore[call-overload, operator]
        return int(value)  # type: ignore[call-overload, no-any-return]
    bounds = f"of at least {least}"
    if most < 2**63 - 1:
        bounds += f" and at most {most}"
    raise FieldError(f"{name} must be a whole number {bounds}, not {shown(value)}")


def text(name: str, value: object) -> str:
    """Return a text that is not empty, and that can be written.

    Raises
    ------
    FieldError
        If it is something else.
    """
    if isinstance(value, str) and value and not _SURROGATE.search(value):
        return value
    raise FieldError(f"{name} must be a name, not {shown(value)}")


def _clipped(value: Any) -> float:
    """The number as a float; of too many digits, one that is finite all the same."""
    try:
        return float(value)
    except OverflowError:
        return 0.0


class Fields(Mapping[str, Any]):
    """Entries of a table, taken by what they are to be.

    Parameters
    ----------
    values
        The table.
    name
        What it is called itself, before the names of its entries in messages; empty for none.

    Raises
    ------
    FieldError
        If *values* is no table.

    Examples
    --------
    >>> Fields({"rate": 500, "points": {"AMI": {"logit": 0.5}}}).part("points").part("AMI")
    points.AMI: logit
    """

    def __init__(self, values: object, name: str = "") -> None:
        if not isinstance(values, Mapping):
            raise FieldError(f"{name or 'it'} must be a table of values, not {shown(values)}")
        self._values = values
        self._name = name

    def __repr__(self) -> str:
        return f"{self._name}: {', '.join(map(str, self))}"

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __getitem__(self, entry: str) -> Any:
        try:
            return self._values[entry]
        except KeyError:
            raise FieldError(f"{self.named(entry)} is missing") from None

    def __contains__(self, entry: object) -> bool:
        return entry in self._values

    def get(self, entry: str, default: Any = None) -> Any:
        """Return an entry; *default* where it is not there."""
        return self._values.get(entry, default)

    def named(self, entry: str) -> str:
        """Return what messages call an entry."""
        return f"{self._name}.{entry}" if self._name else str(entry)

    def part(self, entry: str) -> Fields:
        """Return a table in the table."""
        return Fields(self[entry], self.named(entry))

    def number(self, entry: str, **bounds: float) -> float:
        """Return a finite number; see :func:`number`."""
        return number(self.named(entry), self[entry], **bounds)

    def optional_number(self, entry: str, **bounds: float) -> float | None:
        """Return a finite number, or None where that is what stands there."""
        return None if self[entry] is None else self.number(entry, **bounds)

    def whole(self, entry: str, **bounds: int) -> int:
        """Return a whole number; see :func:`whole`."""
        return whole(self.named(entry), self[entry], **bounds)

    def text(self, entry: str) -> str:
        """Return a text that is not empty."""
        return text(self.named(entry), self[entry])

    def flag(self, entry: str, default: bool | None = None) -> bool:
        """Return true or false; *default*, unless None, where the entry is missing."""
        value = self[entry] if default is None else self.get(entry, default)
        if not isinstance(value, bool):
            raise FieldError(f"{self.named(entry)} must be true or false, not {shown(value)}")
        return value

    def items_of(self, entry: str) -> list[Any]:
        """Return the values of a list."""
        value = self[entry]
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise FieldError(f"{self.named(entry)} must be a list of values, not {shown(value)}")
        return list(value)

    def names(self, entry: str, most: int = 100_000) -> tuple[str, ...]:
        """Return a list of names, one at least and none twice."""
        found = self.items_of(entry)
        name = self.named(entry)
        if len(found) > most:
            raise FieldError(f"{name} lists {len(found):,} names, more than {most:,}")
        names = tuple(text(f"{name}[{place}]", value) for place, value in enumerate(found))
        if not names:
            raise FieldError(f"{name} must be a list of names, not {shown(found)}")
        if len(set(names)) != len(names):
            seen: set[str] = set()
            twice = next(one for one in names if one in seen or seen.add(one))  # type: ignore[func-returns-value]
            raise FieldError(f"{name} names {shown(twice)} twice")
        return names
