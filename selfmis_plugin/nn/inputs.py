"""From stored microvolts to what an encoder reads: anti-aliased decimation and z-score.

Both run on the encoder's device in float32, whatever precision the host trains in.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.signal import resample_poly
from torch import Tensor, nn

__all__ = ["Preparation", "resampled_samples", "zscore"]

_BLOCK_OUTPUTS = 16
"""Outputs of one block, or as many as the ratio's numerator: the fewer, the fewer are the zeros
outside the filter's band that are multiplied too, and 16 fill a register of AVX-512. Of 8 to 102
they were the fastest there, from 500 Hz to 100 2.7 times as fast as 102."""

_RATE_RESOLUTION = 1000
"""Sample rates are taken to a thousandth of a hertz."""

_LARGEST_DENOMINATOR = 1000
"""Of the ratio of two rates: the decimation's matrix grows with its square."""


def zscore(signal: Tensor, eps: float = 1e-6) -> Tensor:
    """Zero mean and unit (population) standard deviation over all leads and samples of each record.

    Parameters
    ----------
    signal
        ``(batch, leads, samples)``, any unit, any integer or floating type.
    eps
        Smallest standard deviation divided by, in the unit of the signal.

    Returns
    -------
    Tensor
        float32, same shape.  A constant record becomes zeros.
    """
    with torch.autocast(signal.device.type, enabled=False):
        signal = signal.float()
        # Subtracting one of its own values first makes a constant exactly zero: a mean taken in
        # float32 is off by its rounding, which dividing by that same rounding would blow up to 1.
        signal = signal - signal[:, :1, :1]
        signal = signal - signal.mean(dim=(1, 2), keepdim=True)
        power = signal.square().mean(dim=(1, 2), keepdim=True)
        return signal / power.sqrt().clamp_min(eps)


