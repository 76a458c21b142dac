"""Loops over samples that NumPy cannot express, compiled by numba.

They know nothing of ECGs: :mod:`selfmis_plugin.data.filters` says what they are used for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numba.core.config
import numpy as np
import numpy.typing as npt

from selfmis_plugin.utils.private import cache_folder, private_folder

Function = TypeVar("Function", bound=Callable[..., Any])

_ONE = np.uint64(1)
_SIGN = np.uint64(1 << 63)
_SHIFT = np.uint64(63)
_LARGEST = np.uint64(2**64 - 1)


def compiled(function: Function) -> Function:
    """Compile at the first call, keep the machine code on disk where there is a place for it.

    The place is a folder that only its user can enter, in ``NUMBA_CACHE_DIR`` or in the user's
    cache folder: what numba reads there it runs. Where there can be none, every process compiles
    anew, which takes seconds.
    """
    config: Any = numba.core.config
    own = config.CACHE_DIR
    try:
        config.CACHE_DIR = str(_folder(own))
        return cast(Function, numba.njit(cache=True, nogil=True)(function))
    # No home, or "cannot cache function: no locator available".
    except (OSError, RuntimeError):
        return cast(Function, numba.njit(nogil=True)(function))
    finally:
        config.CACHE_DIR = own


@functools.cache
def _folder(named: str) -> Path:
    return private_folder((Path(named) if named else cache_folder()) / "selfmis-numba")


@compiled
def filter_both_ways(
    signal: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    a: npt.NDArray[np.float64],
    initial: npt.NDArray[np.float64],
    pad: int,
) -> npt.NDArray[np.float64]:
    """Filter forward and backward, as :func:`scipy.signal.filtfilt` does, bit for bit.

    Parameters
    ----------
    signal
        float64, (samples, leads), C order: each step then works on all leads at once.
    b, a
        Numerator and denominator of equal length, ``a[0]`` being 1.
    initial
        State of the filter at rest on a constant of 1, :func:`scipy.signal.lfilter_zi`.
    pad
        Samples by which both ends are continued point-symmetrically; fewer than *signal* has.
    """
    samples, leads = signal.shape
    longer = np.empty((samples + 2 * pad, leads))
    longer[pad : pad + samples] = signal
    for i in range(pad):
        for lead in range(leads):
            longer[i, lead] = 2 * signal[0, lead] - signal[pad - i, lead]
            last = 2 * signal[samples - 1, lead]
            longer[pad + samples + i, lead] = last - signal[samples - 2 - i, lead]
    _filter_once(longer, b, a, initial, False)
    _filter_once(longer, b, a, initial, True)
    return longer[pad : pad + samples]


@compiled
def _filter_once(
    signal: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    a: npt.NDArray[np.float64],
    initial: npt.NDArray[np.float64],
    backward: bool,
) -> None:
    """Direct form II transposed, in place; the order of operations is scipy's."""
    samples, leads = signal.shape
    order = len(initial)
    state = np.zeros((order + 1, leads))
    out = np.empty(leads)
    first = samples - 1 if backward else 0
    for k in range(order):
        for lead in range(leads):
            state[k, lead] = initial[k] * signal[first, lead]
    for step in range(samples):
        i = samples - 1 - step if backward else step
        for lead in range(leads):
            out[lead] = state[0, lead] + b[0] * signal[i, lead]
        for k in range(order):
            for lead in range(leads):
                moved = state[k + 1, lead] + signal[i, lead] * b[k + 1]
                state[k, lead] = moved - out[lead] * a[k + 1]
        for lead in range(leads):
            signal[i, lead] = out[lead]


@compiled
def minus_running_median(signal: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    """Return the signal minus its running median, zeros beyond its ends.

    The median changes only when samples that come and go have unbalanced the two sides of it, and
    then it moves to the next value of the window. Finding that value is one pass over the window
    without a branch, which the processor does on several samples at once: on an ECG this is
    faster than keeping the window sorted.

    Parameters
    ----------
    signal
        float64, (leads, samples); finite.
    size
        Samples of the window, an odd number.
    """
    leads, samples = signal.shape
    half = size // 2
    out = np.empty((leads, samples))
    # The first window is all zeros, so that its median needs no sorting.
    keys = np.empty(size + samples + half, dtype=np.uint64)
    found = np.empty(half + samples, dtype=np.uint64)
    for lead in range(leads):
        # Unsigned whole numbers in the order of the floating-point ones.
        bits = signal[lead].copy().view(np.uint64)
        keys[:size] = _SIGN
        keys[size + samples :] = _SIGN
        for i in range(samples):
            keys[size + i] = ~bits[i] if bits[i] >> _SHIFT else bits[i] | _SIGN
        median = _SIGN
        below = 0
        above = 0
        for i in range(half + samples):
            old, new = keys[i], keys[i + size]
            below += int(new < median) - int(old < median)
            above += int(new > median) - int(old > median)
            if below > half:
                window = keys[i + 1 : i + 1 + size]
                median = np.uint64(median - _gap_below(window, median) - _ONE)
                above = size - below
                below -= _count(window, median)
            elif above > half:
                window = keys[i + 1 : i + 1 + size]
                median = np.uint64(median + _gap_above(window, median) + _ONE)
                below = size - above
                above -= _count(window, median)
            found[i] = median ^ _SIGN if median >> _SHIFT else ~median
        out[lead] = signal[lead] - found[half:].view(np.float64)
    return out


@compiled
def _gap_below(window: npt.NDArray[np.uint64], value: np.uint64) -> np.uint64:
    """Return the distance, less 1, of *value* to the next smaller one; there is one."""
    smallest = _LARGEST
    for i in range(window.size):
        # Values that are not smaller wrap around to distances larger than every true one.
        smallest = min(smallest, np.uint64(value - window[i] - _ONE))
    return smallest


@compiled
def _gap_above(window: npt.NDArray[np.uint64], value: np.uint64) -> np.uint64:
    """Return the distance, less 1, of *value* to the next larger one; there is one."""
    smallest = _LARGEST
    for i in range(window.size):
        smallest = min(smallest, np.uint64(window[i] - value - _ONE))
    return smallest


@compiled
def _count(window: npt.NDArray[np.uint64], value: np.uint64) -> int:
    """Return how many of the window equal *value*."""
    count = 0
    for i in range(window.size):
        count += int(window[i] == value)
    return count
