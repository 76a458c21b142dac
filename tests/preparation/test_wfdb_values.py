"""Every reader of WFDB records gives the values of the wfdb library, however they are written."""

from __future__ import annotations

import math
import warnings
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


def at_one_rate(signals: Signals, sizes: dict[str, int]) -> tuple[Signals, int]:
    """The standard leads as `prepare` reads them: means of samples where they differ in rate."""
    leads = {name: signals[name] for name in STANDARD_LEADS if name in signals}
    if not leads:
        return {}, 0
    common = math.gcd(*(sizes[name] for name in leads))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of frames without any sample
        means = {
            name: np.nanmean(signal.reshape(-1, sizes[name] // common), axis=1)
            for name, signal in leads.items()
        }
    return means, common


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
    rate = drawn.rate[1] * frame
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
    rate = drawn.rate * frame
    assume(rate >= 10)
    recording = prepared(read_recording, header)
    assert recording.rate == rate
    assert_close(dict(zip(recording.leads, recording.microvolts, strict=True)), leads)


# -- what the library refuses or gets wrong ------------------------------------------------------

RAMP = np.arange(60, dtype="<i2")


def ramp(folder: Path, text: str, name: str = "r") -> Path:
    """Write a header over a file that counts from 0 to 59."""
    (folder / f"{name}.dat").write_bytes(RAMP.tobytes())
    header = folder / f"{name}.hea"
    header.write_text(text)
    return header


def both_ways(header: Path) -> Signals:
    """The leads of a record, which `prepare` and `predict` read alike."""
    recording = prepared(read_recording, header)
    found = dict(zip(recording.leads, recording.microvolts, strict=True))
    signals, _ = block_by_block(header, 0.03)
    assert_close({lead: signals[lead] for lead in found}, found)
    return found


def test_signals_that_are_late_by_different_times(tmp_path: Path) -> None:
    lines = [f"r.dat 16:{late} 1000/mV 16 0 0 0 0 {lead}" for lead, late in [("I", 1), ("II", 2)]]
    header = ramp(tmp_path, "\n".join(["r 2 100 30", *lines]))
    found = both_ways(header)
    frames = RAMP.reshape(30, 2).astype(float)
    assert_close(found, {"I": np.append(frames[1:, 0], np.nan),
                         "II": np.append(frames[2:, 1], [np.nan] * 2)})  # fmt: skip


def test_a_late_signal_of_several_samples_a_frame(tmp_path: Path) -> None:
    header = ramp(tmp_path, "r 1 100 20\nr.dat 16x3:1 1000/mV 16 0 0 0 0 I\n")
    assert_close(both_ways(header), {"I": np.append(RAMP[3:].astype(float), [np.nan] * 3)})


def test_signals_of_a_file_that_are_not_side_by_side(tmp_path: Path) -> None:
    lines = [f"{name}.dat 16 1000/mV 16 0 0 0 0 {lead}"
             for name, lead in [("r", "I"), ("o", "II"), ("r", "III")]]  # fmt: skip
    header = ramp(tmp_path, "\n".join(["r 3 100 30", *lines]))
    ramp(tmp_path, "", "o")
    frames = RAMP.reshape(30, 2).astype(float)
    expected = {"I": frames[:, 0], "II": RAMP[:30].astype(float), "III": frames[:, 1]}
    assert_close(both_ways(header), expected)


def test_missing_samples_beside_a_file_of_format_61(tmp_path: Path) -> None:
    header = ramp(tmp_path, "r 2 100 30\nr.dat 61 1000/mV 16 0 0 0 0 I\n"
                  "o.dat 80 1000/mV 16 0 0 0 0 II\n")  # fmt: skip
    (tmp_path / "o.dat").write_bytes(bytes(range(30)))
    found = both_ways(header)["II"]
    assert np.isnan(found[0]) and found[1:].tolist() == [k - 128 for k in range(1, 30)]


def test_a_signal_without_samples_is_absent(tmp_path: Path) -> None:
    header = ramp(tmp_path, "r 2 100 60\n~ 0 1000/mV 16 0 0 0 0 I\nr.dat 16 1000/mV 16 0 0 0 0 II")
    assert_close(both_ways(header), {"II": RAMP.astype(float)})
    header.write_text("r 1 100 60\n~ 0 1000/mV 16 0 0 0 0 I\n")
    with pytest.raises(RecordError, match=r"r\.hea: none of its signals has samples"):
        read_recording(header)


def test_leads_of_two_rates_in_frames_of_a_second(tmp_path: Path) -> None:
    header = ramp(tmp_path, "r 2 1 1\nr.dat 16x40 1000/mV 16 0 0 0 0 I\n"
                  "r.dat 16x20 1000/mV 16 0 0 0 0 II\n")  # fmt: skip
    recording = prepared(read_recording, header)
    assert (recording.rate, recording.notes) == (20, ("leads of higher rate averaged to 20 Hz",))
    assert recording.microvolts[0].tolist() == [2 * k + 0.5 for k in range(20)]
    assert recording.microvolts[1].tolist() == list(range(40, 60))


def test_leads_of_two_rates_in_two_segments(tmp_path: Path) -> None:
    ramp(tmp_path, "a 1 100 30\na.dat 16x2 1000/mV 16 0 0 0 0 I\n", "a")
    ramp(tmp_path, "b 1 100 60\nb.dat 16 1000/mV 16 0 0 0 0 II\n", "b")
    header = ramp(tmp_path, "r/2 2 100 90\na 30\nb 60\n")
    recording = prepared(read_recording, header)
    assert (recording.leads, recording.rate) == (("I", "II"), 100)
    assert recording.microvolts[0, :30].tolist() == [2 * k + 0.5 for k in range(30)]
    assert np.isnan(recording.microvolts[[0, 1], [30, 29]]).all()
    assert recording.microvolts[1, 30:].tolist() == list(range(60))
    for name, size in (("a", "3"), ("b", "4")):
        (tmp_path / f"{name}.hea").write_text(
            f"{name} 1 100 15\n{name}.dat 16x{size} 1000/mV 16 0 0 0 0 I\n"
        )
    header.write_text("r/2 1 100 30\na 15\nb 15\n")
    for read in (read_recording, open_recording):
        with pytest.raises(RecordError, match="has another rate in other segments"):
            read(header)


def test_the_length_of_a_flac_file(tmp_path: Path) -> None:
    digital = np.arange(600).reshape(300, 2)
    wfdb.wrsamp(
        "r", 500, ["mV"] * 2, ["I", "II"], d_signal=digital, fmt=["516"] * 2,
        adc_gain=[1000.0] * 2, baseline=[0] * 2, write_dir=str(tmp_path),
    )  # fmt: skip
    header = tmp_path / "r.hea"
    header.write_text(header.read_text().replace("r 2 500 300", "r 2 500"))
    assert_close(both_ways(header), {"I": digital[:, 0] * 1.0, "II": digital[:, 1] * 1.0})
    next(tmp_path.glob("r*.dat")).write_bytes(b"fLaC")
    with pytest.raises(RecordError, match="cannot be read as FLAC"):
        read_recording(header)


def test_after_a_gap_of_hours_the_recording_begins_anew(tmp_path: Path) -> None:
    ramp(tmp_path, "a 1 100 60\na.dat 16 1000/mV 16 0 0 0 0 I\n", "a")
    short, long = 100 * 60, 100 * 3600 * 24 * 100
    header = tmp_path / "r.hea"
    header.write_text(
        f"r/6 1 100 {180 + short + 2 * long}\n~ {long}\na 60\n~ {short}\na 60\n~ {long}\na 60\n"
    )
    blocks = list(open_recording(header).blocks(["I"], 60.0))
    starts = [(block.start, block.continues) for block in blocks]
    first = long / 100
    assert starts == [(first, False), (first + 60, True), (2 * first + 61.2, False)]
    assert [len(block.signals[0]) for block in blocks] == [6000, 120, 60]
    assert np.isnan(blocks[0].signals[0][60:]).all()
