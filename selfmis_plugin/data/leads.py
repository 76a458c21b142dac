"""Names and order of the twelve standard ECG leads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

STANDARD_LEADS: tuple[str, ...] = (
    "I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6",
)  # fmt: skip

_BY_SPELLING = {lead.casefold(): lead for lead in STANDARD_LEADS} | {
    # As Romance languages number them: derivación, dérivation, derivação, derivazione.
    **{f"d{roman}".casefold(): roman for roman in ("I", "II", "III")},
    **{f"d{number}": roman for number, roman in enumerate(("I", "II", "III"), start=1)},
}
#: What devices write before a lead's name.
_BEFORE = re.compile(
    r"(?:(?:ecg|ekg|lead|ableitung|derivaci[oó]n|d[eé]rivation|derivazione|deriva[cç][aã]o)"
    r"[\s_.:-]*)+"
)
#: No lead's name, with what is written before it, is longer.
_LONGEST_NAME = 80


def standard_lead(name: str) -> str | None:
    """Return the lead that a channel's name means; None if it is none of the twelve.

    In any case, also as "Lead I", "ECG lead II", "EKG_V1", "DI" or "D1". Modified leads, such as
    MLII, are none of them.
    """
    if len(name) > _LONGEST_NAME:
        return None
    plain = " ".join(name.split()).casefold()
    return _BY_SPELLING.get(plain) or _BY_SPELLING.get(_BEFORE.sub("", plain, count=1))


def parse_leads(names: str | Iterable[str]) -> tuple[str, ...]:
    """Read names of leads, one text with commas or several names.

    Returns
    -------
    tuple of str
        Standard spellings, in the order given.

    Raises
    ------
    ValueError
        If there is none, one is not a standard lead, or one is given twice.
    """
    given = names.split(",") if isinstance(names, str) else list(names)
    leads: list[str] = []
    for name in given:
        lead = standard_lead(name)
        if lead is None:
            raise ValueError(
                f"{name.strip()!r} is not one of the leads {', '.join(STANDARD_LEADS)}"
            )
        if lead in leads:
            raise ValueError(f"lead {lead} is given twice")
        leads.append(lead)
    if not leads:
        raise ValueError("at least one lead must be given")
    return tuple(leads)


def reference_leads(leads: Sequence[str], chosen: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the leads that a multi-lead encoder sees of signals with *leads*.

    Parameters
    ----------
    leads
        Leads of the signals, in their order.
    chosen
        The leads asked for. None: the standard ones among *leads*; the channel of a wearable,
        which is none of them, is left out, since a reference that holds it would know the answer.

    Returns
    -------
    tuple of str
        Names as in *leads*.

    Raises
    ------
    ValueError
        If a chosen lead is not there, or none is chosen and none is a standard lead.
    """
    if chosen:
        missing = [lead for lead in chosen if lead not in leads]
        if missing:
            raise ValueError(f"no lead {', '.join(missing)} among {', '.join(leads)}")
        return tuple(chosen)
    standard = tuple(lead for lead in leads if standard_lead(lead))
    if not standard:
        raise ValueError(
            f"none of {', '.join(leads)} is a standard lead: name those of the reference "
            "(model.multi_leads)"
        )
    return standard


def lead_mask(leads: Iterable[str]) -> int:
    """Return the number whose bit k is set if the k-th standard lead is among *leads*."""
    present = set(leads)
    return sum(1 << k for k, lead in enumerate(STANDARD_LEADS) if lead in present)


def lead_rows(leads: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Positions of the wanted leads among ``leads``.

    Raises
    ------
    ValueError
        If a lead is not there, or named twice.
    """
    missing = [lead for lead in wanted if lead not in leads]
    if missing:
        raise ValueError(
            f"no lead {', '.join(missing)} among the leads of the signals ({', '.join(leads)}): "
            "lead names are written as there"
        )
    if not wanted or len(set(wanted)) != len(wanted):
        raise ValueError(f"leads must be named, each once: {list(wanted)}")
    return [list(leads).index(lead) for lead in wanted]
