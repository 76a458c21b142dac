"""Recordings in the formats of hospitals and devices, read by ecgdatakit.

Nothing of what a file says of a person leaves here but sex and age: neither names, nor texts of the
reading library's messages, which may hold them.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.person import Person, age_of, sex_of
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.array_recording import ArrayRecording
from selfmis_plugin.preparation.recordings.content import content_of
from selfmis_plugin.preparation.recordings.long_recording import ReadingOptions
from selfmis_plugin.utils.extras import how_to_install

__all__ = ["PACKAGE", "read_device_file", "reader_is_installed"]

PACKAGE = "ecgdatakit"
_DICOM = "DICOM Waveform"
_ISHNE = "ISHNE Holter"
_PHILIPS = "Philips Sierra XML"

#: What ISHNE's specification proposes for samples without a signal.
_ISHNE_FAULT = -32768
#: A pulse for calibration is longer, in seconds.
_SHORTEST_PULSE = 0.1
#: Seconds that a signal may stay at one step of the recorder, and not be padding.
_LONGEST_AT_ONE_STEP = 0.1

#: The leads that I and II say, from them (Einthoven, Goldberger).
_LIMB_LEADS: dict[str, tuple[float, float]] = {
    "III": (-1, 1),
    "aVR": (-0.5, -0.5),
    "aVL": (1, -0.5),
    "aVF": (-0.5, 1),
}


def reader_is_installed(format: str) -> bool:
    """Whether what reads a format is installed."""
    needed = [PACKAGE, "pydicom"] if format == _DICOM else [PACKAGE]
    return all(importlib.util.find_spec(name) is not None for name in needed)


def read_device_file(path: Path, options: ReadingOptions) -> ArrayRecording:
    """Read a file of one of :data:`~.content.DEVICE_FORMATS` whole.

    Where a file holds I and II, and none of III, aVR, aVL and aVF (as GE's do), these are computed
    from them. Samples that the file marks as missing are NaN.

    Parameters
    ----------
    path
        The file.
    options
        What the user says about it; its unit goes before the file's.

    Raises
    ------
    RecordError
        If it is damaged, of an unknown kind, or the package that reads it is not installed.
    """
    format = content_of(path)
    if format is None or not reader_is_installed(format):
        raise RecordError(
            "reader not installed",
            f"{path.name}: is {format}, which ecgdatakit reads, and it is not installed; "
            + how_to_install("formats"),
        )
    record = _read(path, format)
    names, signals, rates, units, notes = [], [], [], [], _notes(record)
    for lead in record.leads:
        values = np.asarray(lead.samples, dtype=np.float64)
        if format == _DICOM:
            values = _without_false_padding(path, values, lead.sampling_rate)
        elif format == _ISHNE:
            values = np.where(values == _ISHNE_FAULT, np.nan, values)
        names.append(lead.label)
        signals.append(values * lead.resolution + lead.offset if lead.is_raw else values)
        rates.append(float(lead.sampling_rate))
        units.append(lead.resolution_unit if lead.is_raw else lead.units)
    if format == _PHILIPS and (pulse := _calibration_pulse(signals, rates)):
        signals = [signal[:-pulse] for signal in signals]
        notes.append(f"a calibration pulse of {pulse / rates[0]:g} s at its end was cut off")
    found = {name: (s, r, u) for name, s, r, u in zip(names, signals, rates, units, strict=True)}
    for name, signal, rate, unit in _limb_leads(found):
        names.append(name)
        signals.append(signal)
        rates.append(rate)
        units.append(unit)
    person = Person(sex_of(str(record.patient.sex)), age_of(str(record.patient.age)))
    return ArrayRecording(path, signals, names, rates, units, options, notes, person)


def _read(path: Path, format: str) -> Any:
    from ecgdatakit.parsing.parser import FileParser

    logger = logging.getLogger("pydicom")
    was = logger.disabled
    try:
        # What they say may hold what stands in the file.
        logger.disabled = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            record = FileParser.parse(path, auto_scale=False)
    except OSError:
        raise
    except Exception as error:  # whatever its parsing runs into
        raise _refusal(path, format, error) from None
    finally:
        logger.disabled = was
    if record.file_format.name != format:
        raise RecordError(f"not {format}", f"{path.name}: looks like {format}, and is not")
    if not record.leads:
        raise RecordError("no signal", f"{path.name}: is {format}, and holds no recording")
    return record


def _refusal(path: Path, format: str, error: Exception) -> RecordError:
    said = str(error).casefold()
    if "entit" in said:
        return RecordError(
            "XML with entities",
            f"{path.name}: declares XML entities, which can fill the memory or fetch other files, "
            "and which no ECG needs: export it anew, or take them out",
        )
    if type(error).__name__ == "UnsupportedFormatError" or "unsupported" in said:
        return RecordError(
            f"unknown kind of {format}",
            f"{path.name}: is {format} of a kind that is not read: export it otherwise",
        )
    return RecordError(
        f"damaged {format}",
        f"{path.name}: is {format}, and is damaged or cut short: copy or export it again",
    )


def _notes(record: Any) -> list[str]:
    about = record.raw_metadata
    notes = []
    if about.get("checksum_valid") is False:
        notes.append("its checksum does not match its content")
    groups = len(about.get("multiplex_groups", ())) - bool(record.leads) - bool(record.median_beats)
    if groups > 0:
        notes.append(f"{groups} more groups of channels were left aside")
    return notes


def _without_false_padding(
    path: Path, values: npt.NDArray[np.float64], rate: float
) -> npt.NDArray[np.float64]:
    """Give back what a writer whose value for padding is an ordinary one has made missing.

    Many write 0 as the value of padding, and every sample of 0 then comes as NaN. Where the
    signal passes through that value, with steps as it has elsewhere, it is no padding.
    """
    missing = np.isnan(values)
    if not missing.any() or missing.all():
        return values
    padding = _padding(path)
    if padding is None:
        return values
    known = values[~missing]
    largest = np.abs(np.diff(known)).max() if len(known) > 1 else 0.0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(np.int8)))
    restored = values.copy()
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        beside = [values[place] for place in (start - 1, stop) if 0 <= place < len(values)]
        short = (stop - start) / rate <= _LONGEST_AT_ONE_STEP
        if short and all(abs(value - padding) <= largest for value in beside):
            restored[start:stop] = padding
    return restored


def _padding(path: Path) -> float | None:
    """The one value that a DICOM file has for padding; None without one."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path)
        little = dataset.file_meta.TransferSyntaxUID.is_little_endian
        values = {
            int.from_bytes(
                value[: group.WaveformBitsAllocated // 8],
                "little" if little else "big",
                signed=str(group.WaveformSampleInterpretation).startswith("S"),
            )
            for group in dataset.WaveformSequence
            if isinstance(value := group.get("WaveformPaddingValue"), bytes)
        }
    return float(values.pop()) if len(values) == 1 else None


def _calibration_pulse(signals: Sequence[npt.NDArray[np.float64]], rates: Sequence[float]) -> int:
    """The number of samples at the end in which all leads are one rectangle, as no heart is."""
    if len(signals) < 2 or len({len(signal) for signal in signals}) > 1 or len(set(rates)) > 1:
        return 0
    differ = np.flatnonzero(np.ptp(np.stack(signals), axis=0))
    pulse = len(signals[0]) - (differ[-1] + 1 if len(differ) else 0)
    if pulse < _SHORTEST_PULSE * rates[0] or len(np.unique(signals[0][-pulse:])) != 2:
        return 0
    return int(pulse)


def _limb_leads(
    found: dict[str, tuple[npt.NDArray[np.float64], float, str]],
) -> list[tuple[str, npt.NDArray[np.float64], float, str]]:
    """The leads that I and II say, of a recording that has none of them."""
    if not {"I", "II"} <= found.keys() or _LIMB_LEADS.keys() & found.keys():
        return []
    (one, rate, unit), (two, *same) = found["I"], found["II"]
    if len(one) != len(two) or same != [rate, unit]:
        return []
    return [(name, a * one + b * two, rate, unit) for name, (a, b) in _LIMB_LEADS.items()]
