"""The shape of an encoder that a training toolkit brings, in plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from torch import nn

from selfmis_plugin.data.preprocessing import HIGHEST_RATE, LOWEST_RATE
from selfmis_plugin.nn.encoder import build_input, register_shape
from selfmis_plugin.nn.zero_masked import Scale, ZeroMaskedInput
from selfmis_plugin.utils.fields import Fields, number, shown

__all__ = ["FOR_PRETRAINING_ALONE", "HostShape"]

#: Parts of the toolkit's models that only their pre-training uses.
FOR_PRETRAINING_ALONE = ("quantizer", "project_q", "target_glu", "final_proj", "mask_emb")


@register_shape("host", portable=False)
@dataclass(frozen=True)
class HostShape:
    """An encoder of the toolkit's own; :mod:`selfmis_plugin.methods.host.encoder` builds it.

    Attributes
    ----------
    model
        Its config, as its checkpoint holds it.
    scale
        How each lead is scaled: ``zscore`` or ``mV``.
    sample_rate
        Hz that it was trained on; None for any.

    Raises
    ------
    ValueError
        If a value is not of its kind; the message names it.
    """

    model: Mapping[str, Any]
    scale: Scale
    sample_rate: float | None

    def __post_init__(self) -> None:
        model = Fields(self.model, "model")
        model.text("_name")
        model.whole("encoder_embed_dim", least=1, most=2**31)
        if self.scale not in get_args(Scale):
            raise ValueError(f"scale must be one of {get_args(Scale)}, not {shown(self.scale)}")
        if self.sample_rate is not None:
            number("sample_rate", self.sample_rate, least=LOWEST_RATE, most=HIGHEST_RATE)


@build_input.register
def _(shape: HostShape, leads: Sequence[str], store_rate: float, sample_rate: float) -> nn.Module:
    return ZeroMaskedInput(leads, store_rate, sample_rate, shape.scale)
