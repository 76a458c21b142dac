"""Encoders and decoders of masked autoencoders (He et al., "Masked Autoencoders Are Scalable Vision
Learners", 2022) in one dimension, one a lead, all leads computed at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selfmis_plugin.methods.modally_reduced.lead_layers import (
    LeadBlock,
    LeadLayerNorm,
    LeadLinear,
    Leads,
)
from selfmis_plugin.methods.modally_reduced.shape import ModallyReducedConfig
from selfmis_plugin.nn.encoder import in_precision
from selfmis_plugin.nn.patch_masks import PatchMask
from selfmis_plugin.nn.patches import as_patches
from selfmis_plugin.nn.positions import sine_positions

__all__ = ["LeadDecoders", "LeadEncoders"]


class LeadEncoders(nn.Module):
    """Transformer encoders over patches, one a lead.

    Parameters
    ----------
    config
        Shape; one encoder for each of its leads.
    """

    def __init__(self, config: ModallyReducedConfig) -> None:
        super().__init__()
        self.config = config
        leads, width = len(config.leads), config.width
        self.patch_in = LeadLinear(leads, config.patch_size, width)
        hidden = round(config.mlp_ratio * width)
        self.blocks = nn.ModuleList(
            LeadBlock(leads, width, config.heads, hidden) for _ in range(config.depth)
        )
        self.norm = LeadLayerNorm(leads, width)
        #: Type to compute in as under autocast; None leaves it to the host.
        self.precision: torch.dtype | None = None

    def tokens(
        self, prepared: Tensor, mask: PatchMask | None = None, leads: Leads = None
    ) -> Tensor:
        """Encode the visible patches.

        Parameters
        ----------
        prepared
            Prepared signals of the computed leads, ``(batch, leads, samples)``.
        mask
            Which patches are visible; None: all.
        leads
            Positions of the computed leads among the config's; None: all.

        Returns
        -------
        Tensor
            ``(batch, leads, visible, width)``.
        """
        patches = as_patches(prepared, self.config.patch_size).transpose(0, 1)
        with in_precision(self.precision, prepared.device):
            # Only visible patches are embedded: the others cost nothing.
            if mask is not None:
                patches = _take(patches, mask.visible.to(patches.device))
            positions = sine_positions(
                prepared.shape[-1] // self.config.patch_size, self.config.width, prepared.device
            )
            place = positions if mask is None else positions[mask.visible.to(prepared.device)]
            tokens = self.patch_in(patches.to(self.patch_in.weight.dtype), leads)
            tokens = tokens + place.to(tokens.dtype)
            for block in self.blocks:
                tokens = block(tokens, leads)
            return self.norm(tokens, leads).transpose(0, 1)


class LeadDecoders(nn.Module):
    """Light transformers, one a lead, from tokens of visible patches to all patches.

    Parameters
    ----------
    config
        Shape; one decoder for each of its leads.
    """

    def __init__(self, config: ModallyReducedConfig) -> None:
        super().__init__()
        self.config = config
        leads, width = len(config.leads), config.decoder_width
        self.token_in = LeadLinear(leads, config.width, width)
        self.mask_token = nn.Parameter(0.02 * torch.randn(leads, width))
        hidden = round(config.mlp_ratio * width)
        self.blocks = nn.ModuleList(
            LeadBlock(leads, width, config.decoder_heads, hidden)
            for _ in range(config.decoder_depth)
        )
        self.norm = LeadLayerNorm(leads, width)
        self.patch_out = LeadLinear(leads, width, config.patch_size)
        self.precision: torch.dtype | None = None

    def forward(self, latents: Tensor, mask: PatchMask, leads: Leads = None) -> Tensor:
        """Decode tokens ``(batch, leads, visible, width)`` into all patches, ``(batch, leads,
        patches, patch_size)``."""
        with in_precision(self.precision, latents.device):
            tokens = self.token_in(latents.transpose(0, 1).to(self.token_in.weight.dtype), leads)
            count, batch, _, width = tokens.shape
            patches = mask.masked.shape[1]
            hidden = self.mask_token if leads is None else self.mask_token[list(leads)]
            filled = hidden.to(tokens.dtype)[:, None, None].expand(count, batch, patches, width)
            where = mask.visible.to(tokens.device)[None, :, :, None]
            tokens = filled.scatter(2, where.expand(count, -1, -1, width), tokens)
            tokens = tokens + sine_positions(patches, width, tokens.device).to(tokens.dtype)
            for block in self.blocks:
                tokens = block(tokens, leads)
            return self.patch_out(self.norm(tokens, leads), leads).transpose(0, 1)

    def from_one(self, latents: Tensor) -> Tensor:
        """Decode every lead from the tokens of all patches of one.

        Parameters
        ----------
        latents
            ``(batch, 1, patches, width)``.

        Returns
        -------
        Tensor
            ``(batch, leads, samples)``.
        """
        batch, _, patches, _ = latents.shape
        mask = PatchMask.none(batch, patches, latents.device)
        decoded: Tensor = self(latents.expand(-1, len(self.config.leads), -1, -1), mask)
        return decoded.flatten(2)


def _take(rows: Tensor, chosen: Tensor) -> Tensor:
    """Return the chosen patches, (batch, chosen), of rows (leads, batch, patches, size)."""
    where = chosen[None, :, :, None].expand(rows.shape[0], -1, -1, rows.shape[-1])
    return rows.gather(2, where)
