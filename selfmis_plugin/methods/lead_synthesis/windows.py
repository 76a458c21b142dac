"""Records as windows of one length, and windows as records."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["cut", "joined"]


def cut(signal: Tensor, window: int) -> Tensor:
    """Cut a record into windows, one after the other.

    Where the last one is not full, the record's own last samples come again behind it, as MCMA's
    authors fill theirs (their 5,000 samples become five windows of 1,024); a record that is shorter
    than what is missing comes again and again.

    Parameters
    ----------
    signal
        ``(batch, leads, samples)``.
    window
        Samples of a window.

    Returns
    -------
    Tensor
        ``(batch, windows, leads, window)``.
    """
    samples = signal.shape[-1]
    missing = -samples % window
    if missing:
        again = (torch.arange(missing, device=signal.device) - missing) % samples
        signal = torch.cat((signal, signal[..., again]), dim=-1)
    return signal.unflatten(-1, (-1, window)).transpose(1, 2)


def joined(windows: Tensor, samples: int) -> Tensor:
    """Join what :func:`cut` has cut, ``(batch, leads, samples)``; what was filled goes."""
    return windows.transpose(1, 2).flatten(2)[..., :samples]
