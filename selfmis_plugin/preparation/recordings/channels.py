"""Which channel of a recording is which lead."""

from __future__ import annotations

from dataclasses import dataclass

from selfmis_plugin.data.leads import STANDARD_LEADS, standard_lead
from selfmis_plugin.preparation.listing import DatabaseError

#: Name of the wearable's channel among a store's leads.
WEARABLE = "wearable"

#: Share of the reference's channels that must be good in a window.
REFERENCE_SHARE = 0.8


@dataclass(frozen=True)
class ChannelMap:
    """The wearable's channel, and the reference's by standard lead.

    Attributes
    ----------
    single
        Name of the wearable's channel in the files.
    multi
        Standard lead and name of the channel in the files, for each channel of the reference.
    name
        Name of the wearable's channel in the store.
    """

    single: str
    multi: tuple[tuple[str, str], ...]
    name: str = WEARABLE

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels to read: the wearable's, then the reference's."""
        return (self.single, *(channel for _, channel in self.multi))

    @property
    def store_leads(self) -> tuple[str, ...]:
        """Leads of the store: the twelve standard ones, then the wearable's channel."""
        return (*STANDARD_LEADS, self.name)


def parse_channels(single: str, multi: str, name: str = WEARABLE) -> ChannelMap:
    """Read ``CH20`` and ``I=CH1,II=CH2,V1=CH3``.

    Raises
    ------
    DatabaseError
        If a lead is unknown or given twice, or the wearable's name is that of a standard lead.
    """
    if not single.strip():
        raise DatabaseError("--single names no channel")
    if not name.strip() or standard_lead(name) or set(name) & set("\t\n,=[]"):
        raise DatabaseError(
            f"--name {name!r} cannot be the name of the wearable's channel in the store: give one "
            "that is no standard lead, without commas"
        )
    pairs: dict[str, str] = {}
    for part in multi.split(","):
        lead_name, equals, channel = part.partition("=")
        lead = standard_lead(lead_name)
        if not equals or not channel.strip() or lead is None:
            raise DatabaseError(
                f"--multi {part.strip()!r} is not LEAD=CHANNEL with one of the leads "
                f"{', '.join(STANDARD_LEADS)}"
            )
        if lead in pairs:
            raise DatabaseError(f"--multi gives lead {lead} twice")
        pairs[lead] = channel.strip()
    return ChannelMap(single.strip(), tuple(pairs.items()), name.strip())
