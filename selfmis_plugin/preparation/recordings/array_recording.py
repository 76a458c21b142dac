"""Recordings that are in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.person import UNKNOWN_PERSON, Person
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.long_recording import (
    Block,
    LongRecording,
    ReadingOptions,
)


class ArrayRecording(LongRecording):
    """A recording that is in memory already.

    Parameters
    ----------
    name
        How messages name it: a file or any other name.
    signals
        Values, (channels, samples), or one array a channel; missing samples are NaN.
    names
        Names of the channels.
    rate
        Samples a second, of all channels or of each.
    units
        Units of the channels' values, one a channel; by default microvolts.
    options
        What the user says about it; the unit goes before the channels'.
    notes
        What had to be assumed or left aside.
    person
        Whom it is of.

    Raises
    ------
    RecordError
        If two channels have one name.
    """

    def __init__(
        self,
        name: str | Path,
        signals: Sequence[npt.NDArray[np.float64]] | npt.NDArray[np.float64],
        names: Sequence[str],
        rate: float | Sequence[float],
        units: Sequence[str] | None = None,
        options: ReadingOptions | None = None,
        notes: Sequence[str] = (),
        person: Person = UNKNOWN_PERSON,
    ) -> None:
        path = Path(name)
        rates = [float(rate)] * len(names) if isinstance(rate, int | float) else list(rate)
        if len({channel.strip().casefold() for channel in names}) < len(names):
            raise RecordError("channel twice", f"{path.name}: two channels have the same name")
        super().__init__(path, dict(zip(names, rates, strict=True)), notes, person, options)
        self._signals = dict(zip(names, signals, strict=True))
        self._units = None if units is None else dict(zip(names, units, strict=True))

    def blocks(self, names: Sequence[str], seconds: float) -> Iterator[Block]:
        """Yield the channels block by block."""
        factors = [self._factor(name) for name in names]
        signals = tuple(
            self._signals[name] if factor == 1 else self._signals[name] * factor
            for name, factor in zip(names, factors, strict=True)
        )
        yield Block(0.0, signals, continues=False)

    def _factor(self, name: str) -> float:
        if self._units is None:
            return self.options.microvolts_per_unit or 1
        return self.microvolts_per_unit(name, self._units[name])
