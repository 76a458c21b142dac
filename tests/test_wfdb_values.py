"""Every reader of WFDB records gives the values of the wfdb library, however they are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import wfdb
from hypothesis import assume, given, settings

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.recording import DigitalRecording, RecordError, Recording
from selfmis_plugin.preparation.recordings.opening import open_recording
from selfmis_plugin.preparation.wfdb.fast_reader import read_record
from selfmis_plugin.preparation.wfdb.reader import read_recording
from tests.wfdb_drawn import UNITS, Drawn, DrawnSegments, plain_name, records, segmented

Signals = dict[str, npt.NDArray[np.float64]]


def of_library(header: Path) -> Signals:
    """All signals as the library reads them, in their own unit."""
    record = wfdb.rdrecord(plain_name(header), smooth_frames=False)
    return dict(zip(record.sig_name, record.e_p_signal, strict=True))


def block_by_block(header: Path, seconds: float) -> tuple[Signals, dict[str, float]]:
    """All signals as `predict` and `prepare recordings` read them, and their rates."""
    recording = open_recording(header)
    names = tuple(recording.rates)
    blocks = [block.signals for block in recording.blocks(names, seconds)]
    return (
        {name: np.concatenate([block[k] for block in blocks]) for k, name in enumerate(names)},
        recording.rates,
    )


def at_one_rate(signals: Signals, sizes: dict[str, int]) -> tuple[Signals, set[int]]:
    """The standard leads as `prepare` reads them: means of frames where they differ in rate."""
    leads = {name: signals[name] for name in STANDARD_LEADS if name in signals}
    found = {sizes[name] for name in leads}
    if len(found) == 1:
        return leads, found
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(RuntimeWarning)  # a frame without any sample
        means = {
            name: np.nanmean(signal.reshape(-1, sizes[name]), axis=1)
            for name, signal in leads.items()
        }
    return means, {1}


def assert_close(found: Signals, expected: Signals) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-9, atol=1e-6, err_msg=name)


def prepared(reader: object, header: Path) -> Recording:
    recording = reader(header, 1e9)  # type: ignore[operator]
    return recording.to_recording() if isinstance(recording, DigitalRecording) else recording


@given(drawn=records())
@settings(max_examples=30, deadline=None)
def test_one_segment(tmp_path_factory: pytest.TempPathFactory, drawn: Drawn) -> None:
    header = drawn.write(tmp_path_factory.mktemp("r"))
    expected = {s.name: s.microvolts for s in drawn.signals}
    library = of_library(header)
    assert_close({s.name: library[s.name] * UNITS[s.unit] for s in drawn.signals}, expected)
    sizes = {signal.name: signal.size for signal in drawn.signals}
    for seconds in (1e9, 3 / drawn.rate[1]):
        signals, rates = block_by_block(header, seconds)
        assert_close(signals, expected)
        assert rates == {name: drawn.rate[1] * size for name, size in sizes.items()}
    leads, frame = at_one_rate(expected, sizes)
    assume(leads)
    rate = drawn.rate[1] * frame.pop()
    if rate < 10:
        with pytest.raises(RecordError, match="Hz"):
            prepared(read_recording, header)
        return
    for reader in (read_recording, read_record):
        recording = prepared(reader, header)
        assert recording.rate == rate
        assert_close(dict(zip(recording.leads, recording.microvolts, strict=True)), leads)


@given(drawn=segmented())
@settings(max_examples=30, deadline=None)
def test_segments(tmp_path_factory: pytest.TempPathFactory, drawn: DrawnSegments) -> None:
    header = drawn.write(tmp_path_factory.mktemp("r"))
    there = {s.name for part, _ in drawn.parts if part for s in part.signals}
    expected = {name: drawn.microvolts(name) for name in drawn.sizes}
    assume(there)
    signals, rates = block_by_block(header, 1e9)
    # A signal that the layout names and no segment has may be left out.
    assert there <= signals.keys() <= expected.keys()
    assert_close(signals, {name: expected[name] for name in signals})
    assert_close(block_by_block(header, 3 / drawn.rate)[0], signals)
    assert rates == {name: drawn.rate * drawn.sizes[name] for name in rates}
    # The library reads segments of several units each in its own, and does not say which.
    units = {
        name: {s.unit for part, _ in drawn.parts if part for s in part.signals if s.name == name}
        for name in there
    }
    plain = all(part is None or all(s.gain for s in part.signals) for part, _ in drawn.parts)
    if plain and any(part for part, _ in drawn.parts):
        library = of_library(header)
        one = {name: UNITS[found.pop()] for name, found in units.items() if len(found) == 1}
        assert_close(
            {name: library[name] * factor for name, factor in one.items()},
            {name: expected[name] for name in one},
        )
    leads, frame = at_one_rate(
        {name: values for name, values in expected.items() if name in there}, drawn.sizes
    )
    assume(leads)
    rate = drawn.rate * frame.pop()
    assume(rate >= 10)
    recording = prepared(read_recording, header)
    assert recording.rate == rate
    assert_close(dict(zip(recording.leads, recording.microvolts, strict=True)), leads)
