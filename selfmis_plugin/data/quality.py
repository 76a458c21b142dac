"""Whether a stretch of one ECG channel is good enough to learn from, or to read.

Signs of a channel that shows no ECG (missing, flat, clipped, off, noisy), the number of beats, and
a figure between 0 and 1 for how alike the beats are.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.beats import Detector, find_beats
from selfmis_plugin.data.preprocessing import replace_non_finite, resample
from selfmis_plugin.data.thresholds import PUBLISHED_THRESHOLD

#: Most of the samples that may be missing; they are then interpolated.
LARGEST_MISSING = 0.01
#: A channel is flat if it stays within so many microvolts for so many seconds.
FLAT_MICROVOLTS = 5.0
FLAT_SECONDS = 2.0
#: A channel is clipped if more than this share of its samples lies on its highest or lowest value,
#: at least three in a row, away from the baseline.
LARGEST_CLIPPED = 0.01
#: A channel is off if more than this share of its samples is so far from its median.
LARGEST_OFF = 0.05
OFF_MICROVOLTS = 5000.0
#: Numbers of beats in ten seconds that a heart has.
FEWEST_BEATS = 5.0
MOST_BEATS = 25.0

#: What beats are found and compared in: 250 Hz, and the band of a monitor.
BEAT_RATE = 250.0
BEAT_BAND = (0.5, 40.0)

#: Signs in the order in which they are told.
SIGNS = ("missing", "flat", "clipped", "off", "noisy", "beats")


@dataclass(frozen=True)
class Quality:
    """What :func:`assess` found.

    Attributes
    ----------
    figure
        How alike the beats are, 0 to 1; 0 where there are no beats to compare.
    beats
        Number of beats found.
    reasons
        Signs that make the channel unusable whatever its figure, of :data:`SIGNS`.
    at
        Seconds of the beats' R peaks from the beginning.
    """

    figure: float
    beats: int
    reasons: tuple[str, ...]
    at: tuple[float, ...] = ()

    def usable(self, threshold: float = PUBLISHED_THRESHOLD) -> bool:
        """Whether there is no bad sign and the figure reaches *threshold*."""
        return not self.reasons and self.figure >= threshold


def assess(signal: npt.ArrayLike, rate: float, detector: Detector | None = None) -> Quality:
    """Assess a stretch of one channel, such as ten seconds.

    The figure is the mean correlation of every beat with the average beat (Orphanidou et al.,
    "Signal-quality indices for the electrocardiogram and photoplethysmogram: derivation and
    applications to wireless monitoring", IEEE JBHI 19(3), 2015, section III): beats as wide as
    the median distance between them, centred on the R peak. Here the signal is brought to 250 Hz
    and 0.5-40 Hz first, R peaks are moved to the nearest extreme, and a negative mean counts as 0.
    The beats are those of :func:`~selfmis_plugin.data.beats.find_beats`.

    Parameters
    ----------
    signal
        Microvolts, (samples,); missing samples are NaN.
    rate
        Samples a second.
    detector
        What finds the beats in place of the compiled XQRS.

    Returns
    -------
    Quality
        The figure is computed only where there is no other bad sign than the number of beats.

    Raises
    ------
    ValueError
        If the signal is not one channel of at least two seconds.
    """
    values = np.asarray(signal, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 * rate:
        raise ValueError(
            f"a signal of shape {values.shape} at {rate:g} Hz is not one channel of two seconds"
        )
    reasons = list(signs(values[None], rate)[0])
    if reasons:
        return Quality(0.0, 0, tuple(reasons))
    beat_signal = in_beat_band(interpolate_missing(values[None]), rate)[0]
    peaks = find_beats(beat_signal, BEAT_RATE, detector)
    in_ten_seconds = len(peaks) * 10 * rate / len(values)
    if not FEWEST_BEATS <= in_ten_seconds <= MOST_BEATS:
        reasons.append("beats")
    similarity = beat_similarity(beat_signal, peaks, BEAT_RATE)
    return Quality(similarity, len(peaks), tuple(reasons), tuple((peaks / BEAT_RATE).tolist()))


def signs(signals: npt.NDArray[np.float64], rate: float) -> list[tuple[str, ...]]:
    """Return what is wrong with each of several channels, whatever their beats.

    ``missing``
        More than 1 % of the samples.
    ``flat``
        Within 5 microvolts for two seconds.
    ``clipped``
        More than 1 % of the samples lie on the highest or the lowest value, three or more in a
        row, and that value is away from the median by a quarter of the range or more.
    ``off``
        More than 5 % of the samples are 5 mV or more away from the median.
    ``noisy``
        More power above 40 Hz (mains, muscle) than from 0.5 to 40 Hz.

    Parameters
    ----------
    signals
        Microvolts, (channels, samples); missing samples are NaN.
    rate
        Samples a second.

    Returns
    -------
    list of tuple of str
        For each channel its bad signs, in the order of :data:`SIGNS`.
    """
    missing = ~np.isfinite(signals)
    filled = interpolate_missing(signals)
    offset = filled - np.median(filled, axis=1, keepdims=True)
    found = {
        "missing": missing.mean(axis=1) > LARGEST_MISSING,
        "flat": _flat(filled, rate),
        "clipped": _clipped_share(offset) > LARGEST_CLIPPED,
        "off": (np.abs(offset) >= OFF_MICROVOLTS).mean(axis=1) > LARGEST_OFF,
        "noisy": _noisy(offset, rate),
    }
    return [
        tuple(name for name, channels in found.items() if channels[k]) for k in range(len(signals))
    ]


def beat_similarity(
    signal: npt.NDArray[np.float64], peaks: npt.NDArray[np.int64], rate: float
) -> float:
    """Return the mean correlation of each beat with the average beat, 0 to 1.

    Parameters
    ----------
    signal
        (samples,), without missing samples.
    peaks
        Samples of the R peaks, increasing.
    rate
        Samples a second.

    Returns
    -------
    float
        0 where fewer than two beats lie whole within the signal, or the mean is negative.
    """
    if len(peaks) < 2:
        return 0.0
    reach = max(1, int(np.median(np.diff(peaks)) // 2))
    whole = peaks[(peaks >= reach) & (peaks + reach < len(signal))]
    if len(whole) < 2:
        return 0.0
    beats = signal[whole[:, None] + np.arange(-reach, reach + 1)]
    template = beats.mean(axis=0)
    beats = beats - beats.mean(axis=1, keepdims=True)
    template = template - template.mean()
    norms = np.linalg.norm(beats, axis=1) * np.linalg.norm(template)
    correlations = np.divide(beats @ template, norms, out=np.zeros(len(beats)), where=norms > 0)
    return float(np.clip(correlations.mean(), 0.0, 1.0))


def interpolate_missing(signals: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the channels, (channels, samples), with missing samples on a straight line.

    Before the first and after the last valid sample its value goes on; a channel without any
    becomes zero.
    """
    missing = ~np.isfinite(signals)
    if not missing.any():
        return signals
    filled = replace_non_finite(signals)
    for channel in np.flatnonzero(missing.any(axis=1) & ~missing.all(axis=1)):
        gaps = missing[channel]
        filled[channel, gaps] = np.interp(
            np.flatnonzero(gaps), np.flatnonzero(~gaps), signals[channel, ~gaps]
        )
    return filled


def choose_threshold(
    figures: npt.ArrayLike, lowest: float = 0.5, highest: float = 0.8, bins: int = 200
) -> float:
    """Return the threshold of figures that parts a batch into good and bad.

    Otsu's ("A threshold selection method from gray-level histograms", IEEE Trans. SMC 9(1), 1979):
    the one with the largest variance between the two parts, over a histogram. It parts any batch,
    also one of good windows alone or of noise alone; so it is held between *lowest* and *highest*.
    (The beats that a detector finds in noise are alike to 0.3-0.57: they are aligned on peaks.)

    Parameters
    ----------
    figures
        Figures of all windows that have no bad sign, 0 to 1.
    lowest, highest
        Bounds of the threshold; *highest* is returned for fewer than two figures.
    bins
        Bins of the histogram between 0 and 1.
    """
    values = np.asarray(figures, dtype=np.float64)
    if len(values) < 2:
        return highest
    counts, edges = np.histogram(values, bins=bins, range=(0.0, 1.0))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = len(values) - below
    sums = np.cumsum(counts * centres)
    means_below = np.divide(sums[:-1], below, out=np.zeros(bins - 1), where=below > 0)
    means_above = np.divide(sums[-1] - sums[:-1], above, out=np.zeros(bins - 1), where=above > 0)
    between = below * above * (means_below - means_above) ** 2
    # Every cut within the gap between the two parts is as good: take its middle.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float(np.clip(edges[1:-1][best].mean(), lowest, highest))


def describe(reasons: Sequence[str]) -> str:
    """Return the signs as a phrase for a reader."""
    return ", ".join(_PHRASES[reason] for reason in reasons)


_PHRASES = {
    "missing": f"more than {LARGEST_MISSING:.0%} of the samples missing",
    "flat": f"flat for {FLAT_SECONDS:g} s",
    "clipped": "clipped",
    "off": f"beyond {OFF_MICROVOLTS / 1000:g} mV of its median",
    "noisy": f"more power above than below {BEAT_BAND[1]:g} Hz",
    "beats": f"not {FEWEST_BEATS:g} to {MOST_BEATS:g} beats in 10 s",
}


def _flat(signals: npt.NDArray[np.float64], rate: float) -> npt.NDArray[np.bool_]:
    from scipy import ndimage

    length = max(2, math.ceil(FLAT_SECONDS * rate))
    if length > signals.shape[1]:
        return np.ptp(signals, axis=1) <= FLAT_MICROVOLTS
    high = ndimage.maximum_filter1d(signals, length, axis=1)
    low = ndimage.minimum_filter1d(signals, length, axis=1)
    # Only spans that lie whole within the signal; the filters' others are shorter.
    inside = slice(length // 2, signals.shape[1] - (length - 1) // 2)
    return np.asarray(np.any((high - low)[:, inside] <= FLAT_MICROVOLTS, axis=1))


def _clipped_share(offset: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    from scipy import ndimage

    high, low = offset.max(axis=1), offset.min(axis=1)
    share = np.zeros(len(offset))
    for rail in (high, low):
        # A quiet baseline below positive beats is a lowest value too, and no rail.
        away = np.abs(rail) >= (high - low) / 4
        on = (offset == rail[:, None]) & away[:, None] & (high > low)[:, None]
        runs = ndimage.binary_opening(on, structure=np.ones((1, 3), dtype=bool))
        share += runs.mean(axis=1)
    return share


def _noisy(offset: npt.NDArray[np.float64], rate: float) -> npt.NDArray[np.bool_]:
    from scipy import signal as scipy_signal

    low, high = BEAT_BAND
    if rate <= 2 * high:
        return np.zeros(len(offset), dtype=bool)
    frequencies, power = scipy_signal.welch(
        offset, rate, nperseg=min(offset.shape[1], round(4 * rate)), axis=1
    )
    inside = power[:, (frequencies >= low) & (frequencies <= high)].sum(axis=1)
    return np.asarray(power[:, frequencies > high].sum(axis=1) > inside)


def in_beat_band(signals: npt.NDArray[np.float64], rate: float) -> npt.NDArray[np.float64]:
    """Return the channels, (channels, samples), at :data:`BEAT_RATE` and in :data:`BEAT_BAND`."""
    from scipy import signal as scipy_signal

    resampled = resample(signals, rate, BEAT_RATE)
    return np.asarray(scipy_signal.sosfiltfilt(_beat_band(), resampled, axis=-1))


@functools.cache
def _beat_band() -> npt.NDArray[np.float64]:
    from scipy import signal as scipy_signal

    return np.asarray(scipy_signal.butter(2, BEAT_BAND, "bandpass", fs=BEAT_RATE, output="sos"))
