"""Two views of a record: one lead's embedding, and what its other leads have in common."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from selfmis_plugin.data.leads import lead_rows
from selfmis_plugin.methods.modally_reduced.network import ModallyReduced

__all__ = ["LeadView", "LeadViews"]


class LeadViews(nn.Module):
    """One lead's embedding beside the mean embedding of the others, so that retrieval of records
    by a single lead is measured as for two towers.

    Parameters
    ----------
    model
        Autoencoders of at least two leads.
    leads
        Leads of the raw signals, in their order.
    lead
        The one lead; None: the model's first.
    """

    def __init__(
        self, model: ModallyReduced, leads: Sequence[str], lead: str | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.leads = tuple(leads)
        self.rows = lead_rows(leads, model.config.leads)
        self.lead = 0 if lead is None else model.config.leads.index(lead)

    def forward(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        """Embed raw signals ``(batch, leads, samples)``: twice ``(batch, width)``."""
        embeddings = self.model.embed(signal[:, self.rows])
        one = embeddings[:, self.lead]
        rest = (embeddings.sum(1) - one) / max(1, embeddings.shape[1] - 1)
        return one, rest


class LeadView(nn.Module):
    """One of the two views.

    Parameters
    ----------
    views
        Both.
    side
        0 for the lead, 1 for the others.
    """

    def __init__(self, views: LeadViews, side: int) -> None:
        super().__init__()
        self.views = views
        self.side = side

    def forward(self, signal: Tensor) -> Tensor:
        """Embed raw signals ``(batch, leads, samples)``: ``(batch, width)``."""
        embedding: Tensor = self.views(signal)[self.side]
        return embedding
