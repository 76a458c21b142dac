"""ST-MEM's encoder: one transformer over the patches of all leads (section 3 of the paper).

Every lead is cut into the same patches, embedded by the same layer. What lead a token is of, it is
told by a learned embedding, which is found by the lead's *name*: of lead I alone come lead I's
tokens and no others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selfmis_plugin.data.leads import lead_rows
from selfmis_plugin.methods.st_mem.shape import StMemShape
from selfmis_plugin.nn.encoder import EncoderModule, build_encoder
from selfmis_plugin.nn.inputs import zscore
from selfmis_plugin.nn.patches import as_patches
from selfmis_plugin.nn.positions import sine_positions
from selfmis_plugin.nn.transformer import TransformerBlock

__all__ = ["StMemEncoder", "StMemShape", "evaluation_crops", "separated_positions"]


class StMemEncoder(EncoderModule):
    """A vision transformer over the patches of an ECG's leads (Na et al., 2024).

    The embedding of a record is the mean over the crops of :func:`evaluation_crops`; of a crop it
    is the mean over the tokens of all leads, normalised after that.

    Parameters
    ----------
    config
        Its shape.

    Examples
    --------
    >>> import torch
    >>> StMemEncoder(StMemShape(leads=("I",)))(torch.randn(4, 1, 1000)).shape
    torch.Size([4, 64])
    """

    #: What it does to amplitudes with what prepares its input, in words, for a model's card.
    first_step = "the z-score over all leads and samples of a window, and again of each crop of it"

    def __init__(self, config: StMemShape) -> None:
        super().__init__(config)
        self.embedding_dim = width = config.width
        self.rows = lead_rows(config.leads, config.reads)
        self.patch_norm = nn.LayerNorm(config.patch_size)
        self.patch_in = nn.Linear(config.patch_size, width)
        self.token_norm = nn.LayerNorm(width)
        #: With those of the separators at the ends. Fixed in pre-training, learned in fine-tuning.
        self.positions = nn.Parameter(separated_positions(config.patches, width))
        self.separator = nn.Parameter(0.02 * torch.randn(width))
        self.lead_embeddings = nn.Parameter(0.02 * torch.randn(len(config.leads), width))
        self.blocks = nn.ModuleList(
            TransformerBlock(width, config.heads, config.hidden) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(width)

    def embed(self, prepared: Tensor) -> Tensor:
        """Embed prepared signals of the leads that are given, ``(batch, leads, samples)`` to
        ``(batch, width)``.

        Raises
        ------
        ValueError
            If a record is shorter than a crop.
        """
        crops = evaluation_crops(prepared, self.config.samples)
        batch, count = crops.shape[:2]
        tokens = self.tokens(as_patches(self.normalised(crops.flatten(0, 1)), self._patch))
        # The mean of the tokens is normalised, not each of them as in pre-training.
        means: Tensor = self.norm(tokens[:, :, 1:-1].mean((1, 2)))
        return means.unflatten(0, (batch, count)).mean(1)

    def normalised(self, crops: Tensor) -> Tensor:
        """Bring crops of the given leads to mean 0 and deviation 1 over all of them together, and
        add the others as zeros.

        Parameters
        ----------
        crops
            ``(crops, given leads, samples)``.

        Returns
        -------
        Tensor
            float32 ``(crops, leads, samples)``.
        """
        scaled = zscore(crops)
        if not self.config.given:
            return scaled
        # Zeros would be no longer zero after a normalisation with them.
        batch, _, samples = scaled.shape
        whole = scaled.new_zeros(batch, len(self.config.leads), samples)
        whole[:, self.rows] = scaled
        return whole

    def tokens(self, patches: Tensor, visible: Tensor | None = None) -> Tensor:
        """Encode patches, all leads together.

        Parameters
        ----------
        patches
            ``(batch, leads, patches, patch_size)``.
        visible
            The patches that are seen, int64 ``(batch, leads, visible)``; None: all.

        Returns
        -------
        Tensor
            ``(batch, leads, visible + 2, width)``, each lead's tokens between its separators, not
            normalised.

        Raises
        ------
        ValueError
            If these are not the leads of the shape.
        """
        if patches.shape[1] != len(self.config.leads):
            raise ValueError(
                f"{patches.shape[1]} leads cannot be those of the encoder: "
                f"{', '.join(self.config.leads)}"
            )
        places = self.positions[1:-1].expand(*patches.shape[:3], -1)
        if visible is not None:
            # Only what is seen is embedded: the rest costs nothing.
            patches, places = (
                rows.gather(2, visible[..., None].expand(-1, -1, -1, rows.shape[-1]))
                for rows in (patches, places)
            )
        embedded = self.patch_in(self.patch_norm(patches.to(self.patch_in.weight.dtype)))
        tokens = self.token_norm(embedded) + places
        ends = (
            (self.separator + self.positions[end]).expand(*tokens.shape[:2], 1, -1)
            for end in (0, -1)
        )
        first, last = (end.to(tokens.dtype) for end in ends)
        tokens = torch.cat((first, tokens, last), dim=2) + self.lead_embeddings[:, None]
        flat = tokens.flatten(1, 2)
        for block in self.blocks:
            flat = block(flat)
        return flat.view(tokens.shape)

    @property
    def _patch(self) -> int:
        return int(self.config.patch_size)


def separated_positions(patches: int, width: int) -> Tensor:
    """Return sines and cosines of a lead's patches, with zeros for the separators at its ends,
    ``(patches + 2, width)``."""
    places = sine_positions(patches + 2, width)
    places[[0, -1]] = 0
    return places


def evaluation_crops(prepared: Tensor, samples: int) -> Tensor:
    """Cut the first, the middle and the last crop out of each record, or one where it is no longer.

    Parameters
    ----------
    prepared
        ``(batch, leads, samples)``.
    samples
        Length of a crop.

    Returns
    -------
    Tensor
        ``(batch, crops, leads, samples)``.

    Raises
    ------
    ValueError
        If a record is shorter than a crop.
    """
    surplus = prepared.shape[-1] - samples
    if surplus < 0:
        raise ValueError(
            f"records of {prepared.shape[-1]} samples are shorter than a crop of {samples}: "
            "prepare longer records, or train with a smaller model.samples"
        )
    starts = dict.fromkeys((0, surplus // 2, surplus))
    return torch.stack([prepared[..., start : start + samples] for start in starts], dim=1)


@build_encoder.register
def _(config: StMemShape, in_leads: int) -> StMemEncoder:
    if in_leads != config.in_leads:
        raise ValueError(f"an encoder of {', '.join(config.reads)} cannot read {in_leads} leads")
    return StMemEncoder(config)
