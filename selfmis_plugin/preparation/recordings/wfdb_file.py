"""Long recordings in WFDB format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.long_recording import (
    Block,
    LongRecording,
    ReadingOptions,
)
from selfmis_plugin.preparation.wfdb.decoding import frame_count, read_channels
from selfmis_plugin.preparation.wfdb.header import Header, SignalLine, read_header
from selfmis_plugin.preparation.wfdb.reader import uncalibrated_note
from selfmis_plugin.preparation.wfdb.segments import (
    Segment,
    read_segment,
    segments_between,
    total_frames,
)

#: Seconds of a gap up to which its windows are shown as missing; after a longer one the recording
#: begins anew, so that no header makes hours of nothing.
LONGEST_GAP = 3600.0


class WfdbRecording(LongRecording):
    """A WFDB record, also of several segments or with channels of different rates.

    Parameters
    ----------
    path
        The header file.
    options
        What the user says about it.

    Raises
    ------
    RecordError
        If the header cannot be understood, or its files are missing or too short.
    """

    def __init__(self, path: Path, options: ReadingOptions) -> None:
        header = read_header(path)
        self._frame_rate = header.rate
        if header.segments:
            self._frames = total_frames(header)
            segments = list(segments_between(header, 0, self._frames))
            self._parts = [(segment, read_segment(header, segment)) for segment in segments]
        else:
            self._frames = frame_count(header)
            self._parts = [(Segment(path.stem, 0, self._frames), header)]
        self._sizes: dict[str, int] = {}
        self._twice: dict[str, str] = {}
        uncalibrated: dict[str, None] = {}
        for _, part in self._parts:
            self._add_names(part)
            uncalibrated |= {
                _name(k, line): None for k, line in enumerate(part.signals) if not line.calibrated
            }
        super().__init__(
            path,
            {name: self._frame_rate * size for name, size in self._sizes.items()},
            [uncalibrated_note(list(uncalibrated))] if uncalibrated else [],
            options=options,
        )

    def _add_names(self, part: Header) -> None:
        seen: dict[str, str] = {}
        for number, line in enumerate(part.signals):
            name = _name(number, line)
            # Names that differ by case alone cannot be told apart by who asks for one.
            if (key := name.casefold()) in seen:
                self._twice[seen[key]] = f"{part.path.name}: two signals are named {name}"
                continue
            seen[key] = name
            if self._sizes.setdefault(name, line.samples_per_frame) != line.samples_per_frame:
                raise RecordError(
                    "bad header", f"{part.path.name}: {name} has another rate in other segments"
                )

    def names_of(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Return the names in the header of the channels that are wanted."""
        names = super().names_of(wanted)
        for name in names:
            if name in self._twice:
                raise RecordError(
                    "lead twice",
                    f"{self._twice[name]}, and nothing says which is which; rename one in the "
                    "header",
                )
        return names

    def blocks(self, names: Sequence[str], seconds: float) -> Iterator[Block]:
        """Yield the channels block by block."""
        step = max(1, round(seconds * self._frame_rate))
        for begin, end in self._stretches():
            for first in range(begin, end, step):
                signals = self._read(names, first, min(first + step, end))
                yield Block(first / self._frame_rate, signals, continues=first > begin)

    def _stretches(self) -> list[tuple[int, int]]:
        """From where to where there is a signal, or a gap that is short enough to be shown."""
        longest = LONGEST_GAP * self._frame_rate
        ends = [0]
        for segment, _ in self._parts:
            ends += [segment.begin, segment.begin + segment.frames]
        ends.append(self._frames)
        # Pairs of the beginning and the end of gaps, most of which are of no length.
        cuts = [(a, b) for a, b in zip(ends[::2], ends[1::2], strict=True) if b - a > longest]
        bounds = [0, *(frame for cut in cuts for frame in cut), self._frames]
        return [(a, b) for a, b in zip(bounds[::2], bounds[1::2], strict=True) if a < b]

    def _read(
        self, names: Sequence[str], first: int, last: int
    ) -> tuple[npt.NDArray[np.float64], ...]:
        found = {
            name: np.full((last - first) * self._sizes[name], np.nan)
            for name in dict.fromkeys(names)
        }
        for segment, part in self._parts:
            if max(first, segment.begin) < min(last, segment.begin + segment.frames):
                self._fill(found, segment, part, first, last)
        return tuple(found[name] for name in names)

    def _fill(
        self,
        found: dict[str, npt.NDArray[np.float64]],
        segment: Segment,
        part: Header,
        first: int,
        last: int,
    ) -> None:
        """Put what a segment has of the frames from *first* to *last* in its place."""
        channels = {
            name: number
            for number, line in enumerate(part.signals)
            if (name := _name(number, line)) in found
        }
        if not channels:
            return
        begin = max(first, segment.begin)
        end = min(last, segment.begin + segment.frames)
        factors = [
            self.microvolts_per_unit(name, part.signals[number].units)
            for name, number in channels.items()
        ]
        signals = read_channels(
            part, list(channels.values()), factors, begin - segment.begin, end - segment.begin
        )
        for name, signal in zip(channels, signals, strict=True):
            size = self._sizes[name]
            found[name][(begin - first) * size : (end - first) * size] = signal


def _name(number: int, line: SignalLine) -> str:
    """Return what a signal is called; one without a description, by its number."""
    return line.name or f"signal {number + 1}"
