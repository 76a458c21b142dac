"""What happens to a signal between the recorder's file and the encoder."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.voltages import MICROVOLTS as MICROVOLTS
from selfmis_plugin.utils.fields import FieldError, Fields, shown

#: What int16 microvolts can hold; -32768 stays free, WFDB reads it as a missing sample.
INT16_LIMIT = 32767
#: WFDB's digital value for a missing sample in its 16-bit formats.
MISSING_INT16 = -32768

#: Sampling rates outside these are taken for a mistake in the header.
LOWEST_RATE = 10.0
HIGHEST_RATE = 100_000.0
#: Longer inputs than a day are one, too.
_LONGEST_SECONDS = 86_400.0

_MOST_LEADS = 1000

# Denominators up to this keep ten seconds within a tenth of a sample of the exact rate.
_LARGEST_DENOMINATOR = 100_000


class PreprocessingError(ValueError):
    """A description of preprocessing is wrong, or a signal cannot be preprocessed."""


@dataclass(frozen=True)
class Preprocessing:
    """Everything that must be equal for an encoder to see what it was trained on.

    Attributes
    ----------
    sample_rate
        Samples a second.
    seconds
        Length of the input.
    leads
        Names of the leads, in order.
    filter
        Name of the filter, ``"none"`` for none.
    units
        Unit of the signal before normalisation.
    normalisation
        Name of the normalisation, ``"zscore"`` or ``"none"`` for example, as the training's task
        says it. What an encoder does itself first, its card says (``first_step`` of what
        :func:`selfmis_plugin.nn.encoder.build_input` gives): HeartLang's reads millivolts.
    """

    sample_rate: float
    seconds: float
    leads: tuple[str, ...]
    filter: str
    units: str = "uV"
    normalisation: str = "zscore"

    def __post_init__(self) -> None:
        fields = Fields(vars(self))
        try:
            for name, most in (("sample_rate", HIGHEST_RATE), ("seconds", _LONGEST_SECONDS)):
                fields.number(name, above=0, most=most)
            object.__setattr__(self, "leads", fields.names("leads", _MOST_LEADS))
            for name in ("filter", "units", "normalisation"):
                fields.text(name)
        except FieldError as error:
            raise PreprocessingError(str(error)) from error

    @property
    def samples(self) -> int:
        """Length of the input in samples."""
        return round(self.sample_rate * self.seconds)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON, YAML or a checkpoint."""
        return {**asdict(self), "leads": list(self.leads)}

    @classmethod
    def from_dict(cls, values: object) -> Preprocessing:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        PreprocessingError
            If a name is missing, unknown or a value is of the wrong kind.
        """
        if not isinstance(values, Mapping):
            raise PreprocessingError(
                f"preprocessing must be a table of values, not {shown(values)}"
            )
        known = [field.name for field in fields(cls)]
        unknown = sorted(str(name) for name in values if name not in known)
        if unknown:
            raise PreprocessingError(
                f"preprocessing has no {', '.join(unknown)[:200]}; known: {', '.join(known)}"
            )
        missing = [name for name in known[:4] if name not in values]
        if missing:
            raise PreprocessingError(f"preprocessing lacks {', '.join(missing)}")
        return cls(**values)

    def difference(self, other: Preprocessing) -> list[str]:
        """Return one line for every field in which *other* differs; empty if none does."""
        lines = []
        for name in (field.name for field in fields(self)):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                lines.append(f"{name}: {_shown(mine)} here, {_shown(theirs)} there")
        return lines


def to_microvolts(
    digital: npt.NDArray[Any],
    gain: float | npt.NDArray[np.float64],
    baseline: float | npt.NDArray[np.float64],
    factor: float | npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Turn a recorder's digital values into microvolts.

    Parameters
    ----------
    digital
        Digital values.
    gain
        Digital steps in one unit.
    baseline
        Digital value of zero.
    factor
        Microvolts in one unit, see :data:`MICROVOLTS`.

    Returns
    -------
    numpy.ndarray
        float64, of the broadcast shape. Multiplied before divided, so that every value that is
        a whole number of microvolts comes out exactly.
    """
    return (digital.astype(np.float64) - baseline) * factor / gain


