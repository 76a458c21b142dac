"""A changed WFDB record is read alike by every reader, or refused by its name."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from selfmis_plugin.data.leads import standard_lead
from selfmis_plugin.data.recording import DigitalRecording, RecordError, Recording
from selfmis_plugin.preparation.input_files import wfdb_files
from selfmis_plugin.preparation.recordings.long_recording import LongRecording
from selfmis_plugin.preparation.recordings.opening import open_recording
from selfmis_plugin.preparation.wfdb.fast_reader import read_record
from selfmis_plugin.preparation.wfdb.header import segment_names
from selfmis_plugin.preparation.wfdb.reader import read_recording
from tests.fuzz import FUZZ, for_a_while
from tests.fuzz.bounds import bounded
from tests.wfdb_drawn import Drawn, DrawnSegments, records, segmented
from tests.wfdb_files import random_record, write_record

pytestmark = FUZZ

T = TypeVar("T")

_TOKENS = st.one_of(
    st.sampled_from([
        "0", "1", "-1", "2", "10", "500", "1e3", "1e999", "nan", "inf", "-500", "0x10", "1_000",
        "\u0661\u0662", "9" * 18, "9" * 5000, "1e-300", "16", "8", "212", "310", "311", "24", "61",
        "80", "160", "32", "508", "516", "17", "0", "16x4", "16:3", "16+24", "16x999999999",
        "16x2:1+24", "8x3", "1000/mV", "1000(0)/mV", "1(0)/\u00b5V", "1/\u03bcV", "0", "/mV", "(0)",
        "1000(" + "9" * 5000 + ")/mV", "1000(999999999999999999)/V", "~", ".", "..", "../r.dat",
        "/etc/passwd", "r.dat", "r.hea", "r", "r/2", "r/0", "r/99999999", "all", "all/2", "s0",
        "s1", "I", "II", "Lead I", "V1", "DI", "#", "\x00", "\u00e9", "10:11:12", "2006-05-04",
    ]),
    st.integers(-3, 10**10).map(str),
    st.text("0123456789 ()/+-.:x#_eImV\u00b5~", max_size=6),
)  # fmt: skip


@st.composite
def changed_header(draw: st.DrawFn, text: str) -> bytes:
    """Words of some lines replaced, left out or put in, or bytes anywhere."""
    lines = [line.split(" ") for line in text.splitlines()]
    for _ in range(draw(st.integers(1, 4))):
        line = lines[draw(st.integers(0, len(lines) - 1))]
        place = draw(st.integers(0, len(line)))
        match draw(st.integers(0, 5)):
            case 0:
                line.insert(place, draw(_TOKENS))
            case 1:
                del line[place : place + 1]
            case 2:
                lines.insert(draw(st.integers(0, len(lines))), list(line))
            case 3 if len(lines) > 1:
                lines.remove(line)
            case _:
                line[place : place + 1] = [draw(_TOKENS)]
    content = "\n".join(" ".join(line) for line in lines).encode("utf-8", "replace")
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(content)))
        content = content[:place] + draw(st.binary(max_size=4)) + content[place:]
    return content


def outcome(path: Path, use: Callable[[], T]) -> T | RecordError:
    """Return what comes of reading; only our own error may, with a reason that can be shown."""
    with bounded():
        try:
            return use()
        except RecordError as error:
            assert error.kind and 0 < len(error.reason) < 2000
            assert ".hea" in error.reason or ".dat" in error.reason or ".mat" in error.reason
            return error


@contextmanager
def fresh(folder: Path) -> Iterator[Path]:
    """An empty folder in a test's own, whatever was written there for other draws."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        yield Path(name)


def microvolts(recording: Recording | DigitalRecording) -> Recording:
    return recording.to_recording() if isinstance(recording, DigitalRecording) else recording


def whole(recording: LongRecording) -> dict[str, np.ndarray]:
    """The first minutes of the standard leads, as `predict` reads them."""
    names = list(recording.names_of(_leads(recording)))
    found: list[tuple[np.ndarray, ...]] = []
    for block in recording.blocks(names, 60.0):
        found.append(block.signals)
        if len(found) == 3:
            break
    leads = [standard_lead(name) or name for name in names]
    return {lead: np.concatenate([b[k] for b in found]) for k, lead in enumerate(leads)}


def _leads(recording: LongRecording) -> list[str]:
    return [name for name in recording.rates if standard_lead(name)]


def check(path: Path) -> None:
    """Read a record by every door, and compare."""
    with bounded():
        segment_names(path)
        wfdb_files(str(path.with_suffix("")))
    slow = outcome(path, lambda: read_recording(path))
    fast = outcome(path, lambda: read_record(path))
    if isinstance(slow, RecordError) or isinstance(fast, RecordError):
        assert isinstance(slow, RecordError) and isinstance(fast, RecordError)
        assert (slow.kind, slow.reason) == (fast.kind, fast.reason)
        return
    quick = microvolts(fast)
    assert (slow.leads, slow.rate, slow.notes) == (quick.leads, quick.rate, quick.notes)
    assert np.array_equal(slow.microvolts, quick.microvolts, equal_nan=True)
    opened = outcome(path, lambda: open_recording(path))
    assert not isinstance(opened, RecordError), opened
    signals = outcome(path, lambda: whole(opened))
    if isinstance(signals, RecordError) or any(re.match("only|leads of", n) for n in slow.notes):
        return  # of a part, or of several rates
    assert set(signals) >= set(slow.leads)
    for lead, row in zip(slow.leads, slow.microvolts, strict=True):
        assert np.array_equal(signals[lead], row, equal_nan=True), lead


@for_a_while
@given(data=st.data())
def test_headers_of_the_usual_kind(data: st.DataObject, tmp_path: Path) -> None:
    with fresh(tmp_path) as folder:
        signals = random_record(60, leads=3)
        path = write_record(folder / "r", signals, leads=["I", "II", "V1"], offset=24)
        path.write_bytes(data.draw(changed_header(path.read_text())))
        check(path)


@for_a_while
@given(data=st.data(), drawn=records())
def test_headers_of_every_kind(data: st.DataObject, drawn: Drawn, tmp_path: Path) -> None:
    with fresh(tmp_path) as folder:
        path = drawn.write(folder)
        path.write_bytes(data.draw(changed_header(path.read_text(encoding="utf-8"))))
        check(path)


@for_a_while
@given(data=st.data(), drawn=segmented())
def test_headers_of_segments(data: st.DataObject, drawn: DrawnSegments, tmp_path: Path) -> None:
    with fresh(tmp_path) as folder:
        path = drawn.write(folder)
        names = [path.name, *(f"{part.name}.hea" for part, _ in drawn.parts if part)]
        changed = folder / data.draw(st.sampled_from(names))
        changed.write_bytes(data.draw(changed_header(changed.read_text(encoding="utf-8"))))
        check(path)


@for_a_while
@given(data=st.data(), drawn=records())
def test_signal_files(data: st.DataObject, drawn: Drawn, tmp_path: Path) -> None:
    with fresh(tmp_path) as folder:
        path = drawn.write(folder)
        file = folder / f"{drawn.name}_0.dat"
        content = file.read_bytes()
        end = data.draw(st.integers(0, len(content)))
        file.write_bytes(content[:end] + data.draw(st.binary(max_size=20)))
        check(path)


@for_a_while
@given(content=st.binary(max_size=400))
def test_any_bytes(content: bytes, tmp_path: Path) -> None:
    with fresh(tmp_path) as folder:
        path = folder / "r.hea"
        path.write_bytes(content)
        check(path)
