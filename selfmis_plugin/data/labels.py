"""The infarction types that methods are compared on."""

from __future__ import annotations

from collections.abc import Iterable

#: The nine myocardial infarction statements of PTB-XL (SelfMIS paper, table 6).
INFARCTION_TYPES: tuple[str, ...] = (
    "ALMI", "AMI", "ASMI", "ILMI", "IMI", "IPLMI", "IPMI", "LMI", "PMI",
)  # fmt: skip

#: What a record with one of them or more has.
ANY_INFARCTION = "any infarction"

#: What they are called in words.
INFARCTION_NAMES: dict[str, str] = {
    "ALMI": "anterolateral infarction",
    "AMI": "anterior infarction",
    "ASMI": "anteroseptal infarction",
    "ILMI": "inferolateral infarction",
    "IMI": "inferior infarction",
    "IPLMI": "inferoposterolateral infarction",
    "IPMI": "inferoposterior infarction",
    "LMI": "lateral infarction",
    "PMI": "posterior infarction",
}


def infarctions_first(labels: Iterable[str]) -> list[str]:
    """Return labels with any infarction and its types before all others, which keep their order."""
    given = list(labels)
    types = [label for label in (ANY_INFARCTION, *INFARCTION_TYPES) if label in given]
    return [*types, *(label for label in given if label not in types)]


def in_words(label: str) -> str:
    """Return what a label is called in words, or itself where it is no infarction type."""
    name = INFARCTION_NAMES.get(label)
    return f"{label} {name}" if name else label
