"""An encoder of one lead: the leads that a generator makes of it, read by an encoder of twelve.

Importing this module also makes the shapes of all generators known.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import HIGHEST_RATE
from selfmis_plugin.methods.lead_synthesis import trivial, unet
from selfmis_plugin.methods.lead_synthesis.generator import LeadGenerator
from selfmis_plugin.nn.encoder import (
    EncoderModule,
    build_encoder,
    build_input,
    first_step_of,
    plain_encoder,
    register_shape,
)
from selfmis_plugin.nn.inputs import Preparation
from selfmis_plugin.utils.fields import number

__all__ = ["GeneratedLeadsEncoder", "GeneratedLeadsShape"]

#: Modules whose shapes this one makes known.
_KNOWN = (trivial, unet)


@register_shape("generated_leads")
@dataclass(frozen=True)
class GeneratedLeadsShape:
    """A generator and the encoder that reads what it makes.

    Attributes
    ----------
    generator
        Shape of the generator's network.
    encoder
        Shape of the encoder of twelve leads.
    sample_rate, encoder_rate
        Sample rates of the generator and of the encoder, in hertz; the second is not the higher.
    given, keep_given
        As of :class:`~selfmis_plugin.methods.lead_synthesis.generator.LeadGenerator`.

    Raises
    ------
    ValueError
        If a value makes no network.
    """

    generator: Any
    encoder: Any
    sample_rate: float
    encoder_rate: float
    given: str = "I"
    keep_given: bool = True

    def __post_init__(self) -> None:
        number("generated_leads: sample_rate", self.sample_rate, above=0, most=HIGHEST_RATE)
        number("generated_leads: encoder_rate", self.encoder_rate, above=0, most=self.sample_rate)
        if self.given not in STANDARD_LEADS:
            raise ValueError(f"generated_leads: {self.given!r} is no standard lead")
        if not isinstance(self.keep_given, bool):
            raise ValueError("generated_leads: keep_given must be true or false")


class GeneratedLeadsEncoder(EncoderModule):
    """From microvolts of one lead at the generator's rate to the embedding of twelve.

    Parameters
    ----------
    config
        Its shape.
    """

    def __init__(self, config: GeneratedLeadsShape) -> None:
        super().__init__(config)
        rate = config.sample_rate
        self.generator = LeadGenerator(
            config.generator, rate, rate, config.given, config.keep_given
        )
        self.prepare = build_input(config.encoder, STANDARD_LEADS, rate, config.encoder_rate)
        self.encoder = build_encoder(config.encoder, len(STANDARD_LEADS))
        #: What it does to amplitudes, in words, for a model's card.
        self.first_step = (
            "a generator that makes twelve leads of microvolts, which are not normalised; the "
            f"first step of the encoder of these is {first_step_of(self.prepare, self.encoder)}"
        )

    @property
    def embedding_dim(self) -> int:  # type: ignore[override]
        """Values of one embedding."""
        return int(self.encoder.embedding_dim)

    def embed(self, prepared: Tensor) -> Tensor:
        """Embed microvolts, ``(batch, 1, samples)`` to ``(batch, embedding_dim)``."""
        made = self.prepare(self.generator(prepared))
        embedding: Tensor = self.encoder(made.to(next(self.encoder.parameters()).dtype))
        return embedding


class _Microvolts(nn.Module):
    """Raw signals at another rate, unscaled."""

    #: Why a classifier of these cannot be written as a graph, where that is so.
    not_traceable: str = ""

    def __init__(self, store_rate: float, sample_rate: float) -> None:
        super().__init__()
        self.preparation = Preparation(store_rate, sample_rate)

    def forward(self, signal: Tensor) -> Tensor:
        with torch.autocast(signal.device.type, enabled=False):
            return self.preparation.decimate(signal.float())


@build_encoder.register
def _(config: GeneratedLeadsShape, in_leads: int) -> GeneratedLeadsEncoder:
    return GeneratedLeadsEncoder(config)


@build_input.register
def _(
    config: GeneratedLeadsShape, leads: Sequence[str], store_rate: float, sample_rate: float
) -> nn.Module:
    prepare = _Microvolts(store_rate, sample_rate)
    prepare.not_traceable = getattr(config.generator, "not_traceable", "")
    return prepare


@plain_encoder.register
def _(encoder: GeneratedLeadsEncoder) -> nn.Module:
    plain = copy.copy(encoder)
    # A copy of the table of modules too: the encoder itself keeps its own.
    plain._modules = dict(encoder._modules)
    plain.encoder = plain_encoder(encoder.encoder)
    return plain
