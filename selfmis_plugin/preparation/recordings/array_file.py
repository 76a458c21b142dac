"""Recordings saved as arrays: NumPy's ``.npy`` and MATLAB's ``.mat``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.preparation.recordings.array_recording import ArrayRecording
from selfmis_plugin.preparation.recordings.long_recording import ReadingOptions

__all__ = ["read_mat_file", "read_npy_file"]

#: What a file of fairseq-signals calls its signal: the twelve leads in standard order, in mV.
_SIGNALS_FEATURES = "feats"
_SIGNALS_RATE = "curr_sample_rate"
#: Names by which others say the rate.
_RATES = frozenset({
    "fs", "sfreq", "freq", "frequency", "rate", "samplerate", "samplingrate", "sampfreq",
    "samplefrequency", "samplingfrequency", "currsamplerate",
})  # fmt: skip
#: More rows than these are no channels.
_MOST_CHANNELS = 64


def read_npy_file(path: Path, options: ReadingOptions) -> ArrayRecording:
    """Read an array of (samples,), (channels, samples) or (samples, channels).

    Parameters
    ----------
    path
        The file.
    options
        Rate, unit and names of the channels, none of which the file says.

    Raises
    ------
    RecordError
        If it is damaged or holds something else, or its rate is not given.
    """
    try:
        # Pickled objects run code.
        found = np.load(path, allow_pickle=False)
    except OSError:
        raise
    except Exception as error:
        raise RecordError(
            "bad NumPy file", f"{path.name}: cannot be read as an array of numbers ({error})"
        ) from None
    return _recording(path, _channels(path, found), options.rate, options)


def read_mat_file(path: Path, options: ReadingOptions) -> ArrayRecording:
    """Read the one signal of a MATLAB file (up to version 7), or a file of fairseq-signals.

    The rate is the user's, or that of a number called ``fs``, ``sample_rate`` or the like.

    Parameters
    ----------
    path
        The file.
    options
        What the user says about it.

    Raises
    ------
    RecordError
        If it is damaged, holds no signal or several, or nothing says its rate.
    """
    import scipy.io

    try:
        content = scipy.io.loadmat(path)
    except OSError:
        raise
    except Exception as error:
        raise RecordError(
            "bad MATLAB file", f"{path.name}: cannot be read as MATLAB 5 to 7 ({error})"
        ) from None
    values = {name: value for name, value in content.items() if not name.startswith("__")}
    own = _rate(values)
    recording = _of_matlab(path, values, options.rate or own, options)
    if own is not None and options.rate is not None:
        recording.note_rate(own, options.rate)
    return recording


def _of_matlab(
    path: Path, values: Mapping[str, Any], rate: float | None, options: ReadingOptions
) -> ArrayRecording:
    if _SIGNALS_FEATURES in values and _SIGNALS_RATE in values:
        channels = _channels(path, values[_SIGNALS_FEATURES])
        if len(channels) == len(STANDARD_LEADS) and options.channels is None:
            return ArrayRecording(
                path, channels, STANDARD_LEADS, _checked(path, rate), ["mV"] * 12, options
            )
        return _recording(path, channels, rate, options, "mV")
    signals = {name: value for name, value in values.items() if _may_be_signal(value)}
    if len(signals) != 1:
        raise RecordError(
            "no one signal",
            f"{path.name}: holds {len(signals)} arrays that may be the signal; save a file with "
            "one, (channels, samples)",
        )
    return _recording(path, _channels(path, *signals.values()), rate, options)


def _may_be_signal(value: Any) -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.dtype.kind in "iuf"
        and value.ndim == 2
        and max(value.shape) > _MOST_CHANNELS
    )


def _channels(path: Path, found: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The array as (channels, samples)."""
    values = found[None] if found.ndim == 1 else found
    if values.dtype.kind not in "iuf" or values.ndim != 2 or not values.size:
        raise RecordError(
            "no signal",
            f"{path.name}: holds an array of {found.dtype} of shape {found.shape}: a signal is "
            "numbers, (samples,) or (channels, samples)",
        )
    few, many = sorted(values.shape)
    if few > _MOST_CHANNELS or few == many:
        raise RecordError(
            "no signal",
            f"{path.name}: which axis of its shape {found.shape} is time does not show: save it as "
            "(channels, samples)",
        )
    values = values if values.shape[1] == many else values.T
    return np.ascontiguousarray(values, dtype=np.float64)


def _rate(values: Mapping[str, Any]) -> float | None:
    for name, value in values.items():
        if name.casefold().replace("_", "") in _RATES and np.size(value) == 1:
            number = np.asarray(value).ravel()[0]
            if isinstance(number, np.number) and np.isfinite(number) and number > 0:
                return float(number)
    return None


def _checked(path: Path, rate: float | None) -> float:
    if rate is None:
        raise RecordError(
            "unknown rate", f"{path.name}: says no rate; give the samples a second with --rate"
        )
    return rate


def _recording(
    path: Path,
    channels: npt.NDArray[np.float64],
    rate: float | None,
    options: ReadingOptions,
    unit: str = "",
) -> ArrayRecording:
    names = options.channels or [f"channel {k + 1}" for k in range(len(channels))]
    if len(names) != len(channels):
        raise RecordError(
            "other channels",
            f"{path.name}: has {len(channels)} channels, and {len(names)} names are given",
        )
    return ArrayRecording(path, channels, names, _checked(path, rate), [unit] * len(names), options)
