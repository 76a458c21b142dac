"""The infarction types that methods are compared on, and what statements are called in words."""

from __future__ import annotations

from collections.abc import Iterable

#: The nine myocardial infarction statements of PTB-XL (SelfMIS paper, table 6).
INFARCTION_TYPES: tuple[str, ...] = (
    "ALMI", "AMI", "ASMI", "ILMI", "IMI", "IPLMI", "IPMI", "LMI", "PMI",
)  # fmt: skip

#: What a record with one of them or more has.
ANY_INFARCTION = "any infarction"


def refuse_derived(labels: Iterable[str]) -> None:
    """Refuse a label that has the name of the one that is derived of the types.

    Raises
    ------
    ValueError
        If there is one; the message says what to do.
    """
    for label in labels:
        if label.strip().casefold() == ANY_INFARCTION:
            raise ValueError(
                f"a label is called {label!r}, which is the name of what is derived of the "
                f"infarction types ({', '.join(INFARCTION_TYPES)}): call it otherwise, such as "
                "MI; `selfmis evaluate --any-infarction MI` judges by it"
            )


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

#: The other diagnostic statements of PTB-XL in words (after its ``scp_statements.csv``, CC BY 4.0).
OTHER_NAMES: dict[str, str] = {
    "1AVB": "first degree AV block",
    "2AVB": "second degree AV block",
    "3AVB": "third degree AV block",
    "ANEUR": "ST-T changes compatible with ventricular aneurysm",
    "CLBBB": "complete left bundle branch block",
    "CRBBB": "complete right bundle branch block",
    "DIG": "digitalis effect",
    "EL": "electrolytic disturbance or drug",
    "ILBBB": "incomplete left bundle branch block",
    "INJAL": "subendocardial injury in anterolateral leads",
    "INJAS": "subendocardial injury in anteroseptal leads",
    "INJIL": "subendocardial injury in inferolateral leads",
    "INJIN": "subendocardial injury in inferior leads",
    "INJLA": "subendocardial injury in lateral leads",
    "IRBBB": "incomplete right bundle branch block",
    "ISCAL": "ischaemia in anterolateral leads",
    "ISCAN": "ischaemia in anterior leads",
    "ISCAS": "ischaemia in anteroseptal leads",
    "ISCIL": "ischaemia in inferolateral leads",
    "ISCIN": "ischaemia in inferior leads",
    "ISCLA": "ischaemia in lateral leads",
    "ISC_": "non-specific ischaemia",
    "IVCD": "non-specific intraventricular conduction disturbance",
    "LAFB": "left anterior fascicular block",
    "LAO/LAE": "left atrial overload or enlargement",
    "LNGQT": "long QT interval",
    "LPFB": "left posterior fascicular block",
    "LVH": "left ventricular hypertrophy",
    "NDT": "non-diagnostic T abnormalities",
    "NORM": "normal ECG",
    "NST_": "non-specific ST changes",
    "RAO/RAE": "right atrial overload or enlargement",
    "RVH": "right ventricular hypertrophy",
    "SEHYP": "septal hypertrophy",
    "WPW": "Wolff-Parkinson-White syndrome",
}


def infarctions_first(labels: Iterable[str]) -> list[str]:
    """Return labels with any infarction and its types before all others, which keep their order."""
    given = list(labels)
    types = [label for label in (ANY_INFARCTION, *INFARCTION_TYPES) if label in given]
    return [*types, *(label for label in given if label not in types)]


def in_words(label: str) -> str:
    """Return a label with what it is called in words, or alone where it is no statement of PTB-XL.

    >>> in_words("AMI"), in_words("WPW"), in_words("ours")
    ('AMI anterior infarction', 'WPW Wolff-Parkinson-White syndrome', 'ours')
    """
    name = INFARCTION_NAMES.get(label) or OTHER_NAMES.get(label)
    return f"{label} {name}" if name else label
