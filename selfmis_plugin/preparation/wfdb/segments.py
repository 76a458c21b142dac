"""Records that are put together of others, one after the other, with gaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.wfdb.decoding import frame_count
from selfmis_plugin.preparation.wfdb.header import GAP, Header, read_header

__all__ = ["Segment", "read_segment", "segments_between", "total_frames"]

#: A longer record is a slip of the pen: a recorder that runs for a year is not one of ECGs.
_LONGEST = 366 * 24 * 3600


@dataclass(frozen=True)
class Segment:
    """One of them.

    Attributes
    ----------
    name
        Of its record.
    begin, frames
        Where it begins in the whole record, and its length, in frames.
    """

    name: str
    begin: int
    frames: int


def total_frames(header: Header) -> int:
    """Return the number of frames of a record of segments.

    Raises
    ------
    RecordError
        If there is none, or the header says two numbers.
    """
    total = sum(length for _, length in header.segments)
    if total == 0 or header.frames not in (None, total):
        raise RecordError(
            "bad header",
            f"{header.path.name}: {header.frames or 0} samples announced, its segments have "
            f"{total}",
        )
    if total > _LONGEST * header.rate:
        raise RecordError("bad header", f"{header.path.name}: {total} samples are more than a year")
    return total


def segments_between(header: Header, start: int, stop: int) -> Iterator[Segment]:
    """Yield the segments, not gaps, that have frames from *start* to *stop*."""
    begin = 0
    for name, frames in header.segments:
        if name != GAP and max(start, begin) < min(stop, begin + frames):
            yield Segment(name, begin, frames)
        begin += frames


def read_segment(header: Header, segment: Segment) -> Header:
    """Read a segment's own header.

    Raises
    ------
    RecordError
        If it does not go with the record's, or its files lack samples.
    """
    part = read_header(header.path.with_name(f"{segment.name}.hea"))
    if part.segments or part.rate != header.rate:
        raise RecordError("bad header", f"{part.path.name}: is not a segment of {header.path.name}")
    found = frame_count(part)
    if found < segment.frames:
        raise RecordError(
            "truncated signal file",
            f"{part.path.name}: {found} samples, {header.path.name} expects {segment.frames}",
        )
    return part
