"""ECGFounder's filter: equal to SciPy's step by step, and part of what a store is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.signal
import torch
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.cli import prepare
from selfmis_plugin.data.filter_kernels import compiled, minus_running_median
from selfmis_plugin.data.filters import (
    FILTERS,
    bandpass_filter,
    ecgfounder_filter,
    ecgfounder_filter_reference,
)
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import Preprocessing, PreprocessingError
from selfmis_plugin.data.recording import RecordError, Recording
from selfmis_plugin.data.store import Store
from selfmis_plugin.nn.net1d import Net1D
from selfmis_plugin.preparation.record import prepare_recording
from selfmis_plugin.preparation.wfdb.reader import read_recording
from selfmis_plugin.training.encoder_config import load_tower
from tests.checkpoints.test_checkpoints import SMALL, founder_state, prefixed, training_payload
from tests.wfdb_files import random_record, write_record

RATE = 500
#: Microvolts; a store keeps whole ones.
TOLERANCE = 0.1


def by_hand(signal: np.ndarray, rate: float) -> np.ndarray:
    """What the authors describe, from SciPy's functions, in millivolts and one lead at a time."""
    size = int(0.4 * rate) + 1
    size += 1 - size % 2
    out = []
    for lead in signal / 1000:
        lead = scipy.signal.filtfilt(*scipy.signal.iirnotch(50, 30, rate), lead)
        band = scipy.signal.butter(4, [0.67, 40], btype="bandpass", fs=rate)
        lead = scipy.signal.filtfilt(*band, lead)
        out.append(lead - scipy.signal.medfilt(lead, size))
    return np.array(out) * 1000


def ecg(seconds: float = 10, rate: float = RATE) -> np.ndarray:
    """Two leads with beats, wander, mains and noise, microvolts."""
    time = np.arange(int(seconds * rate)) / rate
    beats = 900 * np.exp(-(((time % 0.83) - 0.3) ** 2) / 2e-4)
    wander = 400 * np.sin(2 * np.pi * 0.23 * time) + 300 * time
    mains = 60 * np.sin(2 * np.pi * 50 * time)
    noise = np.random.default_rng(0).normal(0, 15, (2, len(time)))
    return np.array([[1.0], [-0.4]]) * (beats + wander + mains) + noise


# The filter ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [250, 257, 360.5, 500, 1000])
def test_filter_is_what_the_authors_describe(rate: float) -> None:
    signal = ecg(rate=rate)
    expected = by_hand(signal, rate)
    # The ends included, where the padding of each step shows. The band-pass as a transfer function
    # is ill conditioned: rounding alone, here of millivolts, shows in the third decimal.
    assert np.abs(ecgfounder_filter(signal, rate) - expected).max() < TOLERANCE
    assert np.abs(ecgfounder_filter_reference(signal, rate) - expected).max() < TOLERANCE


@pytest.mark.parametrize("rate", [100, 250, 360.5, 500])
def test_the_band_pass_is_a_high_pass_and_a_low_pass_both_ways(rate: float) -> None:
    signal = ecg(rate=rate)
    expected = signal
    for edge, kind in ((0.67, "highpass"), (40, "lowpass")):
        sections = scipy.signal.butter(5, edge, kind, fs=rate, output="sos")
        expected = scipy.signal.sosfiltfilt(sections, expected)
    assert np.array_equal(bandpass_filter(signal, rate), expected)
    # As one band-pass, a transfer function at 100 Hz, it is the same but for the ends.
    if rate == 100:
        band = scipy.signal.butter(5, [0.67, 40], btype="bandpass", fs=rate)
        other = scipy.signal.filtfilt(*band, signal)
        middle = slice(200, -200)
        assert np.abs(expected - other)[:, middle].max() < 0.05 * np.abs(expected).max()


def test_the_band_pass_says_what_it_cannot_filter() -> None:
    assert bandpass_filter(np.ones((1, 19)), 500).shape == (1, 19)
    for signal, rate, words in (
        (np.ones((1, 18)), 500, "at least 19 samples, not 18"),
        (np.ones((1, 500)), 80, "needs more than 80 samples a second, not 80"),
        (np.full((1, 500), np.nan), 500, "NaN or infinite"),
        (np.ones(500), 500, "must be"),
    ):
        with pytest.raises(PreprocessingError, match=words):
            bandpass_filter(signal, rate)
    assert FILTERS["bandpass"] is bandpass_filter


