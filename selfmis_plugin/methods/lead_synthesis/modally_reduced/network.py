"""An encoder of one lead and the decoders of twelve, as a generator of leads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor, nn

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import HIGHEST_RATE
from selfmis_plugin.methods.lead_synthesis.generator import build_generator
from selfmis_plugin.methods.lead_synthesis.upsampling import Upsampling
from selfmis_plugin.methods.modally_reduced.lead_autoencoders import LeadDecoders, LeadEncoders
from selfmis_plugin.methods.modally_reduced.shape import ModallyReducedConfig
from selfmis_plugin.nn.encoder import register_shape
from selfmis_plugin.nn.inputs import Preparation
from selfmis_plugin.utils.fields import number, whole

__all__ = ["ModallyReducedLeads", "ModallyReducedLeadsShape"]

_MICROVOLTS = 1000


@register_shape("modally_reduced_leads")
@dataclass(frozen=True)
class ModallyReducedLeadsShape:
    """Autoencoders of which the encoder of one lead and all decoders are left.

    Attributes
    ----------
    autoencoders
        Their shape, of the standard leads in their order.
    samples
        Length of the records that they were trained on, in samples at *decoder_rate*.
    sample_rate
        Sample rate of what comes in and goes out, in hertz.
    decoder_rate
        Sample rate of the autoencoders, in hertz; not the higher one.
    given
        Name of the lead whose encoder it is.

    Raises
    ------
    ValueError
        If a value makes no network; the message names it.
    """

    autoencoders: ModallyReducedConfig
    samples: int
    sample_rate: float
    decoder_rate: float
    given: str = "I"

    def __post_init__(self) -> None:
        here, shape = "modally_reduced_leads", self.autoencoders
        if not isinstance(shape, ModallyReducedConfig) or shape.leads != STANDARD_LEADS:
            raise ValueError(f"{here}: autoencoders must be of {', '.join(STANDARD_LEADS)}")
        if self.given not in STANDARD_LEADS:
            raise ValueError(f"{here}: {self.given!r} is no standard lead")
        whole(f"{here}: samples", self.samples, least=1, most=2**31)
        if self.samples % shape.patch_size:
            raise ValueError(
                f"{here}: samples={self.samples} must be a multiple of {shape.patch_size}"
            )
        number(f"{here}: sample_rate", self.sample_rate, above=0, most=HIGHEST_RATE)
        number(f"{here}: decoder_rate", self.decoder_rate, above=0, most=self.sample_rate)

    @property
    def window(self) -> int:
        """Samples at *sample_rate* that are made at once: as long as a training record."""
        # Rounded down, it decimates to *samples*; rounded up, there could be one more.
        return int(self.samples * Fraction(self.sample_rate) / Fraction(self.decoder_rate))


class ModallyReducedLeads(nn.Module):
    """Every lead's decoder, fed with the code of one lead, times the lead's deviation.

    A decoder makes its lead as it was trained to: at zero mean and unit deviation. How large the
    lead is the code cannot tell, as the encoder reads its own lead at unit deviation too. So each
    lead gets the mean deviation that it has in the training records, ``deviations``, in millivolts:
    the leads' relative sizes are right in the mean, and are not the patient's own. What a decoder
    is unsure of it makes smaller, and that stays.

    Parameters
    ----------
    shape
        Its shape.
    """

    deviations: Tensor

    def __init__(self, shape: ModallyReducedLeadsShape) -> None:
        super().__init__()
        self.input = Preparation(shape.sample_rate, shape.decoder_rate)
        self.encoder = LeadEncoders(replace(shape.autoencoders, leads=(shape.given,)))
        self.decoders = LeadDecoders(shape.autoencoders)
        self.output = Upsampling(shape.decoder_rate, shape.sample_rate)
        self.register_buffer("deviations", torch.ones(len(STANDARD_LEADS)))

    def forward(self, given: Tensor, lead: Tensor) -> Tensor:
        """Make all leads of the one whose encoder it has, as ``build_generator`` says."""
        # What counts as a dead lead is said in microvolts.
        prepared = self.input(given[:, None] * _MICROVOLTS)
        made = self.decoders.from_one(self.encoder.tokens(prepared)).float()
        return self.output(made)[..., : given.shape[-1]] * self.deviations[:, None]


@build_generator.register
def _(shape: ModallyReducedLeadsShape) -> nn.Module:
    return ModallyReducedLeads(shape)
