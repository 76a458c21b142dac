"""Filters that a store can be made with.

``none`` is what SelfMIS describes. ``ecgfounder`` is what ECGFounder's weights were trained on
(Li et al., NEJM AI 2025; https://github.com/PKUDigitalHealth/ECGFounder): a 50 Hz notch with
Q = 30 and a Butterworth band-pass of order 4 from 0.67 to 40 Hz, each run forward and backward,
minus a running median of 0.4 s. ``bandpass`` keeps the same 0.67 to 40 Hz alone, with order 5, as
the published weights of masked and word models were trained on (Na et al., "Guiding Masked
Representation Learning to Capture Spatio-Temporal Relationship of Electrocardiogram", ICLR 2024;
Jin et al., "Reading Your Heart", ICLR 2025).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.filter_kernels import filter_both_ways, minus_running_median
from selfmis_plugin.data.filter_names import BANDPASS, ECGFOUNDER, NO_FILTER
from selfmis_plugin.data.preprocessing import PreprocessingError

POWER_LINE_HZ = 50.0
QUALITY = 30.0
BAND_HZ = (0.67, 40.0)
ORDER = 4
MEDIAN_SECONDS = 0.4
BANDPASS_ORDER = 5

#: A filter takes a signal (leads, samples) and its sampling rate, and returns one like it.
Filter = Callable[[npt.NDArray[np.float64], float], npt.NDArray[np.float64]]


class _Stage(NamedTuple):
    """A linear filter: coefficients, state at rest, and samples added at each end."""

    b: npt.NDArray[np.float64]
    a: npt.NDArray[np.float64]
    initial: npt.NDArray[np.float64]
    pad: int


def ecgfounder_filter(signal: npt.ArrayLike, rate: float) -> npt.NDArray[np.float64]:
    """Filter an ECG as ECGFounder's training data was.

    Every lead is filtered on its own. The filter is linear but for the median, and scales with
    its input: in whatever unit the signal comes it leaves. A constant lead becomes zero, and an
    absent one, all zeros, stays so.

    Beyond its ends the signal is continued point-symmetrically for the linear filters, and taken
    for zero by the median, as by the authors; the result near the ends depends on where a
    recording is cut. ECGFounder's records were 10 s: cut a longer one first.

    Parameters
    ----------
    signal
        (leads, samples) in any unit; integers are taken as they are.
    rate
        Samples a second; ECGFounder's is 500.

    Returns
    -------
    numpy.ndarray
        float64, (leads, samples).

    Raises
    ------
    PreprocessingError
        If the signal is not of this shape, holds a NaN or infinite sample, is too short (up to
        27 samples), or its rate is too low for the notch (up to 100 Hz).

    Notes
    -----
    Equal to :func:`ecgfounder_filter_reference`, bit for bit on the machines where this was
    looked at. It is faster because all leads go through a linear filter together, and because
    of how :func:`~selfmis_plugin.data.filter_kernels.minus_running_median` finds the median.

    Examples
    --------
    >>> import numpy as np
    >>> ecgfounder_filter(np.full((12, 5000), 800.0), rate=500).round(3).any()
    np.False_
    """
    values = _checked_for_ecgfounder(signal, rate)
    # The kernel works on all leads of one moment at once, so these belong beside each other.
    turned = np.ascontiguousarray(values.T)
    for stage in _stages(rate):
        turned = filter_both_ways(turned, *stage)
    return minus_running_median(np.ascontiguousarray(turned.T), _median_size(rate))


def ecgfounder_filter_reference(signal: npt.ArrayLike, rate: float) -> npt.NDArray[np.float64]:
    """Filter like :func:`ecgfounder_filter`, one lead and one step after the other, with SciPy.

    Parameters, result and errors are the same. This is the definition that the faster one is
    tested and measured against.
    """
    from scipy import signal as scipy_signal

    filtered = _checked_for_ecgfounder(signal, rate).copy()
    notch, band_pass = _stages(rate)
    for lead in filtered:
        lead[:] = scipy_signal.filtfilt(notch.b, notch.a, lead)
        lead[:] = scipy_signal.filtfilt(band_pass.b, band_pass.a, lead)
        lead -= scipy_signal.medfilt(lead, _median_size(rate))
    return filtered


def bandpass_filter(signal: npt.ArrayLike, rate: float) -> npt.NDArray[np.float64]:
    """Filter an ECG by a Butterworth high-pass at 0.67 Hz, then a low-pass at 40 Hz, order 5 each,
    each run forward and backward.

    Every lead is filtered on its own; the filter is linear. Second-order sections: at 500 Hz a
    transfer function of this order is badly conditioned.

    Parameters
    ----------
    signal
        (leads, samples) in any unit; integers are taken as they are.
    rate
        Samples a second, above 80.

    Returns
    -------
    numpy.ndarray
        float64, (leads, samples).

    Raises
    ------
    PreprocessingError
        If the signal is not of this shape, holds a NaN or infinite sample, is too short (up to
        18 samples), or its rate is too low.

    Examples
    --------
    >>> import numpy as np
    >>> bandpass_filter(np.full((12, 5000), 800.0), rate=500).round(3).any()
    np.False_
    """
    from scipy import signal as scipy_signal

    if not rate > 2 * BAND_HZ[1]:
        raise PreprocessingError(
            f"a low-pass at {BAND_HZ[1]:g} Hz needs more than {2 * BAND_HZ[1]:g} samples a second, "
            f"not {rate:g}"
        )
    sections = _bandpass_sections(rate)
    # More than sosfiltfilt's default padding of an odd order, whose first section is of order 1.
    values = _checked(signal, 3 * 2 * len(sections[0]) + 1)
    for section in sections:
        values = scipy_signal.sosfiltfilt(section, values)
    return values


def unfiltered(signal: npt.NDArray[np.float64], rate: float) -> npt.NDArray[np.float64]:
    """Return the signal as it is, whatever its rate."""
    del rate
    return signal


#: Filters by the name that ``store.json`` gives.
FILTERS: Mapping[str, Filter] = {
    NO_FILTER: unfiltered,
    ECGFOUNDER: ecgfounder_filter,
    BANDPASS: bandpass_filter,
}


def _checked_for_ecgfounder(signal: npt.ArrayLike, rate: float) -> npt.NDArray[np.float64]:
    if not rate > 2 * POWER_LINE_HZ:
        raise PreprocessingError(
            f"a notch at {POWER_LINE_HZ:g} Hz needs more than {2 * POWER_LINE_HZ:g} samples a "
            f"second, not {rate:g}"
        )
    return _checked(signal, max(stage.pad for stage in _stages(rate)) + 1)


def _checked(signal: npt.ArrayLike, shortest: int) -> npt.NDArray[np.float64]:
    values = np.asarray(signal, dtype=np.float64)
    if values.ndim != 2:
        raise PreprocessingError(f"a signal must be (leads, samples), not of shape {values.shape}")
    if values.shape[1] < shortest:
        raise PreprocessingError(
            f"the filter needs at least {shortest} samples, not {values.shape[1]}"
        )
    if not np.isfinite(values).all():
        raise PreprocessingError("a sample is NaN or infinite; set missing samples to zero first")
    return values


@functools.lru_cache(maxsize=16)
def _stages(rate: float) -> tuple[_Stage, _Stage]:
    # Transfer functions, as the authors have them, and not the better conditioned second-order
    # sections: what rounding does to the poles is part of what the weights have seen.
    from scipy import signal as scipy_signal

    notch = scipy_signal.iirnotch(POWER_LINE_HZ, QUALITY, fs=rate)
    band_pass = scipy_signal.butter(ORDER, BAND_HZ, btype="bandpass", fs=rate)
    return _stage(*notch), _stage(*band_pass)


@functools.lru_cache(maxsize=16)
def _bandpass_sections(rate: float) -> tuple[npt.NDArray[np.float64], ...]:
    from scipy import signal as scipy_signal

    return tuple(
        scipy_signal.butter(BANDPASS_ORDER, edge, btype=kind, fs=rate, output="sos")
        for edge, kind in zip(BAND_HZ, ("highpass", "lowpass"), strict=True)
    )


def _stage(b: npt.NDArray[np.float64], a: npt.NDArray[np.float64]) -> _Stage:
    # filtfilt's default padding.
    from scipy import signal as scipy_signal

    return _Stage(b, a, scipy_signal.lfilter_zi(b, a), 3 * len(a))


def _median_size(rate: float) -> int:
    size = int(MEDIAN_SECONDS * rate) + 1
    return size if size % 2 else size + 1
