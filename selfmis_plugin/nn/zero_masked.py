"""What an encoder of twelve leads is given where only some of them are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from selfmis_plugin.data.leads import STANDARD_LEADS, lead_rows
from selfmis_plugin.nn.inputs import Preparation, zscore

__all__ = ["Scale", "ZeroMaskedInput"]

Scale = Literal["zscore", "mV"]


class ZeroMaskedInput(nn.Module):
    """Raw signals of some leads to the twelve standard ones, the others zero (SelfMIS paper,
    section 4.2: how methods of twelve leads are probed on lead I).

    What it gives equals what ``selfmis prepare export`` writes with the same leads, scale and rate.

    Parameters
    ----------
    leads
        Leads of the raw signals, in their order: standard ones.
    store_rate, sample_rate
        Sample rates of the raw signals and of what the encoder reads, in hertz.
    scale
        ``zscore``: each lead by itself to mean 0 and deviation 1; ``mV``: millivolts.

    Raises
    ------
    ValueError
        If a lead is not a standard one, or the rates do not fit.

    Examples
    --------
    >>> import torch
    >>> raw = torch.randint(-2000, 2000, (4, 1, 5000), dtype=torch.int16)
    >>> ZeroMaskedInput(["I"], 500, 100, "zscore")(raw).shape
    torch.Size([4, 12, 1000])
    """

    def __init__(
        self, leads: Sequence[str], store_rate: float, sample_rate: float, scale: Scale
    ) -> None:
        super().__init__()
        self.rows = lead_rows(STANDARD_LEADS, leads)
        self.scale = scale
        #: What it does to amplitudes, in words, for a model's card.
        self.first_step = (
            "millivolts, not normalised" if scale == "mV" else "the z-score of each lead by itself"
        )
        self.preparation = Preparation(store_rate, sample_rate)

    def forward(self, signal: Tensor) -> Tensor:
        """Return float32 (batch, 12, samples) of microvolts (batch, leads, samples)."""
        with torch.autocast(signal.device.type, enabled=False):
            raw = signal.float()
            batch, leads, _ = raw.shape
            flat = raw.amax(-1, keepdim=True) == raw.amin(-1, keepdim=True)
            # The filter rings at the ends of a constant.
            microvolts = torch.where(flat, raw[..., :1], self.preparation.decimate(raw))
            if self.scale == "mV":
                scaled = microvolts / 1000
            else:
                scaled = zscore(microvolts.flatten(0, 1).unsqueeze(1)).view(batch, leads, -1)
            out = scaled.new_zeros(batch, len(STANDARD_LEADS), scaled.shape[-1])
            out[:, self.rows] = scaled
            return out
