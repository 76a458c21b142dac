"""A recording of any format as one record: its standard leads, at one rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.leads import STANDARD_LEADS, standard_lead
from selfmis_plugin.data.person import person_of_header
from selfmis_plugin.data.preprocessing import centre
from selfmis_plugin.data.recording import DigitalRecording, RecordError, Recording
from selfmis_plugin.preparation.recordings.long_recording import LongRecording, ReadingOptions
from selfmis_plugin.preparation.recordings.opening import open_recording
from selfmis_plugin.preparation.wfdb.fast_reader import read_record
from selfmis_plugin.preparation.wfdb.reader import LONGEST_READ, part_note, window

__all__ = ["read_whole"]

Signals = tuple[npt.NDArray[np.float64], ...]


def read_whole(
    path: Path, options: ReadingOptions, longest: float = LONGEST_READ
) -> Recording | DigitalRecording:
    """Read the standard leads of a recording, whatever its format, and whose it is: sex and age,
    where the file says them.

    Parameters
    ----------
    path
        The file; of a WFDB record the header, which is read as every database's is.
    options
        What the user says of files that do not say it themselves: what a file says of rate and unit
        goes first. The names of channels also hold for a file that has as many, and no standard
        lead among them.
    longest
        Seconds to read; of a longer recording the middle is taken, of an interrupted one that of
        its longest stretch.

    Raises
    ------
    RecordError
        If it cannot be read, or has no standard lead.
    """
    if path.suffix == ".hea":
        found = read_record(path.with_suffix(""), longest)
        text = path.read_text(encoding="utf-8", errors="replace")
        return replace(found, person=person_of_header(text))
    try:
        own = replace(options, rate=None, microvolts_per_unit=None)
        return _read(path, own, longest)
    except RecordError as error:
        told = {"unknown rate": options.rate, "unknown unit": options.microvolts_per_unit}
        if told.get(error.kind) is None:
            raise
    # Of a text file that says its unit and no rate, the unit still holds.
    own = replace(options, microvolts_per_unit=None) if options.rate else options
    try:
        return _read(path, own, longest)
    except RecordError as error:
        if error.kind != "unknown unit" or options.microvolts_per_unit is None:
            raise
        return _read(path, options, longest)


def _read(path: Path, options: ReadingOptions, longest: float) -> Recording:
    recording = open_recording(path, options)
    leads = _leads(recording, options.channels)
    names = recording.names_of(list(leads.values()))
    rates = {recording.rates[name] for name in names}
    if len(rates) > 1:
        raise RecordError(
            "several rates", f"{path.name}: its leads have different rates; resample them to one"
        )
    rate = rates.pop()
    signals, total = _middle(recording, names, window(rate, longest), longest)
    notes = list(recording.notes)
    if len(signals[0]) < total:
        notes.append(part_note(len(signals[0]), total, rate))
    return Recording(np.stack(signals), tuple(leads), rate, tuple(notes), recording.person)


def _leads(recording: LongRecording, channels: Sequence[str] | None) -> dict[str, str]:
    """The channel of each standard lead, in standard order."""
    names = list(recording.rates)
    known = {name: standard_lead(name) for name in names}
    if channels is not None and not any(known.values()) and len(channels) == len(names):
        known = {name: standard_lead(said) for name, said in zip(names, channels, strict=True)}
    found: dict[str, str] = {}
    for name, lead in known.items():
        if lead is not None and found.setdefault(lead, name) != name:
            raise RecordError("lead twice", f"{recording.path.name}: two channels are lead {lead}")
    if not found:
        raise RecordError(
            "missing lead",
            f"{recording.path.name}: none of the standard leads, only {', '.join(names)[:200]}; "
            "say what its channels are with --channels",
        )
    return {lead: found[lead] for lead in STANDARD_LEADS if lead in found}


def _middle(
    recording: LongRecording, names: Sequence[str], samples: int, seconds: float
) -> tuple[Signals, int]:
    """The middle *samples* of the longest stretch without an interruption, and its length."""
    blocks = recording.blocks(names, seconds)
    first = next(blocks, None)
    if first is None:
        raise RecordError("no signal", f"{recording.path.name}: holds no sample")
    lengths = [len(first.signals[0])]
    for block in blocks:
        if block.continues:
            lengths[-1] += len(block.signals[0])
        else:
            lengths.append(len(block.signals[0]))
    total = max(lengths)
    start, stop = centre(total, samples)
    if lengths == [len(first.signals[0])]:
        return tuple(signal[start:stop] for signal in first.signals), total
    # Read once more: the first time told where its middle is.
    chosen, stretch, passed = lengths.index(total), -1, 0
    parts: list[Signals] = []
    for block in recording.blocks(names, seconds):
        if not block.continues:
            stretch, passed = stretch + 1, 0
        length = len(block.signals[0])
        if stretch == chosen and passed < stop and passed + length > start:
            low, high = max(0, start - passed), min(length, stop - passed)
            parts.append(tuple(signal[low:high] for signal in block.signals))
        passed += length
    joined = (np.concatenate([part[k] for part in parts]) for k in range(len(names)))
    return tuple(joined), total
