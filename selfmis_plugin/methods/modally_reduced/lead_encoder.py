"""The encoders of some leads, as one encoder that a classifier can use."""

from __future__ import annotations

from torch import Tensor

from selfmis_plugin.methods.modally_reduced.lead_autoencoders import LeadEncoders
from selfmis_plugin.methods.modally_reduced.shape import ModallyReducedConfig
from selfmis_plugin.nn.encoder import build_encoder
from selfmis_plugin.nn.inputs import zscore

__all__ = ["LeadEncoder"]


class LeadEncoder(LeadEncoders):
    """Embeddings of the config's leads, side by side; of one lead, that lead's embedding.

    Examples
    --------
    >>> import torch
    >>> LeadEncoder(ModallyReducedConfig(leads=("I",)))(torch.randn(4, 1, 1000)).shape
    torch.Size([4, 64])
    """

    #: What it does to amplitudes after what prepares its input, in words, for a model's card.
    first_step = "the z-score of each lead by itself"

    @property
    def embedding_dim(self) -> int:
        """Values of the embeddings of all leads together."""
        return len(self.config.leads) * self.config.width

    def forward(self, prepared: Tensor) -> Tensor:
        """Embed prepared signals, ``(batch, leads, samples)`` to ``(batch, embedding_dim)``."""
        # A classifier normalises its leads together, and these encoders know each by itself.
        alone = zscore(prepared.flatten(0, 1)[:, None]).view(prepared.shape)
        return self.tokens(alone).mean(2).flatten(1)


@build_encoder.register
def _(config: ModallyReducedConfig, in_leads: int) -> LeadEncoder:
    if in_leads != len(config.leads):
        raise ValueError(f"encoders of {', '.join(config.leads)} cannot read {in_leads} leads")
    return LeadEncoder(config)
