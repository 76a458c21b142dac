"""Recordings of minutes to hours, read a block at a time whatever their format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.person import UNKNOWN_PERSON, Person
from selfmis_plugin.data.preprocessing import HIGHEST_RATE, LOWEST_RATE
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.data.voltages import MICROVOLTS
from selfmis_plugin.preparation.recordings.units import plain_unit

#: Shares of a rate that are no difference.
_SAME_RATE = 0.01


@dataclass(frozen=True)
class ReadingOptions:
    """What a user says about files that do not say it themselves.

    Attributes
    ----------
    rate
        Samples a second of text files and arrays; None: what their time column or their head says.
        The other formats say it themselves.
    microvolts_per_unit
        Microvolts in one unit of the values; None: what the file says.
    channels
        Names of the channels, in their order, of files that name none (.npy, .mat).
    """

    rate: float | None = None
    microvolts_per_unit: float | None = None
    channels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Block:
    """Consecutive samples of the chosen channels.

    Attributes
    ----------
    start
        Seconds from the beginning of the recording.
    signals
        One array a channel, float64 microvolts, (samples,); missing samples are NaN. Channels of
        different rates have different lengths.
    continues
        Whether this block follows the one before without a gap.
    """

    start: float
    signals: tuple[npt.NDArray[np.float64], ...]
    continues: bool


class LongRecording(ABC):
    """A recording that is not read as a whole.

    Parameters
    ----------
    path
        The file, for messages.
    rates
        Name and rate of each channel.
    notes
        What had to be assumed or left aside. Reading may add to them.
    person
        Whom it is of, as far as the file says and is asked.
    options
        What the user says about it, which goes before what the file says.
    """

    def __init__(
        self,
        path: Path,
        rates: Mapping[str, float],
        notes: Sequence[str] = (),
        person: Person = UNKNOWN_PERSON,
        options: ReadingOptions | None = None,
    ) -> None:
        self.path = path
        self.rates = dict(rates)
        self.notes = tuple(notes)
        self.person = person
        self.options = options or ReadingOptions()

    def note(self, text: str) -> None:
        """Add to the notes what is not among them."""
        self.notes = tuple(dict.fromkeys([*self.notes, text]))

    def note_rate(self, own: float, told: float) -> None:
        """Note a rate that the user has told, where the file says another one."""
        if abs(own - told) > _SAME_RATE * told:
            self.note(f"read as {told:g} Hz, as told, though the file says {own:g} Hz")

    def microvolts_per_unit(self, channel: str, unit: str) -> float:
        """Return the microvolts in one unit of a channel, which the file calls *unit*.

        Raises
        ------
        RecordError
            If neither the file nor the user says the unit.
        """
        told, own = self.options.microvolts_per_unit, MICROVOLTS.get(plain_unit(unit))
        if told is not None:
            if own not in (None, told):
                self.note(f"read as {told:g} uV a unit, as told, though the file says {unit}")
            return told
        if own is None:
            said = f"is in {unit!r}, which is no voltage" if unit else "has no unit"
            raise RecordError(
                "unknown unit",
                f"{self.path.name}: channel {channel} {said}; give it with --units: uV, mV, V, or "
                "the microvolts in one step of a recorder",
            )
        return own

    def names_of(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Return the names of channels as the file spells them.

        Raises
        ------
        RecordError
            If a channel is not there, or its rate cannot be.
        """
        spellings = {name.strip().casefold(): name for name in self.rates}
        missing = [name for name in wanted if name.strip().casefold() not in spellings]
        if missing:
            raise RecordError(
                "missing channel",
                f"{self.path.name}: has no channel {', '.join(missing)}; it has "
                f"{', '.join(self.rates) or 'none'}",
            )
        names = tuple(spellings[name.strip().casefold()] for name in wanted)
        for name in names:
            if not LOWEST_RATE <= self.rates[name] <= HIGHEST_RATE:
                raise RecordError(
                    "bad rate",
                    f"{self.path.name}: {self.rates[name]:g} samples a second in channel {name} "
                    f"are not between {LOWEST_RATE:g} and {HIGHEST_RATE:g}",
                )
        return names

    @abstractmethod
    def blocks(self, names: Sequence[str], seconds: float) -> Iterator[Block]:
        """Yield the recording in blocks of about *seconds*, from its beginning to its end.

        Raises
        ------
        RecordError
            If the unit of a channel is unknown, or the file is damaged.
        """
