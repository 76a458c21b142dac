"""Synthetic recordings of a wearable beside a reference, as files of several formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import edfio
import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.synthetic import simulate
from tests.wfdb_files import write_record

#: Channels of the files: the reference's, and the wearable's.
REFERENCE = {"CH1": "I", "CH2": "II", "CH3": "V1", "CH4": "V5"}
CHANNELS = (*REFERENCE, "CH20")
MULTI = ",".join(f"{lead}={channel}" for channel, lead in REFERENCE.items())

#: Microvolts of noise in each ten seconds of a recording, unless a test says otherwise.
NOISE = (10.0, 20.0, 10.0, 30.0, 10.0, 20.0)


def wearable_recording(
    patient: int, noise: Sequence[float] = NOISE, rate: int = 500, seed: int = 5
) -> npt.NDArray[np.float64]:
    """Return channels :data:`CHANNELS` in microvolts, (5, samples), 10 s for each noise."""
    rng = np.random.default_rng((seed, patient))
    parts = []
    for visit, level in enumerate(noise):
        record = simulate(seed, patient=patient, visit=visit % 2, infarctions=()).signal
        record = record.astype(np.float64)
        reference = record[[STANDARD_LEADS.index(lead) for lead in REFERENCE.values()]]
        single = 0.5 * record[0] - 0.2 * record[7]
        # Muscle noise, in the band of the beats.
        steps = rng.normal(size=record.shape[1] + 8)
        muscle = np.convolve(steps, np.ones(9) / 3, mode="valid")
        parts.append(np.vstack([reference, single + level * muscle]))
    signals = np.concatenate(parts, axis=1)
    return signals if rate == 500 else resample_poly(signals, rate, 500, axis=1)


def write_csv(
    path: Path,
    signals: npt.NDArray[np.float64],
    rate: float = 500,
    *,
    names: Sequence[str] = CHANNELS,
    separator: str = ",",
    preamble: str = "",
    unit: str = " (uV)",
    trailing: str = "",
    time: bool = True,
) -> Path:
    """Write a text file with a header, a column of seconds and whole microvolts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = separator.join([*(["Time (s)"] if time else []), *(f"{n}{unit}" for n in names)])
    columns = [np.rint(signal).astype(int).astype(str) for signal in signals]
    if time:
        columns.insert(0, np.char.mod("%.6f", np.arange(signals.shape[1]) / rate))
    rows = [separator.join(row) + trailing for row in zip(*columns, strict=True)]
    path.write_text(preamble + "\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def write_edf(
    path: Path,
    signals: npt.NDArray[np.float64],
    rates: Sequence[int] = (500,) * len(CHANNELS),
    names: Sequence[str] = CHANNELS,
) -> Path:
    """Write an EDF file in millivolts; *signals* are of 500 Hz and taken to *rates*."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = [
        edfio.EdfSignal(
            signal[:: 500 // rate] / 1000, rate, label=name, physical_dimension="mV",
            physical_range=(-10, 10),
        )
        for signal, rate, name in zip(signals, rates, names, strict=True)
    ]  # fmt: skip
    edfio.Edf(channels).write(path)
    return path


def write_wfdb(path: Path, signals: npt.NDArray[np.float64], rate: float = 500) -> Path:
    """Write a WFDB record of whole microvolts; return its header."""
    return write_record(
        path, np.rint(signals).astype(int), leads=CHANNELS, rate=rate, gain=1000, units="mV"
    )
