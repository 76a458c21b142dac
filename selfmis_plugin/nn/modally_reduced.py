"""Twelve masked autoencoders, one a lead, whose latents lie in one space.

Ibtehaz and Mortazavi, "Modally Reduced Representation Learning of Multi-Lead ECG Signals through
Simultaneous Alignment and Reconstruction", 2024, arXiv 2405.19359; the masked autoencoder is that
of He et al., "Masked Autoencoders Are Scalable Vision Learners", 2022, in one dimension.

A lead's *latent* is the sequence of the tokens that its encoder makes of its patches, and its
*embedding* their mean. Alignment compares latents of one record token by token, since all its
leads share the mask: token k of each lead stands for the same moment. This is what makes twelve
leads from one possible: a decoder reads the tokens of any lead as if they were its own. A mean
alone would not carry when the beats are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.nn.inputs import Preparation, resampled_samples
from selfmis_plugin.nn.lead_layers import LeadBlock, LeadLayerNorm, LeadLinear, Leads
from selfmis_plugin.nn.patch_masks import PatchMask

__all__ = [
    "ENCODER_KEYS",
    "LeadEncoders",
    "ModallyReduced",
    "ModallyReducedConfig",
    "ModallyReducedOutput",
]

#: Fields of a shape that an encoder depends on.
ENCODER_KEYS = ("patch_size", "width", "depth", "heads", "mlp_ratio")


@dataclass(frozen=True)
class ModallyReducedConfig:
    """Shape of the autoencoders; all leads have the same.

    Attributes
    ----------
    leads
        Names of the leads, in their order.
    patch_size
        Samples of a patch; records must be a whole number of them.
    width, depth, heads
        Size of a token, transformer blocks and attention heads of an encoder.
    decoder_width, decoder_depth, decoder_heads
        The same of a decoder.
    mlp_ratio
        Inner size of a block's perceptron over the size of a token.
    mask_ratio
        Share of the patches that are masked in training, in [0, 1).
    """

    leads: tuple[str, ...] = STANDARD_LEADS
    patch_size: int = 25
    width: int = 64
    depth: int = 2
    heads: int = 4
    decoder_width: int = 32
    decoder_depth: int = 1
    decoder_heads: int = 4
    mlp_ratio: float = 4.0
    mask_ratio: float = 0.5

    @classmethod
    def from_mapping(cls, values: Mapping[Any, Any], leads: Sequence[str]) -> ModallyReducedConfig:
        """Return the shape that a model's config describes, for *leads*.

        Parameters
        ----------
        values
            A model's config, whose other keys are left alone. An encoder's need not say how the
            signal was masked and decoded.
        leads
            Names of the leads.

        Raises
        ------
        KeyError
            If a field is missing.
        """
        names = [known.name for known in fields(cls) if known.name != "leads"]
        asked = [name for name in names if name in ENCODER_KEYS or name in values]
        return cls(leads=tuple(leads), **{name: values[name] for name in asked})


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
        patches = _patches(prepared, self.config.patch_size).transpose(0, 1)
        with _computing(self.precision, prepared.device):
            # Only visible patches are embedded: the others cost nothing.
            if mask is not None:
                patches = _take(patches, mask.visible.to(patches.device))
            positions = _positions(
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
        with _computing(self.precision, latents.device):
            tokens = self.token_in(latents.transpose(0, 1).to(self.token_in.weight.dtype), leads)
            count, batch, _, width = tokens.shape
            patches = mask.masked.shape[1]
            hidden = self.mask_token if leads is None else self.mask_token[list(leads)]
            filled = hidden.to(tokens.dtype)[:, None, None].expand(count, batch, patches, width)
            where = mask.visible.to(tokens.device)[None, :, :, None]
            tokens = filled.scatter(2, where.expand(count, -1, -1, width), tokens)
            tokens = tokens + _positions(patches, width, tokens.device).to(tokens.dtype)
            for block in self.blocks:
                tokens = block(tokens, leads)
            return self.patch_out(self.norm(tokens, leads), leads).transpose(0, 1)


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

    def decode(self, latents: Tensor, mask: PatchMask, leads: Leads = None) -> Tensor:
        """Return the signals ``(batch, leads, samples)`` that decoders make of latents
        ``(batch, leads, visible, width)``."""
        decoded: Tensor = self.decoders(latents, mask, leads)
        return decoded.flatten(2)

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
        count = len(self.config.leads)
        mask = PatchMask.none(latents.shape[0], latents.shape[2], latents.device)
        return self.decode(latents.expand(-1, count, -1, -1), mask)

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
        target = _patches(prepared, self.config.patch_size)
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


def _patches(prepared: Tensor, size: int) -> Tensor:
    samples = prepared.shape[-1]
    if samples % size:
        raise ValueError(
            f"{samples} samples are no whole number of patches of {size}: choose a patch_size "
            f"that divides {samples}"
        )
    return prepared.unflatten(-1, (samples // size, size))


def _take(rows: Tensor, chosen: Tensor) -> Tensor:
    """Return the chosen patches, (batch, chosen), of rows (leads, batch, patches, size)."""
    where = chosen[None, :, :, None].expand(rows.shape[0], -1, -1, rows.shape[-1])
    return rows.gather(2, where)


def _positions(count: int, width: int, device: torch.device) -> Tensor:
    """Sines and cosines of each position, float32 (count, width) (Vaswani et al., 2017)."""
    half = width // 2
    rates = torch.exp(torch.arange(half, device=device) * (-math.log(10_000) / max(1, half - 1)))
    angles = torch.arange(count, device=device)[:, None] * rates
    places = torch.zeros(count, width, device=device)
    places[:, :half], places[:, half : 2 * half] = angles.sin(), angles.cos()
    return places


def _computing(precision: torch.dtype | None, device: torch.device) -> AbstractContextManager[None]:
    return nullcontext() if precision is None else torch.autocast(device.type, precision)
