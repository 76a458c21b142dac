"""The two encoders of SelfMIS: a single-lead one that learns, a multi-lead one that stays as it
is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from selfmis_plugin.data.leads import lead_rows
from selfmis_plugin.nn.inputs import Preparation
from selfmis_plugin.nn.net1d import Net1D, Net1DConfig

__all__ = ["TwoTowers"]


class TwoTowers(nn.Module):
    """Single-lead and multi-lead :class:`~selfmis_plugin.nn.net1d.Net1D` over the same records
    (paper, section 2.3).

    The multi-lead tower is frozen (the paper's stop-gradient): its parameters need no gradient,
    it stays in evaluation mode whatever :meth:`train` says, and runs without autograd.

    Parameters
    ----------
    config
        Shape of both towers; its ``in_leads`` is replaced by 1 and by the number of
        ``multi_leads``.
    leads
        Leads of the raw signals, in their order.
    lead
        The lead that is the single-lead input.
    store_rate
        Sample rate of the raw signals, in hertz.
    sample_rate
        Sample rate that the towers read, in hertz.
    freeze_multi
        Freeze the multi-lead tower.
    multi_leads
        The leads that are the multi-lead input, in the tower's order; None: all ``leads``. Without
        ``lead`` among them, as for a wearable beside a reference, the multi-lead tower does not see
        what the single-lead one reads.

    Raises
    ------
    ValueError
        If ``lead`` or one of ``multi_leads`` is not among ``leads``, or the rates do not fit.

    Examples
    --------
    >>> import torch
    >>> config = Net1DConfig(base_filters=8, filters=(8, 16), blocks=(1, 1), group_width=8)
    >>> towers = TwoTowers(config, ["I", "II", "V1"], lead="I", store_rate=500, sample_rate=100)
    >>> single, multi = towers(torch.randint(-500, 500, (4, 3, 5000), dtype=torch.int16))
    >>> single.shape, multi.shape, single.requires_grad, multi.requires_grad
    (torch.Size([4, 16]), torch.Size([4, 16]), True, False)
    """

    def __init__(
        self,
        config: Net1DConfig,
        leads: Sequence[str],
        lead: str = "I",
        store_rate: float = 500,
        sample_rate: float = 500,
        freeze_multi: bool = True,
        multi_leads: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        (self.lead_row,) = lead_rows(leads, [lead])
        self.lead = lead
        self.leads = tuple(leads)
        self.multi_leads = self.leads if multi_leads is None else tuple(multi_leads)
        self._multi_rows = lead_rows(leads, self.multi_leads)
        self.freeze_multi = freeze_multi
        self.single_input = Preparation(store_rate, sample_rate)
        self.multi_input = Preparation(store_rate, sample_rate)
        self.single = Net1D(dataclasses.replace(config, in_leads=1))
        self.multi = Net1D(dataclasses.replace(config, in_leads=len(self.multi_leads)))
        if freeze_multi:
            self.multi.requires_grad_(False).eval()

    @property
    def embedding_dim(self) -> int:
        """Values of one embedding."""
        return self.single.embedding_dim

    def train(self, mode: bool = True) -> TwoTowers:
        """Switch to training, or back; a frozen tower stays as it judges."""
        super().train(mode)
        if self.freeze_multi:
            self.multi.eval()
        return self

    def embed_single(self, signal: Tensor) -> Tensor:
        """Embeddings ``(batch, embedding_dim)`` of the raw single lead, ``(batch, 1, samples)``."""
        return _embed(self.single, self.single_input(signal))

    def embed_multi(self, signal: Tensor) -> Tensor:
        """Embeddings ``(batch, embedding_dim)`` of raw records, ``(batch, leads, samples)``.

        All leads are given, the tower takes its ``multi_leads``. A frozen tower gives a record the
        same embedding in every epoch, so it may be kept.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze_multi):
            if self.multi_leads != self.leads:
                signal = signal[:, self._multi_rows]
            return _embed(self.multi, self.multi_input(signal))

    def forward(
        self,
        signal: Tensor,
        multi_embedding: Tensor | None = None,
        single: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Embed the single lead and the reference.

        Parameters
        ----------
        signal
            ``(batch, leads, samples)``, raw microvolts; with ``multi_embedding`` the single lead
            alone, ``(batch, 1, samples)``.
        multi_embedding
            What :meth:`embed_multi` gave for these records, ``(batch, embedding_dim)``: it is
            handed back, and the multi-lead tower does not run.
        single
            Another piece of the single lead than ``signal`` has, ``(batch, 1, samples)``.

        Returns
        -------
        tuple of Tensor
            Single-lead and multi-lead embeddings, ``(batch, embedding_dim)`` each.
        """
        if multi_embedding is not None:
            if signal.dim() != 3 or signal.shape[1] != 1:
                raise ValueError(
                    f"beside multi-lead embeddings the signal is lead {self.lead} alone, (batch, "
                    f"1, samples), not of shape {tuple(signal.shape)}"
                )
            return self.embed_single(signal), multi_embedding
        if signal.dim() != 3 or signal.shape[1] != len(self.leads):
            raise ValueError(
                f"signals of shape {tuple(signal.shape)} do not have the {len(self.leads)} leads "
                f"({', '.join(self.leads)}) that the towers were built for"
            )
        if single is None:
            single = signal[:, self.lead_row : self.lead_row + 1]
        return self.embed_single(single), self.embed_multi(signal)


def _embed(encoder: Net1D, prepared: Tensor) -> Tensor:
    # Prepared in float32; a tower that the host cast to half precision reads its own type.
    embedding: Tensor = encoder(prepared.to(encoder.first_conv.weight.dtype))
    return embedding
