"""HeartLang's transformer: an encoder of records, and what trains it to fill in masked words.

Jin et al., ICLR 2025, section 3.4 (ST-ECGFormer).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selfmis_plugin.methods.heartlang.layers import SentenceTransformer
from selfmis_plugin.methods.heartlang.shape import HeartLangConfig
from selfmis_plugin.methods.heartlang.word_input import WordInput
from selfmis_plugin.methods.heartlang.words import Sentences
from selfmis_plugin.nn.encoder import EncoderModule, build_encoder

__all__ = ["HeartLangEncoder", "MaskedSentences", "WordInput"]


class HeartLangEncoder(EncoderModule):
    """Class tokens of packed sentences, which :class:`WordInput` makes of raw signals of any leads.

    Parameters
    ----------
    config
        Shape.

    Examples
    --------
    >>> import torch
    >>> shape = HeartLangConfig(width=32, depth=1, heads=2, head_width=16, hidden=64)
    >>> prepared = WordInput(shape, ["I"], 500, 100)(torch.zeros(4, 1, 5000, dtype=torch.int16))
    >>> HeartLangEncoder(shape)(prepared).shape
    torch.Size([4, 32])
    """

    def __init__(self, config: HeartLangConfig) -> None:
        super().__init__(config)
        self.embedding_dim = config.width
        self.transformer = SentenceTransformer(config.word_samples, config)

    def embed(self, prepared: Tensor) -> Tensor:
        """Embed packed sentences, ``(batch, words, samples + 2)`` to ``(batch, width)``.

        Raises
        ------
        ValueError
            If they are none, such as signals.
        """
        wanted = self.config.word_samples + 2
        if prepared.dim() != 3 or prepared.shape[-1] != wanted:
            raise ValueError(
                f"an input of shape {tuple(prepared.shape)} is no sentences (batch, words, "
                f"{wanted}): HeartLang reads what selfmis_plugin.nn.encoder.build_input(config, "
                "leads, store_rate, 100) makes of raw microvolts"
            )
        sentences = Sentences.of(prepared)
        tokens: Tensor = self.transformer(sentences.words, sentences)
        return tokens[:, 0]


@build_encoder.register
def _(config: HeartLangConfig, in_leads: int) -> HeartLangEncoder:
    return HeartLangEncoder(config)


class MaskedSentences(nn.Module):
    """An encoder with a head that says which code stands for a word that it does not see.

    Parameters
    ----------
    config
        Shape of the encoder.
    codes
        Number of codes.
    mask_before_convolution
        Whether a masked word is empty for its neighbours too. The authors' convolution, which
        comes before the mask, has it in the tokens on both sides.
    """

    def __init__(
        self, config: HeartLangConfig, codes: int, mask_before_convolution: bool = True
    ) -> None:
        super().__init__()
        self.encoder = HeartLangEncoder(config)
        self.mask_token = nn.Parameter(torch.zeros(config.width))
        self.head = nn.Linear(config.width, codes)
        self.mask_before_convolution = mask_before_convolution
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, sentences: Sentences, masked: Tensor) -> Tensor:
        """Return logits of the codes of masked words, ``(masked words, codes)``, in their order.

        Parameters
        ----------
        sentences
            The words.
        masked
            bool ``(batch, words)``.
        """
        words = sentences.words
        if self.mask_before_convolution:
            words = words * ~masked[..., None]
        tokens = self.encoder.transformer(
            words, sentences, masked=masked, mask_token=self.mask_token
        )
        logits: Tensor = self.head(tokens[:, 1:][masked])
        return logits
