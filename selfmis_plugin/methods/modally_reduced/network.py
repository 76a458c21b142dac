"""Twelve masked autoencoders, one a lead, whose latents lie in one space.

Ibtehaz and Mortazavi, "Modally Reduced Representation Learning of Multi-Lead ECG Signals through
Simultaneous Alignment and Reconstruction", 2024, arXiv 2405.19359; the masked autoencoder is that
of He et al., "Masked Autoencoders Are Scalable Vision Learners", 2022, in one dimension.

A lead's *latent* is the sequence of the tokens that its encoder makes of its patches, and its
*embedding* their mean. Alignment compares latents of one record token by token, since all its
leads share the mask: token k of each lead stands for the same moment. This is what makes twelve
leads from one possible: a decoder reads the tokens of any lead as if they were its own. A mean
alone would not carry when the beats are.

Importing this module also makes known how encoders of single leads are built.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from selfmis_plugin.methods.modally_reduced.lead_autoencoders import (
    LeadDecoders,
    LeadEncoders,
)
from selfmis_plugin.methods.modally_reduced.lead_encoder import LeadEncoder
from selfmis_plugin.methods.modally_reduced.shape import ModallyReducedConfig
from selfmis_plugin.nn.inputs import Preparation, resampled_samples
from selfmis_plugin.nn.patch_masks import PatchMask
from selfmis_plugin.nn.patches import as_patches

__all__ = ["LeadEncoder", "ModallyReduced", "ModallyReducedConfig", "ModallyReducedOutput"]


@dataclass(frozen=True)
class ModallyReducedOutput:
    """What a training step needs.

    Attributes
    ----------
    latents
        Tokens of the visible patches, (batch, leads, visible, width).
    reconstruction
        Every patch as its decoder has it, (batch, leads, patches, patch_size).
    target
        Every patch as it is, float32 (batch, leads, patches, patch_size).
    mask
        Which patches the encoders saw.
    """

    latents: Tensor
    reconstruction: Tensor
    target: Tensor
    mask: PatchMask

    @property
    def embeddings(self) -> Tensor:
        """Mean tokens, (batch, leads, width)."""
        return self.latents.mean(2)


class ModallyReduced(nn.Module):
    """Masked autoencoders of all leads, from raw signals.

    Every lead is brought to zero mean and unit deviation by itself: a lone lead has nothing else
    to be measured by.

    Parameters
    ----------
    config
        Shape of the autoencoders.
    store_rate
        Sample rate of the raw signals, in hertz.
    sample_rate
        Sample rate that the encoders read, in hertz.

    Examples
    --------
    >>> import torch
    >>> model = ModallyReduced(ModallyReducedConfig(), store_rate=500, sample_rate=100)
    >>> raw = torch.randint(-500, 500, (4, 12, 5000), dtype=torch.int16)
    >>> model.embed(raw).shape, model.decode_from(raw[:, 0], 0).shape
    (torch.Size([4, 12, 64]), torch.Size([4, 12, 1000]))
    """

    def __init__(
        self, config: ModallyReducedConfig, store_rate: float = 500, sample_rate: float = 500
    ) -> None:
        super().__init__()
        self.config = config
        self.input = Preparation(store_rate, sample_rate)
        self.encoders = LeadEncoders(config)
        self.decoders = LeadDecoders(config)

    @property
    def embedding_dim(self) -> int:
        """Values of one embedding."""
        return self.config.width

    def set_precision(self, precision: torch.dtype | None) -> None:
        """Compute in *precision* as under autocast, whatever the host; None leaves it to that."""
        self.encoders.precision = self.decoders.precision = precision

    def prepare(self, signals: Tensor) -> Tensor:
        """Decimate and normalise each lead by itself.

        Parameters
        ----------
        signals
            Raw microvolts, ``(batch, leads, samples)``; any leads.

        Returns
        -------
        Tensor
            float32 ``(batch, leads, samples at sample_rate)`` of zero mean and unit deviation.
        """
        batch, leads, samples = signals.shape
        prepared: Tensor = self.input(signals.reshape(batch * leads, 1, samples))
        return prepared.view(batch, leads, -1)

    def patches(self, samples: int) -> int:
        """Patches of a raw record of *samples*."""
        prepared = resampled_samples(samples, self.input.store_rate, self.input.sample_rate)
        return prepared // self.config.patch_size

    def embed(self, signals: Tensor, leads: Sequence[int] | None = None) -> Tensor:
        """Embed raw signals whole.

        Parameters
        ----------
        signals
            Raw microvolts of the leads that are embedded, ``(batch, leads, samples)``.
        leads
            Their positions among the config's leads; None: all of them in their order.

        Returns
        -------
        Tensor
            ``(batch, leads, width)``.
        """
        self._check(signals, leads)
        embedding: Tensor = self.encoders.tokens(self.prepare(signals), None, leads).mean(2)
        return embedding

    def decode_from(self, signals: Tensor, lead: int) -> Tensor:
        """Return twelve leads from one: every lead's decoder, fed with the latent of one lead.

        Parameters
        ----------
        signals
            Raw microvolts of that lead, ``(batch, samples)``.
        lead
            Its position among the config's leads.

        Returns
        -------
        Tensor
            All leads, normalised as :meth:`prepare` does, ``(batch, leads, samples)``.
        """
        latents = self.encoders.tokens(self.prepare(signals[:, None]), None, [lead])
        made: Tensor = self.decoders.from_one(latents)
        return made

    def forward(
        self, signals: Tensor, mask: PatchMask | None = None, leads: Sequence[int] | None = None
    ) -> ModallyReducedOutput:
        """Encode the visible patches of each lead and decode them by the lead's own decoder.

        Parameters
        ----------
        signals
            Raw microvolts of the computed leads, ``(batch, leads, samples)``.
        mask
            Which patches are visible; None: all.
        leads
            Positions of the computed leads; None: all.

        Raises
        ------
        ValueError
            If the leads are not those of the config, or records are no whole number of patches.
        """
        self._check(signals, leads)
        prepared = self.prepare(signals)
        target = as_patches(prepared, self.config.patch_size)
        if mask is None:
            mask = PatchMask.none(target.shape[0], target.shape[2], target.device)
        latents = self.encoders.tokens(prepared, mask, leads)
        return ModallyReducedOutput(latents, self.decoders(latents, mask, leads), target, mask)

    def _check(self, signals: Tensor, leads: Sequence[int] | None) -> None:
        count = len(self.config.leads) if leads is None else len(leads)
        if signals.dim() != 3 or signals.shape[1] != count:
            raise ValueError(
                f"signals of shape {tuple(signals.shape)} are not (batch, {count} leads, samples)"
            )
