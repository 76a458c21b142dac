"""The infarction types that methods are compared on."""

from __future__ import annotations

#: The nine myocardial infarction statements of PTB-XL (SelfMIS paper, table 6).
INFARCTION_TYPES: tuple[str, ...] = (
    "ALMI", "AMI", "ASMI", "ILMI", "IMI", "IPLMI", "IPMI", "LMI", "PMI",
)  # fmt: skip
