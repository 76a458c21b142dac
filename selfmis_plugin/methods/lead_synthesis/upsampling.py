"""From a network's rate to a store's: the other way of what prepares its input."""

from __future__ import annotations

from fractions import Fraction

import torch
import torch.nn.functional as F
from scipy.signal import firwin
from torch import Tensor, nn

__all__ = ["Upsampling"]

#: As :func:`scipy.signal.resample_poly` makes its filter.
_REACH, _WINDOW = 10, ("kaiser", 5.0)
_RATE_RESOLUTION = 1000


class Upsampling(nn.Module):
    """Signals at a higher rate, as :func:`scipy.signal.resample_poly` makes them.

    The filter is neither parameter nor buffer: it is no part of what is trained.

    Parameters
    ----------
    rate, target
        Sample rates before and after, in hertz; the target is not the lower one.

    Raises
    ------
    ValueError
        If it is.
    """

    def __init__(self, rate: float, target: float) -> None:
        super().__init__()
        ratio = Fraction(target).limit_denominator(_RATE_RESOLUTION) / Fraction(
            rate
        ).limit_denominator(_RATE_RESOLUTION)
        if ratio < 1:
            raise ValueError(f"{rate:g} Hz is above {target:g} Hz: choose a rate up to that")
        self.up, self.down = ratio.numerator, ratio.denominator
        self.reach = _REACH * self.up
        self.taps: list[float] = []
        if self.up > 1:
            taps = firwin(2 * self.reach + 1, 1 / self.up, window=_WINDOW)
            self.taps = (self.up * taps).tolist()

    def forward(self, signal: Tensor) -> Tensor:
        """Return signals, ``(batch, leads, samples)``, of ceil(samples * target / rate) samples."""
        if not self.taps:
            return signal
        batch, leads, samples = signal.shape
        taps = torch.tensor(self.taps, dtype=signal.dtype, device=signal.device)
        rows = signal.reshape(batch * leads, 1, samples)
        whole = F.conv_transpose1d(rows, taps[None, None], stride=self.up)
        length = samples * self.up
        # What the last sample would fill up to the next is beyond the transposed convolution.
        whole = F.pad(whole, (0, max(0, self.reach + length - whole.shape[-1])))
        return whole[..., self.reach : self.reach + length : self.down].view(batch, leads, -1)
