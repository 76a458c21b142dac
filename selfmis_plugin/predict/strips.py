"""Windows of one recording, as a classifier's encoder was shown records in training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.filters import FILTERS
from selfmis_plugin.data.leads import lead_key, standard_lead
from selfmis_plugin.data.preprocessing import (
    HIGHEST_RATE,
    LOWEST_RATE,
    Preprocessing,
    PreprocessingError,
    crop_or_pad,
    resample,
    to_int16,
)
from selfmis_plugin.data.quality import assess, interpolate_missing
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.data.thresholds import PUBLISHED_THRESHOLD
from selfmis_plugin.preparation.recordings.long_recording import LongRecording

#: Share of a window's length that a recording, or what is left at its end, must have.
SHORTEST_SHARE = 0.5
#: Seconds that are read at once.
BLOCK_SECONDS = 60.0

#: Seconds without a window that are worth a word.
_SHORTEST_NOTED = 0.05

#: What the problem of a window begins with that a lower figure of quality would let pass.
UNLIKE = "noisy: the beats are alike to"

#: Signs of quality.SIGNS that say too little alone.
_SAID = {
    "missing": "samples missing",
    "off": "off: 5 mV or more from its median",
    "beats": "beats: not 5 to 25 in 10 s",
}


@dataclass(frozen=True)
class StripWindow:
    """One window of a recording.

    Attributes
    ----------
    start, seconds
        Where it begins in the recording, and how much of the recording is in it.
    signal
        int16 microvolts, (leads, samples), resampled, filtered and padded as stores are.
    quality
        How alike the beats are, 0 to 1: of the worst lead.
    problem
        Why it must not be scored, "" if it may be.
    beats
        Seconds of the R peaks of its first lead, from the window's beginning; none where there is
        no ECG.
    """

    start: float
    seconds: float
    signal: npt.NDArray[np.int16] = field(repr=False)
    quality: float
    problem: str
    beats: tuple[float, ...] = ()


@dataclass(frozen=True)
class Strip:
    """A recording cut into windows.

    Attributes
    ----------
    name
        Of the file.
    windows
        In the order of time; at least one.
    notes
        What was assumed or left aside.
    """

    name: str
    windows: tuple[StripWindow, ...]
    notes: tuple[str, ...] = ()


def cut_strip(
    recording: LongRecording,
    preprocessing: Preprocessing,
    input_rate: float,
    channels: Sequence[str] | None = None,
    rate: float | None = None,
    threshold: float = PUBLISHED_THRESHOLD,
    named_by: str = "channels=",
) -> Strip:
    """Cut a recording into windows, one after the other, and judge and prepare each.

    What is left at the end (or before an interruption) gets a window that overlaps the one
    before, if it is half a window or more. A recording of half a window or more, but not of a
    whole one, is padded with zeros as short records of a store are.

    Parameters
    ----------
    recording
        What to read.
    preprocessing
        The classifier's: leads, length and filter are taken from it.
    input_rate
        Samples a second to bring the windows to, in hertz.
    channels
        Names of the recording's channels that are the classifier's leads, in their order; None
        finds them by name.
    rate
        Samples a second, in place of what the recording says.
    threshold
        Lowest figure of quality of a window that is scored
        (:func:`~selfmis_plugin.data.quality.assess`).
    named_by
        What the user names channels with, for messages.

    Raises
    ------
    RecordError
        If a lead is not there, a channel that is named is another lead, the recording is too short,
        or it cannot be read.
    """
    names, notes = find_channels(recording, preprocessing.leads, channels, named_by)
    notes += recording.notes
    rates = {recording.rates[name] for name in names} if rate is None else {rate}
    if len(rates) > 1:
        raise RecordError(
            "several rates",
            f"{recording.path.name}: its leads have different rates "
            f"({', '.join(f'{value:g}' for value in sorted(rates))} Hz); resample them to one",
        )
    own_rate = rates.pop()
    if rate is not None:
        for name in names:
            recording.note_rate(recording.rates[name], rate)
    if not LOWEST_RATE <= own_rate <= HIGHEST_RATE:
        raise RecordError(
            "bad rate",
            f"{recording.path.name}: {own_rate:g} samples a second are not between "
            f"{LOWEST_RATE:g} and {HIGHEST_RATE:g}; give the rate",
        )
    if own_rate < preprocessing.sample_rate:
        notes.append(
            f"of {own_rate:g} Hz, and the classifier was trained on {preprocessing.sample_rate:g}"
        )
    windows, longest, left = [], 0.0, []
    for piece in _pieces(recording, names, own_rate, preprocessing.seconds):
        longest = max(longest, piece.stretch)
        left.append(piece.left_out)
        start, values = piece.start, piece.values
        if values is None:
            continue
        try:
            windows.append(_window(start, values, own_rate, preprocessing, input_rate, threshold))
        except PreprocessingError as error:
            raise RecordError("cannot be prepared", f"{recording.path.name}: {error}") from error
    if not windows:
        raise RecordError(
            "too short",
            f"{recording.path.name}: {longest:.1f} s without an interruption are too short: a "
            f"strip needs {SHORTEST_SHARE * preprocessing.seconds:g} s, better "
            f"{preprocessing.seconds:g}",
        )
    notes += [note for note in recording.notes if note not in notes]
    notes += _left_out(left)
    if padded := [w for w in windows if w.seconds < preprocessing.seconds - 1 / own_rate]:
        notes.append(f"padded with zeros from {padded[0].seconds:.1f} s")
    return Strip(recording.path.name, tuple(windows), tuple(notes))


def find_channels(
    recording: LongRecording,
    leads: Sequence[str],
    channels: Sequence[str] | None = None,
    named_by: str = "channels=",
) -> tuple[tuple[str, ...], list[str]]:
    """Return the names of the channels that are *leads*, and what had to be assumed.

    A channel is a lead if :func:`~selfmis_plugin.data.leads.standard_lead` says so. The one channel
    of a recording is taken for the one lead of a classifier, unless it is called after another; nor
    is a channel called after another taken because it is named.

    Parameters
    ----------
    recording
        Whose channels.
    leads
        The classifier's.
    channels
        Names of the channels that are these leads, in their order; None finds them by name.
    named_by
        What the user names channels with, for messages.

    Raises
    ------
    RecordError
        If there are none such, a channel that is named is another lead, or two channels are one
        lead.
    """
    if channels is not None:
        if len(channels) != len(leads):
            raise RecordError(
                "other leads",
                f"{recording.path.name}: {len(channels)} channels named, and the classifier reads "
                f"{len(leads)}: {', '.join(leads)}",
            )
        named = recording.names_of(channels)
        for name, wanted in zip(named, leads, strict=True):
            own = standard_lead(name)
            if own not in (None, wanted):
                raise RecordError(
                    "another lead",
                    f"{recording.path.name}: channel {name} is lead {own}, and the classifier "
                    f"reads lead {wanted} there: name that one with {named_by}, or take a model of "
                    f"lead {own}",
                )
        return named, []
    by_lead: dict[str, list[str]] = {lead: [] for lead in leads}
    keys = {lead_key(lead): lead for lead in leads}
    for name in recording.rates:
        if (lead := keys.get(lead_key(name))) is not None:
            by_lead[lead].append(name)
    if twice := [lead for lead, names in by_lead.items() if len(names) > 1]:
        raise RecordError(
            "lead twice",
            f"{recording.path.name}: {' and '.join(map(repr, by_lead[twice[0]]))} are both lead "
            f"{twice[0]}; name the channel to read with {named_by}",
        )
    missing = [lead for lead in leads if not by_lead[lead]]
    if not missing:
        return recording.names_of([by_lead[lead][0] for lead in leads]), []
    only = next(iter(recording.rates)) if len(recording.rates) == 1 else None
    if len(leads) == 1 and only is not None and standard_lead(only) is None:
        note = f"its only channel, {only}, is taken for lead {leads[0]}"
        return recording.names_of([only]), [note]
    advice = f"name the channel that is this lead with {named_by}"
    if all(standard_lead(name) for name in recording.rates):
        advice = "take a recording that has it, or a model of the leads that are there"
    raise RecordError(
        "missing lead",
        f"{recording.path.name}: the classifier reads lead {', '.join(leads)}, and there is no "
        f"{', '.join(missing)} among {', '.join(recording.rates) or 'no channels'}; {advice}",
    )


def prepare_window(
    values: npt.NDArray[np.float64], rate: float, preprocessing: Preprocessing, input_rate: float
) -> npt.NDArray[np.int16]:
    """Return a window as stores hold it: resampled, filtered, of one length.

    Parameters
    ----------
    values
        Microvolts, (leads, samples); missing samples are NaN.
    rate, input_rate
        Samples a second, before and after.
    preprocessing
        The classifier's: length and filter are taken from it.

    Raises
    ------
    PreprocessingError
        If the filter cannot be used at this rate.
    """
    # In the order of preparation: the filter sees the window alone.
    samples = round(input_rate * preprocessing.seconds)
    signal = resample(interpolate_missing(values), rate, input_rate)[:, :samples]
    signal = FILTERS[preprocessing.filter](signal, input_rate)
    return crop_or_pad(to_int16(signal)[0], samples)


def _left_out(seconds: Sequence[float]) -> list[str]:
    """Return what to note of stretches that are in no window, *seconds* by piece in their order."""
    *before, last = seconds
    parts = [f"the last {last:.1f} s"] if last >= _SHORTEST_NOTED else []
    if (total := sum(before)) >= _SHORTEST_NOTED:
        parts = [f"{total:.1f} s before interruptions", *parts]
    return [f"not scored, as shorter than half a window: {' and '.join(parts)}"] if parts else []


class _Piece(NamedTuple):
    """A window, or what is too short to be one.

    Attributes
    ----------
    start
        Seconds from the recording's beginning.
    values
        Samples of the window, (leads, samples); None of what is no window.
    stretch
        Seconds since the last interruption.
    left_out
        Seconds that are in no window.
    """

    start: float
    values: npt.NDArray[np.float64] | None
    stretch: float
    left_out: float = 0.0


def _pieces(
    recording: LongRecording, names: Sequence[str], rate: float, seconds: float
) -> Iterator[_Piece]:
    """Yield the windows, and what is too short to be one."""
    length = int(np.ceil(seconds * rate - 1e-6))
    # What is held begins with the last window that was cut, so that the next may overlap it.
    held = np.empty((len(names), 0))
    begin, passed, cut = 0.0, 0, 0

    def rest() -> Iterator[_Piece]:
        end = passed + held.shape[1]
        left = end - round(cut * seconds * rate)
        if left >= SHORTEST_SHARE * length:
            first = max(0, end - length)
            yield _Piece(begin + first / rate, held[:, first - passed :], end / rate)
        elif end:
            yield _Piece(begin, None, end / rate, max(0, left) / rate)

    for block in recording.blocks(names, BLOCK_SECONDS):
        if not block.continues:
            yield from rest()
            held, passed, cut = np.empty((len(names), 0)), 0, 0
            begin = block.start
        held = np.concatenate([held, np.stack(block.signals)], axis=1)
        while (start := round(cut * seconds * rate)) + length <= passed + held.shape[1]:
            held = held[:, start - passed :]
            passed = start
            cut += 1
            yield _Piece(begin + start / rate, held[:, :length], (start + length) / rate)
    yield from rest()


def _window(
    start: float,
    values: npt.NDArray[np.float64],
    rate: float,
    preprocessing: Preprocessing,
    input_rate: float,
    threshold: float,
) -> StripWindow:
    found = [assess(lead, rate) for lead in values]
    reasons = sorted({reason for quality in found for reason in quality.reasons})
    figure = min(quality.figure for quality in found)
    if not reasons and figure < threshold:
        reasons = [f"{UNLIKE} {figure:.2f}, not to {threshold:.2f}"]
    return StripWindow(
        start,
        values.shape[1] / rate,
        prepare_window(values, rate, preprocessing, input_rate),
        figure,
        ", ".join(_SAID.get(reason, reason) for reason in reasons),
        found[0].at,
    )
