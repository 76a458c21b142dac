"""Transformer over the words of sentences."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selfmis_plugin.methods.heartlang.shape import HeartLangConfig
from selfmis_plugin.methods.heartlang.words import NUMBERS, Sentences
from selfmis_plugin.nn.transformer import TransformerBlock

__all__ = ["SentenceTransformer"]


class SentenceTransformer(nn.Module):
    """Words, or codes in their place, to normalised tokens with a class token before them.

    A convolution over neighbouring words, tables of leads, times and positions, pre-norm blocks
    (Jin et al., ICLR 2025, section 3.2).

    Parameters
    ----------
    values
        Values of a word or code.
    config
        Shape.
    depth
        Blocks; None: those of the shape.
    """

    def __init__(self, values: int, config: HeartLangConfig, depth: int | None = None) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.convolution = nn.Conv1d(values, width, 3, bias=False)
        self.lead_table = nn.Embedding(NUMBERS, width)
        self.time_table = nn.Embedding(NUMBERS, width)
        self.class_token = nn.Parameter(torch.empty(width))
        self.positions = nn.Parameter(torch.empty(config.words + 1, width))
        for table in (
            *(self.lead_table.weight, self.time_table.weight),
            *(self.class_token, self.positions),
        ):
            nn.init.normal_(table, std=config.deviation)
        self.blocks = nn.ModuleList(
            TransformerBlock(
                width,
                config.heads,
                config.hidden,
                config.head_width,
                attention_bias=False,
                dropout=config.dropout,
            )
            for _ in range(config.depth if depth is None else depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        values: Tensor,
        sentences: Sentences,
        numbered: bool = True,
        masked: Tensor | None = None,
        mask_token: Tensor | None = None,
    ) -> Tensor:
        """Return tokens ``(batch, 1 + words, width)``, the class token first.

        Parameters
        ----------
        values
            What stands for the words, ``(batch, words, values)``.
        sentences
            Leads, times and which words are real; its words are not looked at.
        numbered
            Whether tokens are told their leads and times.
        masked, mask_token
            After the convolution *mask_token*, (width,), stands for the words that are masked,
            bool ``(batch, words)``.

        Raises
        ------
        ValueError
            If padding is attended to, and the sentences are not filled up.
        """
        config, real = self.config, sentences.real
        if config.attend_padding and values.shape[1] != config.words:
            raise ValueError(
                f"sentences of {values.shape[1]} words are not filled up to {config.words}, whose "
                "padding is attended to"
            )
        tokens = self._convolved(values, real)
        if masked is not None and mask_token is not None:
            tokens = torch.where(masked[..., None], mask_token.to(tokens.dtype), tokens)
        if numbered:
            tokens = tokens + self.lead_table(sentences.leads) + self.time_table(sentences.times)
        tokens = torch.cat([self.class_token.expand(len(tokens), 1, -1).to(tokens), tokens], dim=1)
        tokens = tokens + self.positions[: tokens.shape[1]].to(tokens.dtype)
        if config.dropout:
            tokens = F.dropout(tokens, config.dropout, self.training)
        attended = None if config.attend_padding else F.pad(real, (1, 0), value=True)
        for block in self.blocks:
            tokens = block(tokens, attended)
        normalised: Tensor = self.norm(tokens)
        return normalised

    def _convolved(self, values: Tensor, real: Tensor) -> Tensor:
        if not self.config.attend_padding:
            # A code stands for padding too, and would reach into the last word.
            values = values * real[..., None]
        channels = values.to(self.convolution.weight.dtype).transpose(1, 2)
        ends = "circular" if self.config.attend_padding else "constant"
        tokens: Tensor = self.convolution(F.pad(channels, (1, 1), mode=ends))
        return tokens.transpose(1, 2)
