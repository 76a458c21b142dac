"""The shape of an encoder that embeds a record in pieces, as ECG-FM does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from selfmis_plugin.data.preprocessing import HIGHEST_RATE, LOWEST_RATE
from selfmis_plugin.methods.host.shape import HostShape
from selfmis_plugin.nn.encoder import build_input, register_shape
from selfmis_plugin.nn.zero_masked import ZeroMaskedInput
from selfmis_plugin.utils.fields import number

__all__ = ["RATE", "SECONDS", "ECGFMShape"]

#: Samples a second and seconds of what ECG-FM was trained on.
RATE, SECONDS = 500.0, 5.0


@register_shape("ecg_fm", portable=False)
@dataclass(frozen=True)
class ECGFMShape:
    """An encoder of fairseq-signals' that reads pieces of a record.

    Attributes
    ----------
    model
        The encoder's config, as its checkpoint holds it.
    sample_rate
        Hz that it was trained on.
    seconds
        Length of a piece.

    Raises
    ------
    ValueError
        If a value is not of its kind; the message names it.
    """

    model: Mapping[str, Any]
    sample_rate: float = RATE
    seconds: float = SECONDS

    def __post_init__(self) -> None:
        number("sample_rate", self.sample_rate, least=LOWEST_RATE, most=HIGHEST_RATE)
        number("seconds", self.seconds, above=0)
        HostShape(self.model, "zscore", self.sample_rate)  # refuses a config that is none

    @property
    def samples(self) -> int:
        """Samples of a piece."""
        return round(self.seconds * self.sample_rate)


@build_input.register
def _(shape: ECGFMShape, leads: Sequence[str], store_rate: float, sample_rate: float) -> nn.Module:
    # Each lead is scaled over the whole record before it is cut, as by the authors.
    return ZeroMaskedInput(leads, store_rate, sample_rate, "zscore")