def test_real_records(real_data: Path) -> None:
    files = sorted((real_data / "challenge2021").glob("*.mat"))
    assert len(files) == 25
    for file in files:
        signal = scipy.io.loadmat(file)["val"]
        expected = by_hand(signal.astype(float), RATE)
        assert np.abs(ecgfounder_filter(signal, RATE) - expected).max() < TOLERANCE, file.name


@given(
    signal=arrays.arrays(
        np.int16,
        st.tuples(st.integers(1, 3), st.integers(28, 400)),
        elements=st.integers(-32767, 32767),
    )
)
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore:kernel_size exceeds")
def test_any_signal_is_filtered_like_the_reference(signal: np.ndarray) -> None:
    expected = ecgfounder_filter_reference(signal, RATE)
    assert np.abs(ecgfounder_filter(signal, RATE) - expected).max() < 1


def test_extreme_signals_are_filtered_like_the_reference() -> None:
    square = np.where(np.arange(5000) % 700 < 350, 32767, -32767)
    spike = np.zeros(5000)
    spike[[0, 2500, 4999]] = [32767, -32767, 32767]
    ramp = np.linspace(-32767, 32767, 5000)
    signal = np.array([square, spike, ramp, 30_000 + spike / 30, np.full(5000, -32767)])
    expected = ecgfounder_filter_reference(signal, RATE)
    assert np.abs(ecgfounder_filter(signal, RATE) - expected).max() < 1
    assert np.abs(expected[:3]).max(axis=1).min() > 300


def test_constants_become_zero_and_absent_leads_stay_so() -> None:
    signal = np.array([np.full(5000, 32767.0), np.full(5000, -3.0), np.zeros(5000)])
    filtered = ecgfounder_filter(signal, RATE)
    assert np.abs(filtered).max() < 0.01
    assert not filtered[2].any()


def test_the_band_passes_and_what_is_outside_does_not() -> None:
    time = np.arange(5000) / RATE
    for hertz, low, high in ((10, 0.9, 1.1), (50, 0, 0.02), (100, 0, 0.02), (0.1, 0, 0.02)):
        wave = np.sin(2 * np.pi * hertz * time)[None]
        left = np.abs(ecgfounder_filter(1000 * wave, RATE)[0, 1000:4000]).max() / 1000
        assert low <= left <= high, hertz


def test_leads_are_filtered_alone_in_whatever_unit() -> None:
    signal = ecg()
    both = ecgfounder_filter(signal, RATE)
    assert np.abs(ecgfounder_filter(signal[1:], RATE) - both[1:]).max() < TOLERANCE
    assert np.abs(1000 * ecgfounder_filter(signal / 1000, RATE) - both).max() < TOLERANCE
    before = signal.copy()
    # Any memory layout, and the input is left as it was.
    assert np.array_equal(ecgfounder_filter(np.asfortranarray(signal), RATE), both)
    assert np.array_equal(signal, before)


