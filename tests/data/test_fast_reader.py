"""The quick way to read plain WFDB records gives what the wfdb library gives."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import digital_to_int16, to_int16, to_microvolts
from selfmis_plugin.data.recording import DigitalRecording, RecordError, Recording
from selfmis_plugin.preparation.record import Prepared, Reader, prepare_recording
from selfmis_plugin.preparation.wfdb.fast_reader import read_plain_record, read_record
from selfmis_plugin.preparation.wfdb.reader import read_recording
from tests.wfdb_files import random_record, write_record


def outcome(reader: Reader, path: Path, **settings: object) -> Prepared | tuple[str, str]:
    """Return what becomes of a record, or kind and reason of its refusal."""
    try:
        return prepare_recording(reader(path), path.name, **settings)  # type: ignore[arg-type]
    except RecordError as error:
        return error.kind, error.reason


def assert_same(path: Path, **settings: object) -> None:
    """Check that both ways give the same recording and the same prepared record."""
    expected, found = (
        outcome(read_recording, path, **settings),
        outcome(read_record, path, **settings),
    )
    if not isinstance(expected, Prepared):
        assert found == expected
        return
    assert isinstance(found, Prepared), found
    assert found.signal.dtype == np.int16
    assert np.array_equal(found.signal, expected.signal)
    assert (found.lead_mask, found.repairs) == (expected.lead_mask, expected.repairs)
    slow, fast = read_recording(path), read_record(path)
    if isinstance(fast, DigitalRecording):
        fast = fast.to_recording()
    assert isinstance(slow, Recording)
    assert np.array_equal(fast.microvolts, slow.microvolts, equal_nan=True)
    assert (fast.leads, fast.rate, fast.notes) == (slow.leads, slow.rate, slow.notes)


def test_real_records(real_data: Path) -> None:
    headers = sorted(real_data.rglob("*.hea"))
    assert len(headers) >= 25
    # Evenly over the databases: all of them take a minute.
    chosen = headers[:: max(1, len(headers) // 60)]
    for header in chosen:
        assert_same(header)
    # ECG-ID's headers name no unit, which the fast reader leaves to the other.
    assert sum(read_plain_record(header) is not None for header in chosen) > len(chosen) / 2


@st.composite
def records(draw: st.DrawFn) -> dict[str, object]:
    """Plain records of every kind: calibration, order, gaps, extremes, length, layout."""
    some = draw(st.lists(st.sampled_from(STANDARD_LEADS), min_size=1, max_size=12, unique=True))
    others = draw(st.lists(st.sampled_from(["Resp", "Vx", "MCL1"]), max_size=2, unique=True))
    leads = draw(st.permutations([*some, *others]))
    samples = draw(st.integers(1, 60))
    high = draw(st.sampled_from([3, 500, 7000, 32767]))
    seed = draw(st.integers(0, 2**16))
    digital = np.random.default_rng(seed).integers(-high, high + 1, (len(leads), samples))
    for lead in draw(st.lists(st.integers(0, len(leads) - 1), max_size=3)):
        start, stop = sorted([draw(st.integers(0, samples)), draw(st.integers(0, samples))])
        digital[lead, start:stop] = -32768
    return {
        "digital": digital,
        "leads": leads,
        "gain": draw(
            st.sampled_from(["1000", "200", "200.0", "1000.0", "204.8", "0.5", "3", "999999999",
                             "0.000000001", "500.", "0", "-200", "1e3", "4880"])
        ),
        "baseline": draw(st.sampled_from([None, 0, 1, -7, 1024, -32768, 32767, 70000])),
        "units": draw(st.sampled_from(["mV", "uV", "V", "MV", "mv", "\u00b5V", "mmHg"])),
        "rate": draw(st.sampled_from([500, "500.0", 100, 250, 1000, 257, "400.5", "500/500"])),
        "offset": draw(st.sampled_from([0, 24, 1, 512])),
        "code": draw(st.sampled_from([16, 16, 16, 212])),
    }  # fmt: skip


@given(record=records(), required=st.sampled_from([STANDARD_LEADS, ("I",), ("V1", "II")]))
@settings(max_examples=100, deadline=None)
def test_generated_records(
    tmp_path_factory: pytest.TempPathFactory, record: dict[str, object], required: tuple[str, ...]
) -> None:
    if record["code"] == 212:
        record["digital"] = np.clip(record["digital"], -2048, 2047)  # type: ignore[call-overload]
    path = write_record(tmp_path_factory.mktemp("r") / "r", **record)  # type: ignore[arg-type]
    assert_same(path, required=required)


@pytest.mark.parametrize("gain", ["1000", "200", "204.8", "100000"])
@pytest.mark.parametrize("samples", [5000, 4321, 6001, 40_000])
def test_records_of_usual_size_take_the_quick_way(tmp_path: Path, gain: str, samples: int) -> None:
    digital = random_record(samples, limit=32767)
    digital[3, 2000:2500] = -32768
    order = [*STANDARD_LEADS[:4], "aVF", "aVL", *STANDARD_LEADS[6:]]
    path = write_record(tmp_path / "r", digital, leads=order, gain=gain, offset=24)
    assert isinstance(read_record(path), DigitalRecording)
    assert isinstance(read_record(path.with_suffix("")), DigitalRecording)
    assert_same(path)
    assert_same(path.with_suffix(""))
    assert_same(path, filter="ecgfounder")


def test_different_calibrations_in_one_record(tmp_path: Path) -> None:
    path = write_record(tmp_path / "r", random_record(300, limit=30_000))
    lines = path.read_text().splitlines()
    for number, calibration in enumerate(["200(5)/mV", "0.5(0)/uV", "204.8(-3)/mV", "2000000/V"]):
        lines[number + 1] = lines[number + 1].replace("1000(0)/mV", calibration)
    path.write_text("\n".join(lines))
    assert read_plain_record(path) is not None
    assert_same(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("r 12 500 40", "r 12 500 40 10:11:12 28/02/2180"),
        ("r 12 500 40", "r 12 500 40 10:11:12.5"),
        ("r 12 500 40", "  r\t12 500 040"),
        ("r 12 500 40", "# comment\n\nr 12 500 40"),
        ("16 0 0 0 0 V6", "12 0 -5 -17 0 V6 "),
        ("16 0 0 0 0 V6", "12 0 -5 -17 0 v6\n# Dx: 164889003\n"),
    ],
)
def test_headers_as_databases_write_them_are_plain(tmp_path: Path, old: str, new: str) -> None:
    path = write_record(tmp_path / "r", random_record(40))
    path.write_text(path.read_text().replace(old, new))
    assert read_plain_record(path) is not None
    assert_same(path)


_LINE = "r.dat 16 1000(0)/mV 16 0 0 0 0 I\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("r 12 500 40", "r 12 500 41"),
        ("r 12 500 40", "r 12 500 0"),
        ("r 12 500 40", "r 12 500"),
        ("r 12 500 40", "r 12"),
        ("r 12 500 40", "r 0 500 40"),
        ("r 12 500 40", "r 13 500 40"),
        ("r 12 500 40", "r 11 500 40"),
        ("r 12 500 40", "r 12 5 40"),
        ("r 12 500 40", "r 12 999999 40"),
        ("r 12 500 40", "r 12 500 40 25:00:00"),
        ("r 12 500 40", "r 12 500 40 10:00:00 31/02/2020"),
        ("r 12 500 40", "r/2 12 500 40"),
        ("r 12 500 40", "r.x 12 500 40"),
        (_LINE, "r.dat 16 1000(0)/mV 16 0 0 0 0 II\n"),
        (_LINE, "r.dat 16 1000(0)/mV 16 0 0 0 0\n"),
        (_LINE, "r.dat 16\n"),
        (_LINE, "x.dat 16 1000(0)/mV 16 0 0 0 0 I\n"),
        (_LINE, "../r.dat 16 1000(0)/mV 16 0 0 0 0 I\n"),
        (_LINE, "r.dat 16:1 1000(0)/mV 16 0 0 0 0 I\n"),
        (_LINE, "r.dat 16x2 1000(0)/mV 16 0 0 0 0 I\n"),
        (_LINE, "r.dat 16+2 1000(0)/mV 16 0 0 0 0 I\n"),
        (_LINE, "r.dat 16 (0)/mV 16 0 0 0 0 I\n"),
        (_LINE, "r.dat 16 1000(0)/\u03bcV 16 0 0 0 0 I\n"),
        (_LINE, "r.dat 16 1000(0)/mV 16 x 0 0 0 I\n"),
        ("r.dat", "R.dat"),
        ("r.dat", "r"),
        ("r.dat 16", "r.dat 17"),
        ("r.dat 16", "r.dat 016"),
        (" I\n", " I\u00e9\n"),
    ],
)
def test_what_is_odd_or_wrong_goes_to_wfdb(tmp_path: Path, old: str, new: str) -> None:
    path = write_record(tmp_path / "r", random_record(40))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert read_plain_record(path) is None
    assert_same(path)
    assert_same(path, required=("V2",))


def test_files_that_are_not_there_or_cut_short(tmp_path: Path) -> None:
    path = write_record(tmp_path / "r", random_record(40))
    assert_same(tmp_path / "absent")
    data = path.with_suffix(".dat")
    data.write_bytes(data.read_bytes()[:-1])
    assert_same(path)
    assert outcome(read_record, path)[0] == "truncated signal file"  # type: ignore[index]
    data.write_bytes(data.read_bytes() + bytes(1000))
    assert isinstance(read_record(path), DigitalRecording)
    assert_same(path)
    data.unlink()
    assert outcome(read_record, path)[0] == "missing signal file"  # type: ignore[index]
    data.mkdir()
    assert_same(path)
    data.rmdir()
    os.mkfifo(data)  # must not wait for somebody to write to it
    assert_same(path)


@given(
    position=st.integers(0, 500),
    removed=st.integers(0, 3),
    inserted=st.text("0123456789 ()/+-.:x#_eImV\t\n\x0b\u00b5", max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_mistyped_headers(
    tmp_path_factory: pytest.TempPathFactory, position: int, removed: int, inserted: str
) -> None:
    path = write_record(tmp_path_factory.mktemp("r") / "r", random_record(30))
    text = path.read_text()
    position %= len(text)
    path.write_text(text[:position] + inserted + text[position + removed :], encoding="utf-8")
    if read_plain_record(path) is not None:
        assert_same(path, required=("V2",))


@given(
    digital=st.lists(st.integers(-32768, 32767), min_size=1, max_size=30),
    gain=st.one_of(
        st.sampled_from([0.5, 1.0, 20.0, 200.0, 250.0, 1000.0, 1e-6, -200.0]), st.floats(1e-9, 1e9)
    ),
    baseline=st.integers(-(10**9), 10**9) | st.integers(-300, 300),
    factor=st.sampled_from([1.0, 1e3, 1e6]),
)
@settings(deadline=None)
def test_integers_equal_floating_point(
    digital: list[int], gain: float, baseline: int, factor: float
) -> None:
    values = np.array([digital], dtype=np.int16)
    columns = [np.array([[float(value)]]) for value in (gain, baseline, factor)]
    microvolts = to_microvolts(values, *columns)
    expected, clipped = to_int16(np.where(values == -32768, 0.0, microvolts))
    found, found_clipped = digital_to_int16(values, *columns)
    assert found.dtype == np.int16
    assert np.array_equal(found, expected)
    assert found_clipped == clipped
