"""On which records a model was trained, step by step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from selfmis_plugin.data.digests import DigestsError, unpacked
from selfmis_plugin.data.origin import NOT_RECORDED, STATED, SYNTHETIC, Origin, origins_from
from selfmis_plugin.data.store_parts import Part, parts_from
from selfmis_plugin.utils.fields import FieldError, Fields

__all__ = ["Provenance", "TrainedOn", "headline", "provenance_from", "provenance_lines"]


@dataclass(frozen=True)
class TrainedOn:
    """One training's records.

    Attributes
    ----------
    step
        What was trained: the registered name of the model, or the file that its weights came in.
    database
        Name of the store's database; empty where it is not known.
    records
        Number of training records; 0 where it is not known.
    origins
        Where they come from; none where it is not recorded.
    parts
        Of a store that was joined of several, which records were read of each; none of others.
    people
        Digests of whose records they are, see :mod:`selfmis_plugin.data.trained_people`; empty
        where a training of an older version kept none.
    """

    step: str
    database: str = ""
    records: int = 0
    origins: tuple[Origin, ...] = ()
    parts: tuple[Part, ...] = ()
    people: str = field(default="", repr=False)

    def __str__(self) -> str:
        records = f"{self.records:,} records of {self.database}, " if self.records else ""
        return f"{self.step}: {records}{'; '.join(map(str, self.known_origins))}"

    @property
    def known_origins(self) -> tuple[Origin, ...]:
        """The origins, at least one."""
        return self.origins or (Origin(NOT_RECORDED),)

    @property
    def whole_parts(self) -> tuple[Part, ...]:
        """The parts, at least one."""
        return self.parts or (Part(self.database, self.records, self.origins),)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it, for who reads a report: without the digests of its people."""
        values: dict[str, Any] = {
            "step": self.step,
            "database": self.database,
            "records": self.records,
            "origins": [origin.to_dict() for origin in self.origins],
        }
        if self.parts:
            values["parts"] = [part.to_dict() for part in self.parts]
        return values

    def to_state(self) -> dict[str, Any]:
        """As a file of weights keeps it."""
        return {**self.to_dict(), **({"people": self.people} if self.people else {})}


#: Every training that went into a model, the first first.
Provenance = tuple[TrainedOn, ...]


def provenance_from(values: Iterable[Any]) -> Provenance:
    """Read dictionaries of :meth:`TrainedOn.to_state`, or of :meth:`TrainedOn.to_dict`.

    Raises
    ------
    FieldError
        If they are something else.
    """
    return tuple(
        _trained_on(Fields(value, f"provenance[{place}]")) for place, value in enumerate(values)
    )


def _trained_on(fields: Fields) -> TrainedOn:
    return TrainedOn(
        fields.text("step"),
        fields.text("database") if fields["database"] else "",
        fields.whole("records"),
        origins_from(fields.items_of("origins")),
        parts_from(fields.items_of("parts")) if "parts" in fields else (),
        _people(fields) if "people" in fields else "",
    )


def _people(fields: Fields) -> str:
    text = fields.text("people")
    try:
        unpacked(text)
    except DigestsError as error:
        raise FieldError(f"{fields.named('people')} {error}") from error
    return text


def headline(provenance: Provenance, short: bool = False) -> str:
    """Return one sentence that says on what a model was trained; *short*: of what kind that is."""
    sentence = _headline(provenance)
    kind, colon, _ = sentence.partition(": ")
    return f"{kind}." if short and colon else sentence


def _headline(provenance: Provenance) -> str:
    origins = tuple(dict.fromkeys(o for step in provenance for o in step.known_origins))
    kinds = {origin.kind for origin in origins} or {NOT_RECORDED}
    if kinds == {NOT_RECORDED}:
        return "Trained on records whose origin is not recorded."
    texts = "; ".join(origin.text for origin in origins)
    if kinds == {SYNTHETIC}:
        return f"Trained on synthetic records: {texts}."
    if kinds == {STATED}:
        return f"Trained on records of stated origin: {texts}."
    return f"Trained on a mixture: {'; '.join(map(str, origins))}."


def provenance_lines(provenance: Provenance) -> list[str]:
    """Return what each training was trained on, a line each."""
    return [str(step) for step in provenance] or ["origin not recorded"]