def digital_to_int16(
    digital: npt.NDArray[np.int16],
    gain: npt.NDArray[np.float64],
    baseline: npt.NDArray[np.float64],
    factor: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.int16], int]:
    """Turn 16-bit digital values into whole microvolts, missing ones into zero.

    The result is that of :func:`to_microvolts` and :func:`to_int16`, bit for bit, without
    floating point where a step is a whole number of microvolts.

    Parameters
    ----------
    digital
        int16, (leads, samples); :data:`MISSING_INT16` where missing.
    gain, baseline, factor
        float64, (leads, 1), as for :func:`to_microvolts`; baselines are whole numbers.

    Returns
    -------
    tuple
        int16 microvolts, (leads, samples), and the number of samples clipped to +-32,767.
    """
    ends = np.stack([digital.min(axis=1), digital.max(axis=1)], axis=1)
    # Every step of the conversion is monotonic, so the extremes tell whether anything is clipped.
    within = np.abs(np.rint(to_microvolts(ends, gain, baseline, factor))).max() <= INT16_LIMIT
    if not within or ends.min() == MISSING_INT16:
        microvolts = to_microvolts(digital, gain, baseline, factor)
        return to_int16(np.where(digital == MISSING_INT16, 0.0, microvolts))
    # The second condition keeps the whole numbers below within what float64 and int64 hold.
    if np.fmod(factor, gain).any() or (np.abs(factor / gain) > 2 * INT16_LIMIT).any():
        return np.rint(to_microvolts(digital, gain, baseline, factor)).astype(np.int16), 0
    step = (factor / gain).astype(np.int64)
    zero = step * baseline.astype(np.int64)
    if (step == 1).all() and not zero.any():
        return digital, 0
    # Modulo 2^16, which is exact because the result fits.
    return digital * step.astype(np.int16) - zero.astype(np.int16), 0


def replace_non_finite(signal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the signal with every NaN and infinite sample set to zero."""
    return np.where(np.isfinite(signal), signal, 0.0)


@functools.lru_cache(maxsize=64)
def resampling_ratio(rate: float, target: float) -> Fraction:
    """Return target / rate as a fraction, close enough for ten seconds.

    Raises
    ------
    PreprocessingError
        If a rate is not between :data:`LOWEST_RATE` and :data:`HIGHEST_RATE`.
    """
    for value in (rate, target):
        if not LOWEST_RATE <= value <= HIGHEST_RATE:
            raise PreprocessingError(
                f"sampling rate {value:g} Hz is not between {LOWEST_RATE:g} and {HIGHEST_RATE:g}"
            )
    if target < rate:
        return 1 / resampling_ratio(target, rate)
    return (Fraction(target) / Fraction(rate)).limit_denominator(_LARGEST_DENOMINATOR)


def resample(
    signal: npt.NDArray[np.float64], rate: float, target: float
) -> npt.NDArray[np.float64]:
    """Resample along the last axis with a polyphase filter.

    Parameters
    ----------
    signal
        float64, (..., samples).
    rate, target
        Samples a second, before and after; they need not be whole numbers.

    Returns
    -------
    numpy.ndarray
        float64, (..., ceil(samples * target / rate)).

    Raises
    ------
    PreprocessingError
        If a rate is not between :data:`LOWEST_RATE` and :data:`HIGHEST_RATE`.
    """
    from scipy import signal as scipy_signal

    ratio = resampling_ratio(rate, target)
    if ratio == 1:
        return signal
    # "line" and not zeros beyond the ends: an ECG with an offset would ring there. One sample
    # gives no line.
    beyond = "line" if signal.shape[-1] > 1 else "mean"
    return scipy_signal.resample_poly(
        signal, ratio.numerator, ratio.denominator, axis=-1, padtype=beyond
    )


def centre(length: int, samples: int) -> tuple[int, int]:
    """Return start and stop of the middle *samples* of *length*, or all if it is shorter."""
    start = max(0, (length - samples) // 2)
    return start, min(length, start + samples)


def crop_or_pad(signal: npt.NDArray[Any], samples: int) -> npt.NDArray[Any]:
    """Return the middle *samples* along the last axis; zeros follow a shorter signal."""
    start, stop = centre(signal.shape[-1], samples)
    middle = signal[..., start:stop]
    missing = samples - middle.shape[-1]
    if missing == 0:
        return middle
    return np.pad(middle, [(0, 0)] * (signal.ndim - 1) + [(0, missing)])


def to_int16(signal: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int16], int]:
    """Round microvolts to int16.

    Returns
    -------
    tuple
        The rounded signal and the number of samples clipped to +-32,767.
    """
    rounded = np.rint(signal)
    clipped = int(np.count_nonzero(np.abs(rounded) > INT16_LIMIT))
    if clipped:
        rounded = np.clip(rounded, -INT16_LIMIT, INT16_LIMIT)
    return rounded.astype(np.int16), clipped


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
