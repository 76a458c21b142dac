"""One recording's windows: which can be used, how good they are, and as what they are stored."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import crop_or_pad, resample, resampling_ratio, to_int16
from selfmis_plugin.data.quality import SIGNS, assess, interpolate_missing, signs
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.record import SAMPLE_RATE, SECONDS
from selfmis_plugin.preparation.recordings.channels import ChannelMap
from selfmis_plugin.preparation.recordings.long_recording import LongRecording, ReadingOptions
from selfmis_plugin.preparation.recordings.opening import open_recording
from selfmis_plugin.preparation.recordings.sources import Source
from selfmis_plugin.preparation.recordings.windows import Window, cut_windows
from selfmis_plugin.utils.disk import WriteError, explained

#: Reasons to refuse a window, in the order in which they are looked for: signs of the wearable's
#: channel, too few good channels in the reference, a figure below the threshold.
REASONS: tuple[str, ...] = (*SIGNS, "reference", "quality")

SAMPLES = round(SAMPLE_RATE * SECONDS)
#: Rate of the signals that are kept for pictures of refused windows.
PICTURE_RATE = 125
#: Bytes of a spooled sample.
_DTYPE = np.dtype("<i2")


@dataclass(frozen=True)
class Strip:
    """A window as a picture shows it.

    Attributes
    ----------
    source, start
        File and second.
    figure
        Quality figure, None where it was not computed.
    reason
        Why it was refused, "" for a kept one.
    channels, signals
        Names, and float32 microvolts, (channels, samples).
    rate
        Samples a second.
    """

    source: str
    start: float
    figure: float | None
    reason: str
    channels: tuple[str, ...]
    signals: npt.NDArray[np.float32]
    rate: float


@dataclass
class Outcome:
    """What became of one recording.

    Attributes
    ----------
    source
        The recording.
    problem
        Why it could not be used, or not to its end; windows read before that are dropped.
    starts, figures, beats
        One value a window.
    reasons
        One a window, of :data:`REASONS`, "" where only the threshold is left to decide.
    masks, repairs
        Lead mask and notes of the windows that may be used, in their order.
    examples
        First refused window for each reason.
    """

    source: Source
    problem: RecordError | None = None
    starts: list[float] = field(default_factory=list)
    figures: list[float] = field(default_factory=list)
    beats: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    masks: list[int] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    examples: dict[str, Strip] = field(default_factory=dict)


@dataclass(frozen=True)
class WindowSelector:
    """Reads one recording in a worker and spools the windows that may be used.

    The spool of recording k is ``k.i16`` in the spool folder: int16 microvolts at 500 Hz,
    (windows, channels, 5000), the wearable's channel first.

    Attributes
    ----------
    root, spool
        Folders of the recordings and of the spools.
    channels
        Which channel is which.
    options
        What the user says about the files.
    step
        Seconds between the starts of two windows.
    reference_share
        Share of the reference's channels that must be good.
    """

    root: Path
    spool: Path
    channels: ChannelMap
    options: ReadingOptions
    step: float
    reference_share: float

    def __call__(self, numbered: tuple[int, Source]) -> Outcome:
        """Return what is kept of a recording, and what is not."""
        number, source = numbered
        if source.problem is not None:
            return Outcome(source, source.problem)
        try:
            return self._select(number, source)
        except RecordError as error:
            # Readers name the file alone, which several folders may have.
            reason = error.reason.removeprefix(f"{Path(source.path).name}: ")
            problem = RecordError(error.kind, f"{source.path}: {reason}")
        except WriteError:
            raise  # not the recording's fault
        except Exception as error:  # one odd file must not cost the others
            reason = f"{source.path}: {type(error).__name__}: {error}"
            problem = RecordError("unexpected error", reason)
        spool_path(self.spool, number).unlink(missing_ok=True)
        return Outcome(source, problem)

    def _select(self, number: int, source: Source) -> Outcome:
        recording = open_recording(self.root / source.path, self.options)
        names = recording.names_of(self.channels.channels)
        outcome = Outcome(source)
        windows = cut_windows(recording, names, SECONDS, self.step)
        self._write(number, (self._window(window, recording, names, outcome) for window in windows))
        if not outcome.starts:
            raise RecordError("too short", f"holds no {SECONDS:g} s without a gap")
        return outcome

    def _write(self, number: int, windows: Iterable[npt.NDArray[np.int16] | None]) -> None:
        path = spool_path(self.spool, number)
        with explained(path):
            spool = path.open("wb", buffering=0)
        with spool:
            for window in windows:  # reading them may fail too, which is another matter
                if window is not None:
                    with explained(path):
                        _write_all(spool, np.ascontiguousarray(window, dtype=_DTYPE))

    def _window(
        self, window: Window, recording: LongRecording, names: Sequence[str], outcome: Outcome
    ) -> npt.NDArray[np.int16] | None:
        rates = [recording.rates[name] for name in names]
        quality = assess(window.signals[0], rates[0])
        reason = quality.reasons[0] if quality.reasons else ""
        bad: list[tuple[str, ...]] = []
        if not reason:
            bad = _signs(window.signals[1:], rates[1:])
            good = sum(not found for found in bad)
            if good < self.reference_share * len(bad) - 1e-9 or not good:
                reason = "reference"
        outcome.starts.append(window.start)
        outcome.figures.append(quality.figure)
        outcome.beats.append(quality.beats)
        outcome.reasons.append(reason)
        if reason:
            if reason not in outcome.examples:
                outcome.examples[reason] = self._strip(window, rates, outcome, bad)
            return None
        prepared, clipped = _to_store(window.signals, rates)
        mask = 1 << len(STANDARD_LEADS)
        notes = [f"from {window.start:g} s", *recording.notes]
        for k, ((lead, channel), found) in enumerate(zip(self.channels.multi, bad, strict=True)):
            if found:
                prepared[k + 1] = 0
                notes.append(f"{lead} left out: {channel} is {', '.join(found)}")
            else:
                mask |= 1 << STANDARD_LEADS.index(lead)
        missing = sum(int(np.count_nonzero(~np.isfinite(signal))) for signal in window.signals)
        if missing:
            notes.append(f"{missing} missing samples interpolated")
        if clipped:
            notes.append(f"clipped {clipped} samples")
        outcome.masks.append(mask)
        outcome.repairs.append("; ".join(notes))
        return prepared

    def _strip(
        self,
        window: Window,
        rates: Sequence[float],
        outcome: Outcome,
        bad: Sequence[tuple[str, ...]],
    ) -> Strip:
        length = round(SECONDS * PICTURE_RATE)
        signals = [
            crop_or_pad(resample(interpolate_missing(signal[None])[0], rate, PICTURE_RATE), length)
            for signal, rate in zip(window.signals, rates, strict=True)
        ]
        compared = outcome.reasons[-1] in ("beats", "reference")
        names = list(picture_channels(self.channels))
        # Bad channels of the reference first: a picture shows only a few.
        order = [0, *sorted(range(1, len(names)), key=lambda k: not (bad and bad[k - 1]))]
        for k, found in enumerate(bad, start=1):
            names[k] += f" ({', '.join(found)})" if found else ""
        return Strip(
            outcome.source.path,
            window.start,
            outcome.figures[-1] if compared else None,
            outcome.reasons[-1],
            tuple(names[k] for k in order),
            np.stack([signals[k] for k in order]).astype(np.float32),
            PICTURE_RATE,
        )


def picture_channels(channels: ChannelMap) -> tuple[str, ...]:
    """Return what a picture calls the channels: the wearable's, then the reference's leads."""
    return (channels.single, *(lead for lead, _ in channels.multi))


def spool_path(folder: Path, number: int) -> Path:
    """Return the spool of recording *number*."""
    return folder / f"{number}.i16"


def open_spool(folder: Path, number: int, windows: int, channels: int) -> npt.NDArray[np.int16]:
    """Return the spooled windows of a recording, int16 (windows, channels, 5000), memory-mapped."""
    shape = (windows, channels, SAMPLES)
    return np.memmap(spool_path(folder, number), dtype=_DTYPE, mode="r", shape=shape)


def _write_all(file: io.FileIO, values: npt.NDArray[np.int16]) -> None:
    # A disk that is nearly full takes a part without an error.
    rest = values.data.cast("B")
    while rest:
        rest = rest[file.write(rest) :]


def _signs(
    signals: Sequence[npt.NDArray[np.float64]], rates: Sequence[float]
) -> list[tuple[str, ...]]:
    """Signs of each channel; those of one rate together, which is several times faster."""
    found: list[tuple[str, ...]] = [()] * len(signals)
    for rate in dict.fromkeys(rates):
        rows = [k for k, other in enumerate(rates) if other == rate]
        for row, reasons in zip(rows, signs(np.stack([signals[k] for k in rows]), rate),
                                strict=True):  # fmt: skip
            found[row] = reasons
    return found


def _to_store(
    signals: Sequence[npt.NDArray[Any]], rates: Sequence[float]
) -> tuple[npt.NDArray[np.int16], int]:
    """Bring channels to 500 Hz and int16 microvolts, without their offset.

    Amplifiers coupled to direct current add tens to hundreds of millivolts, more than int16
    microvolts hold; so the median of each channel of a window is subtracted.
    """
    brought = []
    for signal, rate in zip(signals, rates, strict=True):
        filled = interpolate_missing(signal[None])[0]
        filled = filled - np.median(filled)
        if resampling_ratio(rate, SAMPLE_RATE) != 1:
            filled = resample(filled, rate, SAMPLE_RATE)
        brought.append(crop_or_pad(filled[:SAMPLES], SAMPLES))
    return to_int16(np.stack(brought))
