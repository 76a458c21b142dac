"""Beats of one ECG channel: the XQRS detector of the wfdb package, compiled.

``wfdb.processing.xqrs_detect`` (MIT licence; https://github.com/MIT-LCP/wfdb-python) takes 15 ms
for ten seconds, most of them in Python loops over samples: more than an encoder takes for them.
Here is the same algorithm with its default settings, its loops compiled by numba. It finds the
same beats; the tests compare the two.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.filter_kernels import compiled

# XQRS's defaults: seconds, hertz, beats a minute; amplitude in the unit of the signal.
_QRS_SECONDS = 0.1
_REFRACTORY_SECONDS = 0.2
_BAND_HZ = (5.0, 20.0)
_HIGHEST_PULSE, _FIRST_PULSE, _LOWEST_PULSE = 200.0, 75.0, 25.0
_FIRST_AMPLITUDE = 0.13
_CALIBRATION_BEATS = 8
_LEAST_CORRELATION = 0.6
_WAVELET_WIDTH = 4.0
_LATE = 1.66

_REFINE_SECONDS = 0.06

#: A detector takes a signal and its rate, and returns the samples of QRS complexes, increasing.
Detector = Callable[[npt.NDArray[np.float64], float], npt.NDArray[np.int64]]


def find_beats(
    signal: npt.NDArray[np.float64], rate: float, detector: Detector | None = None
) -> npt.NDArray[np.int64]:
    """Return the samples of the R peaks of one channel, found by XQRS, at extremes.

    Parameters
    ----------
    signal
        (samples,), without missing samples; half a second or more.
    rate
        Samples a second.
    detector
        What finds QRS complexes in place of :func:`xqrs`.
    """
    peaks = (detector or xqrs)(signal, rate)
    if not len(peaks):
        return peaks
    # The detector is a few samples off, differently from beat to beat.
    reach = round(_REFINE_SECONDS * rate)
    around = np.clip(peaks[:, None] + np.arange(-reach, reach + 1), 0, len(signal) - 1)
    near = signal[around] - np.median(signal)
    # Of one direction for all beats: an R as high as its S is deep would jump between them.
    upwards = np.median(near.max(axis=1)) >= np.median(-near.min(axis=1))
    best = near.argmax(axis=1) if upwards else near.argmin(axis=1)
    return np.unique(around[np.arange(len(peaks)), best])


def xqrs(signal: npt.NDArray[np.float64], rate: float) -> npt.NDArray[np.int64]:
    """Return the samples at which XQRS finds QRS complexes, increasing.

    The channel is brought to 5-20 Hz, correlated with a Ricker wavelet as wide as a QRS complex,
    both forward and backward, and squared. Of its peaks those are beats that pass a threshold
    between the running amplitudes of beats and of other peaks; where none comes for 1.66 times
    the running interval, those that pass half of it. The running figures start from the first
    eight peaks that look like the wavelet.

    Parameters
    ----------
    signal
        (samples,), without missing samples; half a second or more.
    rate
        Samples a second.
    """
    from scipy import signal as scipy_signal

    if np.max(signal) == np.min(signal):
        return np.empty(0, dtype=np.int64)
    design = _design(float(rate))
    filtered = scipy_signal.filtfilt(*design.band, np.asarray(signal, dtype=np.float64))
    integrated = scipy_signal.filtfilt(design.wavelet, [1.0], filtered) ** 2
    return _detect(filtered, integrated, rate, design.short_wavelet, design.threshold)


class _Design(NamedTuple):
    """What depends on the rate alone: numerator and denominator of the band, wavelets as wide as
    a QRS complex, and the threshold where nothing can be learned."""

    band: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
    wavelet: npt.NDArray[np.float64]
    short_wavelet: npt.NDArray[np.float64]
    threshold: float


@functools.lru_cache(maxsize=16)
def _design(rate: float) -> _Design:
    from scipy import signal as scipy_signal

    b, a = scipy_signal.butter(2, [2 * edge / rate for edge in _BAND_HZ], "bandpass")
    width, radius = int(_QRS_SECONDS * rate), int(_QRS_SECONDS / 2 * rate)
    taps = _ricker(width)
    # Each gain is doubled because each filter runs twice.
    threshold = _FIRST_AMPLITUDE * 2 * _gain(b, a, rate) * 2 * _gain(taps, np.ones(1), rate)
    return _Design((b, a), taps, _ricker(2 * radius), threshold)


def _ricker(points: int) -> npt.NDArray[np.float64]:
    squared = ((np.arange(points) - (points - 1) / 2) / _WAVELET_WIDTH) ** 2
    height = 2 / (math.sqrt(3 * _WAVELET_WIDTH) * math.pi**0.25)
    return np.asarray(height * (1 - squared) * np.exp(-squared / 2))


def _gain(b: npt.NDArray[np.float64], a: npt.NDArray[np.float64], rate: float) -> float:
    from scipy import signal as scipy_signal

    frequencies, response = scipy_signal.freqz(b, a)
    middle = np.mean(_BAND_HZ) * 2 * np.pi / rate
    return float(np.abs(response[np.flatnonzero(frequencies >= middle)[0]]))


@compiled
def _detect(
    filtered: npt.NDArray[np.float64],
    integrated: npt.NDArray[np.float64],
    rate: float,
    wavelet: npt.NDArray[np.float64],
    first_threshold: float,
) -> npt.NDArray[np.int64]:
    radius = len(wavelet) // 2
    refractory = int(_REFRACTORY_SECONDS * rate)
    longest = 60 * rate / _LOWEST_PULSE
    learned, beat, other, interval, last = _learn(filtered, integrated, rate, wavelet)
    if not learned:
        beat, other = 27 / 40 * first_threshold, 27 / 400 * first_threshold
        interval, last = 60 * rate / _FIRST_PULSE, 0.0
    threshold = 0.25 * beat + 0.75 * other
    peaks = _local_peaks(integrated, radius)
    found = np.empty(len(peaks), dtype=np.int64)
    count = 0
    searched = -1  # peak after which a search backwards begins; there is none before a beat
    for number in range(len(peaks)):
        sample = peaks[number]
        if sample - last > refractory and integrated[sample] > threshold:
            if sample - last < longest:
                interval = 0.875 * interval + 0.125 * (sample - last)
            found[count] = sample
            count += 1
            last, searched = float(sample), number
            beat = 0.875 * beat + 0.125 * integrated[sample]
            threshold = 0.25 * beat + 0.75 * other
        else:
            # Seen only by the next beat's threshold.
            other = 0.875 * other + 0.125 * integrated[sample]
        if number + 1 == len(peaks) or searched < 0:
            continue
        if peaks[number + 1] - last <= _LATE * interval:
            continue
        for earlier in range(searched + 1, number + 1):
            sample = peaks[earlier]
            if sample - last > refractory and integrated[sample] > threshold / 2:
                if sample - last < longest:
                    interval = 0.875 * interval + 0.125 * (sample - last)
                found[count] = sample
                count += 1
                last, searched = float(sample), number
                beat = 0.75 * beat + 0.25 * integrated[sample]
                threshold = 0.25 * beat + 0.75 * other
    return found[:count]


@compiled
def _learn(
    filtered: npt.NDArray[np.float64],
    integrated: npt.NDArray[np.float64],
    rate: float,
    wavelet: npt.NDArray[np.float64],
) -> tuple[bool, float, float, float, float]:
    """Return whether there are enough beats to learn from, the amplitudes of beats and of other
    peaks, the interval, and a sample before which there is no beat."""
    radius, width = len(wavelet) // 2, int(_QRS_SECONDS * rate)
    shortest, longest = 60 * rate / _HIGHEST_PULSE, 60 * rate / _LOWEST_PULSE
    peaks = _local_peaks(filtered, radius)
    nothing = (False, 0.0, 0.0, 0.0, 0.0)
    inside = np.flatnonzero(peaks <= len(filtered) - width)
    if len(inside) == 0:
        return nothing
    first = last = -longest
    beats, others, intervals = 0, 0, 0
    beat, other, interval = 0.0, 0.0, 0.0
    # The last one inside is left out, as by XQRS.
    for number in range(inside[-1]):
        sample = peaks[number]
        if sample <= width:
            continue
        around = filtered[sample - radius : sample + radius]
        size = math.sqrt(np.sum(around * around))
        alike = np.sum(around * wavelet) > _LEAST_CORRELATION * size
        if alike and sample - last > shortest:
            if beats == 0:
                first = sample
            elif sample - last < longest:
                interval += sample - last
                intervals += 1
            last = float(sample)
            beat += integrated[sample]
            beats += 1
            if beats == _CALIBRATION_BEATS:
                break
        else:
            other += integrated[sample]
            others += 1
    if beats < _CALIBRATION_BEATS:
        return nothing
    beat /= beats
    return (
        True,
        beat,
        other / others if others else beat / 10,
        interval / intervals if intervals else 60 * rate / _FIRST_PULSE,
        min(0.0, first - shortest - 1),
    )


@compiled
def _local_peaks(values: npt.NDArray[np.float64], radius: int) -> npt.NDArray[np.int64]:
    """Return the samples that no other within *radius* is larger than.

    As in wfdb the one at *radius* to the right is not compared, and the search goes on *radius*
    after a peak.
    """
    peaks = np.empty(len(values) // max(1, radius) + 1, dtype=np.int64)
    count = 0
    i = 0
    while i < len(values):
        largest = True
        # The first samples are compared with all before them.
        begin = 0 if i <= radius else i - radius
        for k in range(begin, min(i + radius, len(values))):
            if values[k] > values[i]:
                largest = False
                break
        if largest:
            peaks[count] = i
            count += 1
            i += radius
        else:
            i += 1
    return peaks[:count]