@given(
    signal=arrays.arrays(
        np.float64,
        st.tuples(st.integers(1, 3), st.integers(1, 60)),
        # Few values, so that many are equal; and any.
        elements=st.sampled_from([-2.0, -1.0, -0.0, 0.0, 1.0, 3.0])
        | st.floats(-1e300, 1e300, allow_nan=False),
    ),
    half=st.integers(0, 20),
)
@settings(max_examples=150, deadline=None)
def test_running_median_is_exact(signal: np.ndarray, half: int) -> None:
    size = 2 * half + 1
    padded = np.pad(signal, [(0, 0), (half, half)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)
    expected = signal - np.sort(windows, axis=-1)[..., half]
    assert np.array_equal(minus_running_median(signal, size), expected)


@pytest.mark.parametrize(
    ("signal", "rate", "message"),
    [
        (np.zeros(5000), 500, r"\(leads, samples\)"),
        (np.zeros((1, 27)), 500, "at least 28 samples, not 27"),
        (np.zeros((1, 500)), 100, "more than 100"),
        (np.zeros((1, 500)), float("nan"), "more than 100"),
        (np.full((1, 500), np.nan), 500, "missing samples to zero"),
        (np.full((1, 500), np.inf), 500, "missing samples to zero"),
    ],
)
def test_what_cannot_be_filtered_is_refused(signal: np.ndarray, rate: float, message: str) -> None:
    for function in (ecgfounder_filter, ecgfounder_filter_reference):
        with pytest.raises(PreprocessingError, match=message):
            function(signal, rate)


def test_compiled_functions_need_no_place_for_machine_code() -> None:
    # Like a module in an archive, this function has no file beside which numba could write.
    namespace: dict[str, object] = {}
    exec("def double(x):\n    return 2 * x\n", namespace)
    assert compiled(namespace["double"])(21) == 42  # type: ignore[type-var]


# In preparation -----------------------------------------------------------------------------------


def test_the_filter_sees_the_part_that_is_kept(tmp_path: Path) -> None:
    digital = np.rint(ecg(14)).astype(int)
    digital[0, 3000:3010] = -32768
    path = write_record(tmp_path / "r", digital, leads=["II", "V1"])
    result = prepare_recording(read_recording(path), "r", ["II", "V1"], filter="ecgfounder")
    kept = np.where(digital == -32768, 0, digital)[:, 1000:6000]
    expected = np.rint(by_hand(kept, RATE))
    assert np.abs(result.signal[[1, 6]] - expected).max() <= 1
    assert not np.delete(result.signal, [1, 6], axis=0).any()
    assert [kind for kind, _ in result.repairs] == ["absent leads", "missing samples", "cropped"]


def test_short_recordings_are_filtered_before_they_are_padded() -> None:
    signal = ecg(4) + 5000
    recording = Recording(signal, ("I", "II"), RATE)
    result = prepare_recording(recording, "r", ["I"], filter="ecgfounder")
    assert np.abs(result.signal[:2, :2000] - by_hand(signal, RATE)).max() <= 1
    assert not result.signal[:, 2000:].any()
    too_short = Recording(signal[:, :27], ("I", "II"), RATE)
    with pytest.raises(RecordError, match="r: the filter needs at least 28 samples") as caught:
        prepare_recording(too_short, "r", ["I"], filter="ecgfounder")
    assert caught.value.kind == "cannot be filtered"


def test_resampled_recordings_are_filtered_at_the_stores_rate() -> None:
    signal = ecg(rate=1000)
    recording = Recording(signal, ("I", "II"), 1000)
    result = prepare_recording(recording, "r", ["I"], filter="ecgfounder")
    at_500 = scipy.signal.resample_poly(signal, 1, 2, axis=1, padtype="line")
    assert np.abs(result.signal[:2] - by_hand(at_500, RATE)).max() <= 1


def test_prepare_filters_and_says_so(tmp_path: Path) -> None:
    records = {}
    for number in range(3):
        records[f"r{number}"] = np.rint(np.tile(ecg(), (6, 1)) * (1 + number) / 2).astype(int)
        write_record(tmp_path / "db" / f"r{number}", records[f"r{number}"])
    stores = {}
    for name, arguments in {
        "none": (),
        "ecgfounder": ("--filter", "ecgfounder"),
    }.items():
        dest = tmp_path / name
        argv = ["wfdb-folder", str(tmp_path / "db"), "--dest", str(dest), "--workers", "1"]
        assert prepare.main([*argv, *arguments]) == 0
        assert json.loads((dest / "store.json").read_text())["filter"] == name
        stores[name] = Store.open(dest)
    for row, name in enumerate(stores["none"].records["record_id"]):
        assert np.array_equal(stores["none"].signals[row], records[name])
        expected = np.rint(by_hand(records[name], RATE))
        assert np.abs(stores["ecgfounder"].signals[row] - expected).max() <= 1


def test_an_unknown_filter_is_refused(tmp_path: Path, capsys) -> None:
    write_record(tmp_path / "db/r", random_record())
    argv = ["wfdb-folder", str(tmp_path / "db"), "--dest", str(tmp_path / "s"), "--filter", "x"]
    with pytest.raises(SystemExit):
        prepare.main(argv)
    assert "ecgfounder" in capsys.readouterr().err


# In checkpoints -----------------------------------------------------------------------------------


def seen_by_tower(filter: str) -> Preprocessing:
    return Preprocessing(500, 10.0, STANDARD_LEADS, filter)


def test_weights_of_ecgfounder_on_unfiltered_records_say_what_to_do(tmp_path: Path, caplog) -> None:
    path = tmp_path / "12_lead_ECGFounder.pth"
    torch.save({"state_dict": founder_state(SMALL)}, path)
    with caplog.at_level("WARNING"):
        load_tower(Net1D(SMALL), str(path), SMALL, "multi", seen_by_tower("ecgfounder"))
        assert not caplog.records
        load_tower(Net1D(SMALL), str(path), SMALL, "multi", seen_by_tower("none"))
    assert "filter: none here, ecgfounder there" in caplog.text
    assert "selfmis prepare ... --filter ecgfounder" in caplog.text


@pytest.mark.parametrize(("trained", "here"), [("ecgfounder", "none"), ("none", "ecgfounder")])
def test_an_encoder_of_the_other_filter_is_refused(tmp_path: Path, trained: str, here: str) -> None:
    path = tmp_path / "checkpoint.pt"
    payload = training_payload(prefixed(Net1D(SMALL), "towers.multi."), "selfmis")
    payload["task_state"] = {"preprocessing": seen_by_tower(trained).to_dict()}
    torch.save(payload, path)
    load_tower(Net1D(SMALL), str(path), SMALL, "multi", seen_by_tower(trained))
    with pytest.raises(CheckpointError, match=f"filter: {here} here, {trained} there.*--filter"):
        load_tower(Net1D(SMALL), str(path), SMALL, "multi", seen_by_tower(here))


# Against what published weights have seen ---------------------------------------------------------


def as_st_mem(signal: np.ndarray) -> list[np.ndarray]:
    """The crops that ST-MEM's authors make of 10 s at 500 Hz, filtered crop by crop."""
    whole = scipy.signal.resample(signal, 2500, axis=1)
    crops = []
    for start in (0, 125, 250):
        crop = whole[:, start : start + 2250]
        for edge, kind in ((0.67, "highpass"), (40, "lowpass")):
            sections = scipy.signal.butter(5, edge, kind, fs=250, output="sos")
            crop = scipy.signal.sosfiltfilt(sections, crop)
        crops.append((crop - crop.mean()) / crop.std())
    return crops


def as_heartlang(signal: np.ndarray) -> np.ndarray:
    """What HeartLang's authors make of 10 s at 500 Hz."""
    band = scipy.signal.butter(5, [0.67, 40], btype="bandpass", fs=100)
    return scipy.signal.filtfilt(*band, scipy.signal.resample(signal, 1000, axis=1))


def distances(signal: np.ndarray, name: str) -> dict[str, float]:
    """Root mean square from each, in deviations of theirs: whole, and a second from the ends."""
    stored = np.rint(FILTERS[name](signal, RATE))
    ours = scipy.signal.resample_poly(stored, 1, 2, axis=1)
    far: dict[str, list[np.ndarray]] = {"st_mem": [], "heartlang": []}
    for start, theirs in zip((0, 125, 250), as_st_mem(signal), strict=True):
        crop = ours[:, start : start + 2250]
        far["st_mem"].append(((crop - crop.mean()) / crop.std() - theirs) ** 2)
    slow = scipy.signal.resample_poly(stored, 1, 5, axis=1)
    theirs = as_heartlang(signal)
    far["heartlang"].append(((slow - theirs) / theirs.std()) ** 2)
    found = {}
    for who, ends in (("st_mem", 250), ("heartlang", 100)):
        found[who] = float(np.sqrt(np.mean([part.mean() for part in far[who]])))
        middle = [part[:, ends:-ends].mean() for part in far[who]]
        found[f"{who}, middle"] = float(np.sqrt(np.mean(middle)))
    return found


@pytest.mark.slow
def test_the_band_pass_is_near_what_published_weights_saw(
    real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in FILTERS}
    for header in sorted((real_data / "ludb").rglob("*.hea")):
        signal = wfdb.rdrecord(str(header.with_suffix(""))).p_signal.T * 1000
        for name, found in rows.items():
            found.append(distances(signal[:, :5000], name))
    medians = {
        name: {who: float(np.median([row[who] for row in found])) for who in found[0]}
        for name, found in rows.items()
    }
    with capsys.disabled():
        for name, found in medians.items():
            print(f"\n{name} {len(rows[name])}", *(f"{who} {v:.3f}" for who, v in found.items()))
    for who, most in (("st_mem", 0.15), ("heartlang", 0.2)):
        assert medians["bandpass"][who] < most
        assert medians["bandpass"][f"{who}, middle"] < most / 3
        others = [medians[name][who] for name in ("none", "ecgfounder")]
        assert medians["bandpass"][who] < 0.7 * min(others)