def resampled_samples(samples: int, store_rate: float, sample_rate: float) -> int:
    """Samples of a record of ``samples`` at ``store_rate`` hertz once it is at ``sample_rate``."""
    ratio = _ratio(store_rate, sample_rate)
    return -(-samples * ratio.numerator // ratio.denominator)


class Preparation(nn.Module):
    """Raw stored signals to the input of one encoder.

    Decimation equals :func:`scipy.signal.resample_poly` with its default filter (linear phase,
    zeros beyond the ends). It comes before the z-score, which is taken over all leads and samples
    of the input together, so that the leads' relative size is kept.  Always float32, with
    autocast off.

    The filter is neither parameter nor buffer: hosts call ``model.half()``, which would round it.
    It is kept once for each device, and left out of pickles and copies.

    Parameters
    ----------
    store_rate
        Sample rate of the raw signals, in hertz.
    sample_rate
        Sample rate that the encoder reads, in hertz; not above ``store_rate``.
    eps
        See :func:`zscore`; microvolts.

    Raises
    ------
    ValueError
        If a rate is not positive, ``sample_rate`` is above ``store_rate``, or their ratio is not
        simple enough.

    Examples
    --------
    >>> import torch
    >>> raw = torch.randint(-2000, 2000, (2, 12, 5000), dtype=torch.int16)
    >>> Preparation(store_rate=500, sample_rate=100)(raw).shape
    torch.Size([2, 12, 1000])
    """

    #: What it does to amplitudes, in words, for a model's card.
    first_step = "the z-score over all leads and samples of a window"

    def __init__(self, store_rate: float, sample_rate: float, eps: float = 1e-6) -> None:
        super().__init__()
        self.ratio = _ratio(store_rate, sample_rate)
        self.store_rate = store_rate
        self.sample_rate = sample_rate
        self.eps = eps
        self._operators: dict[torch.device, Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_operators": {}}

    def extra_repr(self) -> str:
        """Return what PyTorch prints of the module."""
        return f"store_rate={self.store_rate}, sample_rate={self.sample_rate}"

    def forward(self, signal: Tensor) -> Tensor:
        """Prepare raw signals.

        Parameters
        ----------
        signal
            ``(batch, leads, samples)`` in microvolts at ``store_rate``: int16, int32 or floating.

        Returns
        -------
        Tensor
            ``(batch, leads, ceil(samples * sample_rate / store_rate))``, float32.

        Raises
        ------
        ValueError
            If the signal is not three-dimensional, or is empty.
        """
        if signal.dim() != 3 or 0 in signal.shape[1:]:
            raise ValueError(
                f"raw signals must be (batch, leads, samples), not of shape {tuple(signal.shape)}"
            )
        with torch.autocast(signal.device.type, enabled=False):
            signal = signal.float()
            if self.ratio == 1:
                return zscore(signal, self.eps)
            # The filter rings at the ends of a constant, so a dead input is told by what came in.
            alive = signal.amax(dim=(1, 2), keepdim=True) != signal.amin(dim=(1, 2), keepdim=True)
            return zscore(self.decimate(signal), self.eps) * alive

    def decimate(self, signal: Tensor) -> Tensor:
        """Return float32 signals, (batch, leads, samples), at ``sample_rate``, unscaled."""
        if self.ratio == 1:
            return signal
        batch, leads, samples = signal.shape
        block = _block_operator(self.ratio.numerator, self.ratio.denominator)
        outputs = resampled_samples(samples, self.store_rate, self.sample_rate)
        blocks = -(-outputs // block.outputs)
        # Every block of outputs is the same product with its own window of the zero-padded input.
        right = max(0, (blocks - 1) * block.hop + block.width - block.left - samples)
        windows = F.pad(signal, (block.left, right)).unfold(-1, block.width, block.hop)
        out = torch.matmul(windows[..., :blocks, :], self._operator(signal.device))
        return out.reshape(batch, leads, blocks * block.outputs)[..., :outputs]

    def _operator(self, device: torch.device) -> Tensor:
        if device not in self._operators:
            matrix = _block_operator(self.ratio.numerator, self.ratio.denominator).matrix
            # Made within inference mode it could not be used under autograd later.
            with torch.inference_mode(False):
                self._operators[device] = torch.tensor(matrix, device=device)
        return self._operators[device]


def _ratio(store_rate: float, sample_rate: float) -> Fraction:
    if not (0 < store_rate < math.inf and 0 < sample_rate < math.inf):
        raise ValueError(
            f"sample rates must be positive: store_rate={store_rate}, sample_rate={sample_rate}"
        )
    stored, wanted = (
        Fraction(rate).limit_denominator(_RATE_RESOLUTION) for rate in (store_rate, sample_rate)
    )
    if wanted > stored:
        raise ValueError(
            f"sample_rate={sample_rate} Hz is above the {store_rate} Hz of the stored signals: "
            f"choose at most {store_rate}, or prepare a store at a higher rate"
        )
    ratio = wanted / stored
    if ratio.denominator > _LARGEST_DENOMINATOR:
        raise ValueError(
            f"sample_rate={sample_rate} Hz is {ratio} of the {store_rate} Hz of the stored "
            f"signals, a ratio of larger numbers than {_LARGEST_DENOMINATOR}: choose a rate near "
            "it that has a simpler one"
        )
    return ratio


class _Block:
    """Resampling of one window of input samples to one block of outputs, as a matrix."""

    def __init__(self, up: int, down: int) -> None:
        repeats = max(1, _BLOCK_OUTPUTS // up)
        self.outputs = repeats * up
        self.hop = repeats * down
        # scipy's default filter reaches 10 * max(up, down) samples of the upsampled signal.
        reach = -(-10 * max(up, down) // up)
        margin = -(-reach // down)
        samples = (2 * margin + repeats) * down
        impulses = np.zeros((samples, down))
        np.fill_diagonal(impulses[margin * down :], 1)
        # A sample *down* later has the same response *up* outputs later.
        shifts = 2 * margin + repeats
        responses = np.pad(
            resample_poly(impulses, up, down, axis=0), [(shifts * up, shifts * up), (0, 0)]
        )
        starts = [(shifts + 2 * margin - shift) * up for shift in range(shifts)]
        rows = np.concatenate([responses[at : at + self.outputs] for at in starts], axis=1)
        used = np.flatnonzero(np.any(rows != 0, axis=0))
        self.left = int(margin * down - used[0])
        self.width = int(used[-1] - used[0] + 1)
        self.matrix: NDArray[np.float32] = np.ascontiguousarray(
            rows[:, used[0] : used[-1] + 1].T, dtype=np.float32
        )


@functools.lru_cache(maxsize=16)
def _block_operator(up: int, down: int) -> _Block:
    return _Block(up, down)
