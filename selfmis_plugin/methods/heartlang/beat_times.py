"""Where the beats of records are, at the rate of words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.beats import find_beats, xqrs
from selfmis_plugin.methods.heartlang.shape import RATE

__all__ = ["FINDER", "beat_lead", "most_beats", "peaks_of"]

#: Changes with what :func:`peaks_of` finds: kept beats of another one are found again.
FINDER = "xqrs-1"
#: Below this a signal says no more of where its beats are than it does at :data:`RATE`.
_FINE_RATE = 200.0
#: No two beats of the finder are nearer to each other, in seconds.
_REFRACTORY = 0.2
_MICROVOLTS = 1000.0


def beat_lead(leads: Sequence[str]) -> int:
    """Return the position of the lead on which beats are found: lead I, or else the first."""
    return leads.index("I") if "I" in leads else 0


def most_beats(seconds: float) -> int:
    """Return how many beats a record of *seconds* can have."""
    return math.ceil(seconds / _REFRACTORY) + 1


def finds_at(beats_at: str, store_rate: float) -> float:
    """Return the rate at which beats are found, in hertz."""
    return store_rate if beats_at == "store" and store_rate >= _FINE_RATE else RATE


def peaks_of(
    channels: npt.NDArray[np.float64], rate: float, most: int, samples: int
) -> npt.NDArray[np.int16]:
    """Find the beats of one channel of each record.

    At :data:`RATE` they are those of XQRS in millivolts, as the authors use it. At a higher rate
    each is moved to the extreme of its QRS complex, and the unit is what is stored: XQRS begins,
    where it has fewer than eight beats to learn from, with a threshold that small or slow hearts
    never reach in millivolts.

    Parameters
    ----------
    channels
        Microvolts, ``(records, samples)``.
    rate
        Samples a second.
    most
        Beats of a record at most.
    samples
        Samples of a record at :data:`RATE`.

    Returns
    -------
    ndarray
        Samples at :data:`RATE`, int16 ``(records, most)``, rising, then -1.
    """
    found = np.full((len(channels), most), -1, dtype=np.int16)
    for row, channel in zip(found, channels, strict=True):
        beats = xqrs(channel / _MICROVOLTS, rate) if rate == RATE else find_beats(channel, rate)
        scaled = np.round(beats * (RATE / rate)).astype(np.int64).clip(0, samples - 1)
        kept = np.unique(scaled)[:most]
        row[: len(kept)] = kept
    return found
