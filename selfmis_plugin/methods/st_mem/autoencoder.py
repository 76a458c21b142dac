"""What ST-MEM's pre-training trains: the encoder over what is seen, and a decoder that makes the
rest, lead by lead."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from selfmis_plugin.methods.st_mem.draws import Draw
from selfmis_plugin.methods.st_mem.network import StMemEncoder, separated_positions
from selfmis_plugin.methods.st_mem.shape import StMemDecoderShape, StMemShape
from selfmis_plugin.nn.encoder import in_precision
from selfmis_plugin.nn.inputs import Preparation, resampled_samples
from selfmis_plugin.nn.patches import as_patches
from selfmis_plugin.nn.transformer import TransformerBlock

__all__ = ["StMem", "StMemDecoder", "StMemOutput"]

_MLP_RATIO = 4


@dataclass(frozen=True)
class StMemOutput:
    """What a training step needs.

    Attributes
    ----------
    prediction
        Every patch as the decoder has it, (batch, leads, patches, patch_size).
    target
        Every patch as it is, float32, of the same shape.
    masked
        bool (batch, leads, patches), True where the encoder did not see the patch.
    """

    prediction: Tensor
    target: Tensor
    masked: Tensor


class StMemDecoder(nn.Module):
    """A light transformer from the tokens of what was seen to all patches of a lead.

    One for all leads, and no lead sees another: what it knows of the others came through the
    encoder.

    Parameters
    ----------
    encoder
        Shape of the encoder.
    shape
        Its own.
    """

    def __init__(self, encoder: StMemShape, shape: StMemDecoderShape) -> None:
        super().__init__()
        width = shape.width
        self.token_in = nn.Linear(encoder.width, width)
        self.mask_token = nn.Parameter(0.02 * torch.randn(width))
        self.positions = nn.Parameter(
            separated_positions(encoder.patches, width), requires_grad=False
        )
        self.blocks = nn.ModuleList(
            TransformerBlock(width, shape.heads, _MLP_RATIO * width) for _ in range(shape.depth)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.patch_out = nn.Linear(width, encoder.patch_size)

    def forward(self, tokens: Tensor, visible: Tensor) -> Tensor:
        """Make all patches.

        Parameters
        ----------
        tokens
            Normalised tokens of the encoder with their separators, ``(batch, leads, visible + 2,
            width of the encoder)``.
        visible
            Which patches they are, int64 ``(batch, leads, visible)``.

        Returns
        -------
        Tensor
            ``(batch, leads, patches, patch_size)``.
        """
        known = self.token_in(tokens)
        batch, leads, _, width = known.shape
        patches = len(self.positions) - 2
        hidden = self.mask_token.to(known.dtype).expand(batch, leads, patches, width)
        where = visible[..., None].expand(-1, -1, -1, width)
        filled = hidden.scatter(2, where, known[:, :, 1:-1])
        rows = torch.cat((known[:, :, :1], filled, known[:, :, -1:]), dim=2)
        rows = (rows + self.positions.to(rows.dtype)).flatten(0, 1)
        for block in self.blocks:
            rows = block(rows)
        made: Tensor = self.patch_out(self.norm(rows)[:, 1:-1])
        return made.unflatten(0, (batch, leads))


class StMem(nn.Module):
    """ST-MEM's masked autoencoder, from raw signals.

    Parameters
    ----------
    encoder, decoder
        Shapes of its halves.
    store_rate
        Sample rate of the raw signals, in hertz.
    sample_rate
        Sample rate that the encoder reads, in hertz.
    """

    def __init__(
        self,
        encoder: StMemShape,
        decoder: StMemDecoderShape,
        store_rate: float = 500,
        sample_rate: float = 500,
    ) -> None:
        super().__init__()
        self.input = Preparation(store_rate, sample_rate)
        self.encoder = StMemEncoder(encoder)
        self.encoder.positions.requires_grad_(False)
        self.decoder = StMemDecoder(encoder, decoder)

    def surplus(self, samples: int) -> int:
        """Return by how many samples a raw record of *samples* is longer than a crop.

        Raises
        ------
        ValueError
            If it is shorter.
        """
        prepared = resampled_samples(samples, self.input.store_rate, self.input.sample_rate)
        crop = self.encoder.config.samples
        if prepared < crop:
            raise ValueError(
                f"records of {prepared} samples at {self.input.sample_rate:g} Hz are shorter than "
                f"a crop of model.samples={crop}: choose at most {prepared}"
            )
        return prepared - crop

    def forward(self, signals: Tensor, draw: Draw) -> StMemOutput:
        """Encode what is seen of each record's crop, and make all of it.

        Parameters
        ----------
        signals
            Raw microvolts of the encoder's leads, ``(batch, leads, samples)``.
        draw
            The crops, and what is seen of them.
        """
        shape = self.encoder.config
        prepared = self.input(signals)
        crop = torch.arange(shape.samples, device=signals.device) + draw.starts[:, None]
        crops = prepared.gather(2, crop[:, None].expand(-1, prepared.shape[1], -1))
        target = as_patches(self.encoder.normalised(crops), shape.patch_size)
        with in_precision(self.encoder.precision, signals.device):
            tokens = self.encoder.norm(self.encoder.tokens(target, draw.visible))
            prediction = self.decoder(tokens, draw.visible)
        return StMemOutput(prediction, target, draw.masked(shape.patches))
