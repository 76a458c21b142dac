"""Reading WFDB records and bringing them into the store's form."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.signal
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from selfmis_plugin.data.leads import (
    STANDARD_LEADS,
    lead_key,
    lead_mask,
    parse_leads,
    standard_lead,
)
from selfmis_plugin.data.preprocessing import (
    Preprocessing,
    PreprocessingError,
    crop_or_pad,
    resample,
    resampling_ratio,
    to_int16,
    to_microvolts,
)
from selfmis_plugin.data.recording import RecordError, Recording
from selfmis_plugin.preparation.record import prepare_recording
from selfmis_plugin.preparation.wfdb.reader import read_recording
from tests.wfdb_files import LIMITS, encode, random_record, write_record


def prepared(path: Path, **settings: object):
    return prepare_recording(read_recording(path), path.name, **settings)


def refusal(path: Path, **settings: object) -> RecordError:
    with pytest.raises(RecordError) as caught:
        prepared(path, **settings)
    return caught.value


# Formats ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(LIMITS))
def test_every_format_gives_the_microvolts_that_were_written(tmp_path: Path, code: int) -> None:
    limit = 60 if code == 8 else min(LIMITS[code], 30_000)
    digital = random_record(limit=limit)
    header = write_record(tmp_path / "r", digital, code=code)
    result = prepared(header)
    assert np.array_equal(result.signal, digital)
    assert result.lead_mask == 0xFFF
    assert result.repairs == ()


@pytest.mark.parametrize("code", [212, 310, 311, 24])
def test_an_incomplete_group_at_the_end_is_read(tmp_path: Path, code: int) -> None:
    digital = random_record(4999, leads=1, limit=500)
    result = prepared(write_record(tmp_path / "r", digital, leads=["I"], code=code), required=["I"])
    assert np.array_equal(result.signal[0, :4999], digital[0])
    assert ("padded", "padded 1 samples") in result.repairs


def test_bytes_before_the_first_sample_are_skipped(tmp_path: Path) -> None:
    digital = random_record()
    assert np.array_equal(
        prepared(write_record(tmp_path / "r", digital, offset=24)).signal, digital
    )


def test_flac_is_read(tmp_path: Path) -> None:
    digital = random_record(5000, leads=2)
    wfdb.wrsamp(
        "r", 500, ["mV"] * 2, ["I", "II"], d_signal=digital.T, fmt=["516"] * 2,
        adc_gain=[1000.0] * 2, baseline=[0] * 2, write_dir=str(tmp_path),
    )  # fmt: skip
    result = prepared(tmp_path / "r.hea", required=["I", "II"])
    assert np.array_equal(result.signal[:2], digital)


def test_real_records_are_exact(real_data: Path) -> None:
    headers = sorted((real_data / "challenge2021").glob("*.hea"))
    assert len(headers) == 25
    for header in headers:
        # scipy reads the MATLAB file without any WFDB code; gain 1000 per mV makes it microvolts.
        expected = scipy.io.loadmat(header.with_suffix(".mat"))["val"]
        result = prepared(header)
        assert np.array_equal(result.signal, np.clip(expected, -32767, 32767)), header.name
        assert result.lead_mask == 0xFFF


# Leads, gain, baseline and units ------------------------------------------------------------------


@given(
    order=st.permutations(STANDARD_LEADS),
    case=st.sampled_from([str, str.lower, str.upper]),
    gain=st.sampled_from([200.0, 204.8, 400.0, 1000.0, 4880.0]),
    baseline=st.integers(-500, 500),
    units=st.sampled_from([("mV", 1e3), ("MV", 1e3), ("uV", 1.0), ("UV", 1.0), ("\u00b5V", 1.0),
                           ("V", 1e6), ("v", 1e6)]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_order_case_gain_baseline_and_units_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    order: list[str],
    case: object,
    gain: float,
    baseline: int,
    units: tuple[str, float],
) -> None:
    unit, factor = units
    digital = random_record(20, limit=400)
    # The same voltages whatever the unit: 400 digital steps stay below 32 mV.
    scaled = gain * factor / 1e3
    header = write_record(
        tmp_path_factory.mktemp("r") / "r",
        digital,
        leads=[case(lead) for lead in order],
        gain=f"{scaled:.6f}",
        baseline=baseline,
        units=unit,
    )
    result = prepared(header)
    microvolts = (digital - baseline) * 1000.0 / gain
    for row, lead in enumerate(order):
        stored = result.signal[STANDARD_LEADS.index(lead), :20]
        assert np.abs(stored - microvolts[row]).max() <= 0.5 + 1e-6


def test_baseline_defaults_to_the_adc_zero(tmp_path: Path) -> None:
    header = write_record(tmp_path / "r", random_record(), baseline=None)
    header.write_text(header.read_text().replace("/mV 16 0 ", "/mV 16 100 "))
    assert np.array_equal(prepared(header).signal, random_record() - 100)


def test_a_header_without_gain_is_read_at_the_default_and_says_so(tmp_path: Path) -> None:
    header = write_record(tmp_path / "r", random_record(), gain=0)
    result = prepared(header)
    assert np.array_equal(result.signal, random_record() * 5)
    assert "200 per mV assumed" in result.repairs[0][1]


def test_further_signals_are_ignored(tmp_path: Path) -> None:
    digital = random_record(leads=14)
    leads = ["Resp", *STANDARD_LEADS, "Vx"]
    header = write_record(tmp_path / "r", digital, leads=leads)
    header.write_text(header.read_text().replace("/mV 16 0 0 0 0 Resp", "/mmHg 16 0 0 0 0 Resp"))
    assert np.array_equal(prepared(header).signal, digital[1:13])


def test_absent_leads_are_zero_and_cleared_when_not_required(tmp_path: Path) -> None:
    digital = random_record(leads=2)
    header = write_record(tmp_path / "r", digital, leads=["V6", "ii"])
    result = prepared(header, required=["II"])
    assert result.lead_mask == lead_mask(["II", "V6"]) == (1 << 1) + (1 << 11)
    assert np.array_equal(result.signal[[11, 1]], digital)
    assert not result.signal[[0, *range(2, 11)]].any()
    error = refusal(header, required=["I", "V6"])
    assert error.kind == "missing lead"
    assert "r.hea" in str(error) and "lacks I" in str(error)


@pytest.mark.parametrize(
    ("lead", "spellings"),
    [
        ("I", ["I", " i ", "Lead I", "LEAD_I", "ECG I", "EKG-I", "ECG lead I", "DI", "Lead DI",
               "Ableitung I", "Derivaci\u00f3n I", "derivacion I", "Derivacio\u0301n I",
               "\u30ea\u30fc\u30c9I", "\uc720\ub3c4 I", "\u2160", "ECG: I", "Lead\u00a0I"]),
        ("II", ["ii", "LeadII", "DII", "ecg lead ii", "\u8a98\u5c0e\u2161"]),
        ("III", ["III", "diii", "Lead III"]),
        ("aVR", ["aVR", "avr", "AVR", "aV R", "a VR", "aV_R", "ECG aVR"]),
        ("V1", ["V1", "v1", "V 1", "V-1", "ECG lead V1", "Lead v1"]),
        (None, ["", "ECG", "lead", "V7", "MLII", "MCL1", "I I", "IV", "ECG I filtered", "-aVR",
                "DV1", "DaVR", "1", "I2", "Vx", "ECG 1"]),
    ],
)  # fmt: skip
def test_lead_names(lead: str | None, spellings: list[str]) -> None:
    assert [standard_lead(name) for name in spellings] == [lead] * len(spellings)
    assert lead is None or {lead_key(name) for name in spellings} == {lead}


def test_what_a_user_calls_leads() -> None:
    assert parse_leads("v1, i,AVF, Lead II") == ("V1", "I", "aVF", "II")
    for wrong in ("", "I,I", "I,i", "I,Lead I", "X", "I,,II"):
        with pytest.raises(ValueError):
            parse_leads(wrong)
    assert lead_key("ECG Chest ") == lead_key("chest") != lead_key("wrist")


# Missing samples, length, rate, range -------------------------------------------------------------


@pytest.mark.parametrize(("code", "missing"), [(16, -32768), (212, -2048), (24, -(2**23))])
def test_missing_samples_become_zero_and_are_counted(
    tmp_path: Path, code: int, missing: int
) -> None:
    digital = random_record(limit=1000)
    digital[0, 100:200] = missing
    digital[5, 10:30] = missing
    result = prepared(write_record(tmp_path / "r", digital, code=code, baseline=3))
    expected = np.where(digital == missing, 0, digital - 3)
    assert np.array_equal(result.signal, expected)
    assert result.repairs == (("missing samples", "120 missing samples set to zero"),)


def test_infinite_samples_become_zero() -> None:
    microvolts = np.ones((12, 5000))
    microvolts[3, :4] = [np.nan, np.inf, -np.inf, 7.0]
    result = prepare_recording(Recording(microvolts, STANDARD_LEADS, 500), "r")
    assert result.signal[3, :5].tolist() == [0, 0, 0, 7, 1]
    assert result.repairs == (("missing samples", "3 missing samples set to zero"),)


def test_missing_samples_that_are_cut_off_are_not_counted(tmp_path: Path) -> None:
    digital = random_record(7000)
    digital[:, :1000] = -32768
    digital[4, 1000:1002] = -32768
    result = prepared(write_record(tmp_path / "r", digital))
    assert [text for _, text in result.repairs] == [
        "2 missing samples set to zero",
        "cropped from 14 s",
    ]


def test_a_lead_without_any_sample_is_absent(tmp_path: Path) -> None:
    digital = random_record()
    digital[7] = -32768
    header = write_record(tmp_path / "r", digital)
    assert "has no valid sample in V2" in str(refusal(header))
    result = prepared(header, required=["I"])
    assert result.lead_mask == 0xFFF - (1 << 7)
    assert not result.signal[7].any()


def test_the_middle_is_kept_and_short_records_are_padded(tmp_path: Path) -> None:
    digital = random_record(6001)
    result = prepared(write_record(tmp_path / "long", digital))
    assert np.array_equal(result.signal, digital[:, 500:5500])
    result = prepared(write_record(tmp_path / "short", digital[:, :1200]))
    assert np.array_equal(result.signal[:, :1200], digital[:, :1200])
    assert not result.signal[:, 1200:].any()
    assert result.repairs == (("padded", "padded 3800 samples"),)


@given(length=st.integers(1, 40), samples=st.integers(1, 40))
def test_crop_or_pad_keeps_the_order_and_the_length(length: int, samples: int) -> None:
    out = crop_or_pad(np.arange(1, length + 1)[None], samples)[0]
    assert len(out) == samples
    kept = out[out > 0]
    assert len(kept) == min(length, samples)
    assert np.array_equal(kept, np.arange(kept[0], kept[0] + len(kept)))
    assert abs((kept[0] - 1) - (length - kept[-1])) <= 1 or length <= samples


def test_values_beyond_int16_are_clipped_and_counted(tmp_path: Path) -> None:
    digital = random_record(limit=6000)
    digital[2, :12] = 7000
    digital[2, 12] = -7000
    result = prepared(write_record(tmp_path / "r", digital, gain=200))
    assert result.signal.max() == 32767 and result.signal.min() == -32767
    assert result.repairs == (("clipped", "clipped 13 samples"),)
    assert np.array_equal(result.signal, np.clip(digital * 5, -32767, 32767))


def test_rounding_to_int16() -> None:
    rounded, clipped = to_int16(np.array([0.4, -0.6, 32767.4, 32768.0, -1e12]))
    assert rounded.tolist() == [0, -1, 32767, 32767, -32767]
    assert clipped == 2


@given(
    digital=st.integers(-(2**31), 2**31 - 1),
    baseline=st.integers(-(2**15), 2**15),
    factor=st.sampled_from([1.0, 1e3, 1e6]),
)
def test_one_step_per_microvolt_is_exact(digital: int, baseline: int, factor: float) -> None:
    microvolts = to_microvolts(np.array([digital]), factor, baseline, factor)
    assert microvolts[0] == digital - baseline


@pytest.mark.parametrize("rate", [100, 250, 257, 360, 400.5, 999.99, 1000, 2000])
def test_resampling_keeps_the_wave(tmp_path: Path, rate: float) -> None:
    def wave(time: np.ndarray) -> np.ndarray:
        return 1000 * np.sin(2 * np.pi * 5 * time) + 300 * np.cos(2 * np.pi * 17 * time) + 500

    time = np.arange(int(12 * rate)) / rate
    digital = np.rint(wave(time))[None]
    header = write_record(tmp_path / "r", digital, leads=["I"], rate=rate)
    result = prepared(header, required=["I"])
    length = -(-digital.shape[1] * 500 // rate)
    start = (length - 5000) // 2
    expected = wave((start + np.arange(5000)) / 500)
    assert np.abs(result.signal[0] - expected).max() < 6
    assert result.repairs[1] == ("resampled", f"resampled from {rate:g} Hz")


def test_resampling_is_scipys_polyphase_away_from_the_ends() -> None:
    signal = np.random.default_rng(0).normal(0, 300, (3, 2570))
    expected = scipy.signal.resample_poly(signal, 500, 257, axis=-1)
    ours = resample(signal, 257, 500)
    assert ours.shape == expected.shape == (3, 5000)
    assert np.abs(ours - expected)[:, 50:-50].max() < 2


def test_an_offset_does_not_ring_at_the_ends() -> None:
    ours = resample(np.full((1, 2570), 800.0), 257, 500)
    assert np.abs(ours - 800).max() < 1


def test_a_single_sample_is_resampled_to_itself() -> None:
    assert np.abs(resample(np.full((2, 1), 800.0), 100, 500) - 800).max() < 1


@given(st.floats(10, 100_000), st.sampled_from([100.0, 250.0, 500.0]))
def test_the_ratio_drifts_less_than_a_tenth_of_a_sample(rate: float, target: float) -> None:
    ratio = resampling_ratio(rate, target)
    assert abs(10 * rate * float(ratio) - 10 * target) < 0.1


@pytest.mark.parametrize("rate", [0, -500, 1e6, float("nan"), float("inf")])
def test_odd_rates_are_refused(rate: float) -> None:
    with pytest.raises(PreprocessingError, match="sampling rate"):
        resample(np.zeros((1, 10)), rate, 500)
    with pytest.raises(RecordError, match="rec7: sampling rate"):
        prepare_recording(Recording(np.ones((12, 10)), STANDARD_LEADS, rate), "rec7")


# Frames, long records, segments -------------------------------------------------------------------


def test_several_samples_per_frame_are_the_true_rate(tmp_path: Path) -> None:
    digital = random_record(leads=2)
    header = write_record(tmp_path / "r", digital, leads=["I", "II"], rate=125, frames=1250)
    frames = digital.reshape(2, 1250, 4).transpose(1, 0, 2)
    header.with_suffix(".dat").write_bytes(encode(frames, 16))
    header.write_text(header.read_text().replace(".dat 16 ", ".dat 16x4 "))
    recording = read_recording(header)
    assert recording.rate == 500
    assert np.array_equal(recording.microvolts, digital)


def test_leads_of_different_rates_come_at_the_frame_rate(tmp_path: Path) -> None:
    slow, fast = random_record(5000, leads=1)[0], random_record(10_000, leads=1, seed=1)[0]
    fast[4:6] = -32768
    fast[8] = -32768
    header = write_record(tmp_path / "r", np.zeros((2, 1)), leads=["I", "II"], frames=5000)
    frames = np.column_stack([slow, fast.reshape(-1, 2)])
    header.with_suffix(".dat").write_bytes(encode(frames, 16))
    text = header.read_text().splitlines()
    header.write_text("\n".join([*text[:2], text[2].replace(".dat 16 ", ".dat 16x2 ")]))
    recording = read_recording(header)
    assert recording.rate == 500 and "averaged" in recording.notes[0]
    assert np.array_equal(recording.microvolts[0], slow)
    assert np.isnan(recording.microvolts[1, 2])
    assert recording.microvolts[1, 4] == fast[9]
    assert np.array_equal(recording.microvolts[1, 10:], fast[20:].reshape(-1, 2).mean(axis=1))


@pytest.mark.parametrize("code", [16, 212, 8, 310])
@pytest.mark.parametrize("known", [True, False])
def test_of_a_long_record_only_the_middle_is_read(tmp_path: Path, code: int, known: bool) -> None:
    digital = random_record(9001, leads=3, limit=60)
    header = write_record(tmp_path / "r", digital, leads=["I", "II", "V1"], code=code, rate=100)
    if not known:
        header.write_text(header.read_text().replace(" 100 9001\n", " 100\n"))
    recording = read_recording(header, longest=60)
    assert np.array_equal(recording.microvolts, digital[:, 1500:7500])
    assert recording.notes == ("only the middle 60 s of 90.01 s read",)
    whole = read_recording(header, longest=1000)
    assert np.array_equal(whole.microvolts, digital)


def test_the_order_of_the_signals_may_follow_two_files(tmp_path: Path) -> None:
    digital = random_record()
    first = write_record(tmp_path / "a", digital[:6], leads=STANDARD_LEADS[:6], code=16)
    second = write_record(tmp_path / "b", digital[6:], leads=STANDARD_LEADS[6:], code=212)
    lines = [*second.read_text().splitlines()[1:], *first.read_text().splitlines()[1:]]
    (tmp_path / "both.hea").write_text("\n".join(["both 12 500 5000", *lines]))
    assert np.array_equal(prepared(tmp_path / "both.hea").signal, digital)


def segmented(folder: Path) -> np.ndarray:
    """Write segments of 2 s, a gap of 1 s and 5 s, the last with other leads; return microvolts."""
    digital = random_record(4000, leads=2)
    write_record(folder / "s1", digital[:, :1000], leads=["II", "I"], gain=1000)
    write_record(folder / "s2", digital[:1, 1500:], leads=["I"], gain=500)
    layout = "\n".join(["lay 2 500 0", "~ 0 1000/mV 16 0 0 0 0 I", "~ 0 1000/mV 16 0 0 0 0 II"])
    (folder / "lay.hea").write_text(layout)
    lines = ["whole/4 2 500 4000", "lay 0", "s1 1000", "~ 500", "s2 2500"]
    (folder / "whole.hea").write_text("\n".join(lines))
    expected = np.full((2, 4000), np.nan)
    expected[0, :1000], expected[1, :1000] = digital[1, :1000], digital[0, :1000]
    expected[0, 1500:] = digital[0, 1500:] * 2
    return expected


def test_segments_are_put_together(tmp_path: Path) -> None:
    expected = segmented(tmp_path)
    recording = read_recording(tmp_path / "whole.hea")
    assert recording.leads == ("I", "II")
    assert np.array_equal(recording.microvolts, expected, equal_nan=True)
    middle = read_recording(tmp_path / "whole.hea", longest=4)
    assert middle.leads == ("I",)  # lead II is only in the first segment
    assert np.array_equal(middle.microvolts[0], expected[0, 1000:3000], equal_nan=True)


def test_a_segment_that_is_too_short_is_refused(tmp_path: Path) -> None:
    segmented(tmp_path)
    text = (tmp_path / "whole.hea").read_text()
    (tmp_path / "whole.hea").write_text(text.replace("4000", "4001").replace("s2 2500", "s2 2501"))
    assert refusal(tmp_path / "whole.hea").kind == "truncated signal file"


# Refusals -----------------------------------------------------------------------------------------

SIGNAL_LINE = "r.dat 16 1000(0)/mV 16 0 0 0 0 I"


@pytest.mark.parametrize(
    ("old", "new", "kind", "reason"),
    [
        ("r 12 500 5000", "", "bad header", "sampling rate"),
        ("r 12 500 5000", "r", "bad header", "not a record line"),
        ("r 12 500 5000", "r 0 500 5000", "bad header", "0 signals"),
        ("r 12 500 5000", "r -3 500 5000", "bad header", "number of signals is -3"),
        ("r 12 500 5000", "r 13 500 5000", "bad header", "13 signals announced, 12 listed"),
        ("r 12 500 5000", "r 999999999 500 5000", "bad header", "999999999 signals"),
        ("r 12 500 5000", "r 12 0 5000", "bad header", "sampling rate 0 Hz"),
        ("r 12 500 5000", "r 12 -500 5000", "bad header", "sampling rate -500 Hz"),
        ("r 12 500 5000", "r 12 1e9 5000", "bad header", "sampling rate 1e+09 Hz"),
        ("r 12 500 5000", "r 12 nan 5000", "bad header", "not finite"),
        ("r 12 500 5000", "r 12 fast 5000", "bad header", "not a number"),
        ("r 12 500 5000", "r 12 500 -1", "bad header", "number of samples is -1"),
        ("r 12 500 5000", "r 12 500 99999999999999", "truncated signal file", "expected"),
        ("r 12 500 5000", "r 12 500 9999999999999999999999", "bad header", "not a whole number"),
        ("r 12 500 5000", "r/99 12 500 5000", "bad header", "99 segments announced"),
        (SIGNAL_LINE, "/etc/passwd 16 1000(0)/mV 16 0 0 0 0 I", "file outside folder", "passwd"),
        (SIGNAL_LINE, "../r.dat 16 1000(0)/mV 16 0 0 0 0 I", "file outside folder", "'../r.dat'"),
        (SIGNAL_LINE, "..\\r.dat 16 1000(0)/mV 16 0 0 0 0 I", "file outside folder", "r.dat"),
        (SIGNAL_LINE, "http://a/b 16 1000(0)/mV 16 0 0 0 0 I", "file outside folder", "http"),
        (SIGNAL_LINE, "x.dat 16 1000(0)/mV 16 0 0 0 0 I", "missing signal file", "x.dat"),
        (SIGNAL_LINE, "r.dat", "bad header", "not a signal line"),
        (SIGNAL_LINE, "r.dat x 1000(0)/mV 16 0 0 0 0 I", "bad header", "format 'x'"),
        (SIGNAL_LINE, "r.dat 212 1000(0)/mV 16 0 0 0 0 I", "bad header", "two formats"),
        (SIGNAL_LINE, "r.dat 16x0 1000(0)/mV 16 0 0 0 0 I", "bad header", "0 samples per frame"),
        (SIGNAL_LINE, "r.dat 16x999999 1(0)/mV 16 0 0 0 0 I", "bad header", "per frame at 500"),
        (SIGNAL_LINE, "r.dat 16:99999 1(0)/mV 16 0 0 0 0 I", "bad header", "skew"),
        (SIGNAL_LINE, "r.dat 16 nan(0)/mV 16 0 0 0 0 I", "bad header", "not finite"),
        (SIGNAL_LINE, "r.dat 16 1e999(0)/mV 16 0 0 0 0 I", "bad header", "not finite"),
        (SIGNAL_LINE, "r.dat 16 1000(x)/mV 16 0 0 0 0 I", "bad header", "gain '1000(x)/mV'"),
        (SIGNAL_LINE, "r.dat 16 1000(0)/mmHg 16 0 0 0 0 I", "unknown units", "'mmHg'"),
        (SIGNAL_LINE, "r.dat 16 1000(0)/nV 16 0 0 0 0 I", "unknown units", "'nV'"),
        (SIGNAL_LINE, "r.dat 16 1000(0)/mV 16 0 0 0 0 ii", "lead twice", "named II"),
        (SIGNAL_LINE, "r.dat 16 1000(0)/mV 16 0 0 0 0 Y", "missing lead", "lacks I"),
        (SIGNAL_LINE, "r.dat 16", "missing lead", "lacks I"),
    ],
)  # fmt: skip
def test_bad_headers_are_refused(
    tmp_path: Path, old: str, new: str, kind: str, reason: str
) -> None:
    header = write_record(tmp_path / "r", random_record())
    text = header.read_text()
    assert text.count(f"{old}\n") == 1
    header.write_text(text.replace(f"{old}\n", f"{new}\n"))
    error = refusal(header)
    assert (error.kind, reason in str(error)) == (kind, True), str(error)
    assert "r.hea" in str(error) or "r.dat" in str(error)


def test_formats_that_wfdb_does_not_know_are_refused(tmp_path: Path) -> None:
    header = write_record(tmp_path / "r", random_record())
    header.write_text(header.read_text().replace(".dat 16 ", ".dat 17 "))
    assert refusal(header).kind == "unknown format"


@pytest.mark.parametrize("code", [16, 24, 212, 311])
def test_a_truncated_file_is_refused_with_both_sizes(tmp_path: Path, code: int) -> None:
    header = write_record(tmp_path / "r", random_record(limit=500), code=code)
    data = header.with_suffix(".dat")
    whole = data.read_bytes()
    data.write_bytes(whole[:-1])
    error = refusal(header)
    assert error.kind == "truncated signal file"
    assert f"r.dat: {len(whole) - 1} bytes found, {len(whole)} expected" in str(error)


def test_files_that_are_no_headers_are_refused(tmp_path: Path) -> None:
    header = tmp_path / "r.hea"
    assert refusal(header).kind == "missing header"
    for content in (b"", b"# only a comment\n", bytes(range(256)) * 50, b"r 1 500 5\n" * 200_000):
        header.write_bytes(content)
        assert refusal(header).kind == "bad header"


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_no_bytes_in_a_header_do_more_than_refuse(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    good = write_record(folder / "r", random_record(50)).read_bytes()
    lines = good.split(b"\n")
    for text in (content, lines[0] + b"\n" + content, b"\n".join([lines[0], content, *lines[2:]])):
        (folder / "r.hea").write_bytes(text)
        try:
            assert read_recording(folder / "r.hea").microvolts.ndim == 2
        except RecordError as error:
            assert error.reason and error.kind


# The description of preprocessing -----------------------------------------------------------------


def test_preprocessing_survives_a_round_trip_and_names_differences() -> None:
    ours = Preprocessing(500, 10.0, ("I",), "none")
    assert Preprocessing.from_dict(ours.to_dict()) == ours
    assert ours.samples == 5000
    assert ours.difference(ours) == []
    other = Preprocessing(250, 10.0, ("I", "II"), "none", normalisation="none")
    lines = ours.difference(other)
    assert [line.split(":")[0] for line in lines] == ["sample_rate", "leads", "normalisation"]
    assert "I, II" in lines[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_rate": 0}, "sample_rate must be a finite number above 0"),
        ({"sample_rate": "500"}, "sample_rate must be a finite number"),
        ({"seconds": float("nan")}, "seconds must be a finite number"),
        ({"leads": "I"}, "leads must be a list"),
        ({"leads": []}, "leads must be a list"),
        ({"leads": 5}, "leads must be a list"),
        ({"filter": ""}, "filter must be a name"),
        ({"colour": "red"}, "no colour"),
    ],
)
def test_wrong_preprocessing_is_refused(change: dict[str, object], message: str) -> None:
    values = {**Preprocessing(500, 10.0, ("I",), "none").to_dict(), **change}
    with pytest.raises(PreprocessingError, match=message):
        Preprocessing.from_dict(values)


def test_incomplete_preprocessing_is_refused() -> None:
    with pytest.raises(PreprocessingError, match="lacks leads, filter"):
        Preprocessing.from_dict({"sample_rate": 500, "seconds": 10})
    with pytest.raises(PreprocessingError, match="table of values"):
        Preprocessing.from_dict(io.StringIO())
