"""Names and order of the twelve standard ECG leads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

STANDARD_LEADS: tuple[str, ...] = (
    "I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6",
)  # fmt: skip

_BY_SPELLING = {lead.casefold(): lead for lead in STANDARD_LEADS}


def standard_lead(name: str) -> str | None:
    """Return the standard spelling of a lead's name in any case, None if it is no such lead."""
    return _BY_SPELLING.get(name.strip().casefold())


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
