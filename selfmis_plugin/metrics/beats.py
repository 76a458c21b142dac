"""The average beat of a lead: the oldest description of an electrocardiogram, and a baseline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.quality import BEAT_RATE, find_beats, in_beat_band

__all__ = ["BEFORE", "BEHIND", "average_beats", "r_peaks", "shift_peaks"]

#: Seconds of a beat before and behind its R peak.
BEFORE, BEHIND = 0.25, 0.45


def r_peaks(
    signals: npt.NDArray[np.integer | np.floating], rate: float
) -> tuple[npt.NDArray[np.float64], list[npt.NDArray[np.int64]]]:
    """Find the R peaks of one lead of several records.

    Parameters
    ----------
    signals
        Microvolts, (records, samples).
    rate
        Samples a second.

    Returns
    -------
    tuple
        The signals at 250 Hz and from 0.5 to 40 Hz, (records, samples); and for each record the
        samples of its peaks in them.
    """
    band = in_beat_band(np.asarray(signals, dtype=np.float64), rate)
    return band, [find_beats(signal, BEAT_RATE) for signal in band]


def shift_peaks(
    peaks: Sequence[npt.NDArray[np.int64]], sample_rate: float
) -> list[npt.NDArray[np.int64]]:
    """Return peaks found at 250 Hz as samples of signals of *sample_rate*."""
    return [np.rint(found * (sample_rate / BEAT_RATE)).astype(np.int64) for found in peaks]


def average_beats(
    signals: npt.NDArray[np.integer | np.floating], rate: float
) -> npt.NDArray[np.float64]:
    """Return the median beat of each record, from 0.25 s before its R peak to 0.45 s behind.

    Parameters
    ----------
    signals
        Microvolts of one lead, (records, samples).
    rate
        Samples a second.

    Returns
    -------
    numpy.ndarray
        Microvolts at 250 Hz from 0.5 to 40 Hz, (records, 175); zeros for a record without a whole
        beat.
    """
    band, peaks = r_peaks(signals, rate)
    before, behind = round(BEFORE * BEAT_RATE), round(BEHIND * BEAT_RATE)
    offsets = np.arange(-before, behind)
    beats = np.zeros((len(band), len(offsets)))
    for record, (signal, found) in enumerate(zip(band, peaks, strict=True)):
        whole = found[(found >= before) & (found + behind <= len(signal))]
        if len(whole):
            beats[record] = np.median(signal[whole[:, None] + offsets], axis=0)
    return beats
