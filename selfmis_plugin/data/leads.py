"""Names and order of the twelve standard ECG leads."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

#: The twelve, in the order in which a store has them.
STANDARD_LEADS: tuple[str, ...] = (
    "I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6",
)  # fmt: skip

_BY_SPELLING = {lead.casefold(): lead for lead in STANDARD_LEADS}


def _plain(name: str) -> str:
    """Return a name in lower case, without accents, wide letters and spaces at its ends."""
    # A Roman numeral has characters of its own, which become the letters I and V.
    decomposed = unicodedata.normalize("NFKD", name.strip().casefold())
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign)).casefold()


#: What recorders and their software write before the name of a lead.
_WORDS = (
    "ecg", "ekg", "lead", "ableitung", "afleiding", "avledning", "derivação", "derivación",
    "derivazione", "dérivation", "odprowadzenie", "отведение", "リード", "誘導", "导联", "導聯",
    "유도",
)  # fmt: skip
_PREFIX = re.compile(rf"((?:{'|'.join(map(_plain, _WORDS))})[\s_:.-]*)+")
# DI, DII and DIII are the limb leads' names in Spanish and Portuguese, or D1, D2 and D3.
_LEAD = re.compile(r"d?i{1,3}|d[1-3]|a[ _-]?v[ _-]?[rlf]|v[ _-]?[1-6]")
_NUMBERED = {"d1": "i", "d2": "ii", "d3": "iii"}
#: No lead's name, with the words before it, is longer.
_LONGEST_NAME = 100


def _bare(name: str) -> str:
    """Return a name as :func:`_plain` does, without the words before it."""
    plain = _plain(name)
    return plain[found.end() :] if (found := _PREFIX.match(plain)) else plain


def standard_lead(name: str) -> str | None:
    """Return the standard spelling of a lead's name, None if it is no such lead.

    Everything that reads files asks here what a channel is. Known are names in any case, with words
    such as "Lead I", "ECG lead II" or "Ableitung III", "DI" or "D1", and "V 1" or "aV_R".
    """
    if len(name) > _LONGEST_NAME:
        return None
    bare = _bare(name)
    if not _LEAD.fullmatch(bare):
        return None
    return _BY_SPELLING[_NUMBERED.get(bare) or re.sub("^d|[ _-]", "", bare)]


def lead_key(name: str) -> str:
    """Return what all spellings of a name have in common, be it a standard lead's or not."""
    return standard_lead(name) or _bare(name)


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
