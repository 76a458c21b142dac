"""Vector-quantised heartbeat reconstruction: from words to codes, and back.

Jin et al., ICLR 2025, section 3.3 (VQ-HBR).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from selfmis_plugin.methods.heartlang.codebook import Codebook
from selfmis_plugin.methods.heartlang.layers import SentenceTransformer
from selfmis_plugin.methods.heartlang.shape import TokenizerConfig
from selfmis_plugin.methods.heartlang.words import Sentences

__all__ = ["HeartbeatTokenizer", "Reconstruction"]


@dataclass(frozen=True)
class Reconstruction:
    """What a training step needs.

    Attributes
    ----------
    sentences
        What was read.
    made
        The words as they are made again, ``(batch, words, samples)``.
    vectors, fixed
        Unit vectors of the words, and their codes, ``(batch, words, code size)``.
    codes
        Numbers of the codes, int64 ``(batch, words)``.
    counted
        Which words are to be learnt from, bool ``(batch, words)``.
    longest
        Words of the longest sentence there can be.
    """

    sentences: Sentences
    made: Tensor
    vectors: Tensor
    fixed: Tensor
    codes: Tensor
    counted: Tensor
    longest: int


class HeartbeatTokenizer(nn.Module):
    """Encoder, codebook and decoder of words.

    Parameters
    ----------
    config
        Shape.
    shared, seed
        See :class:`Codebook`.

    Examples
    --------
    >>> import torch
    >>> from selfmis_plugin.methods.heartlang.shape import HeartLangConfig
    >>> small = HeartLangConfig(width=32, depth=1, heads=2, head_width=16, hidden=64)
    >>> tokenizer = HeartbeatTokenizer(TokenizerConfig(small, 1, codes=16, code_size=8))
    >>> numbers = torch.ones(4, 10, dtype=torch.int64)
    >>> tokenizer.codes(Sentences(torch.randn(4, 10, 96), numbers, numbers)).shape
    torch.Size([4, 10])
    """

    def __init__(self, config: TokenizerConfig, shared: bool = True, seed: int = 1) -> None:
        super().__init__()
        self.config = config
        shape = config.encoder
        width, samples = shape.width, shape.word_samples
        self.encoder = SentenceTransformer(samples, shape)
        self.to_code = nn.Sequential(
            nn.Linear(width, width), nn.Tanh(), nn.Linear(width, config.code_size)
        )
        self.codebook = Codebook(config.codes, config.code_size, config.decay, shared, seed)
        self.decoder = SentenceTransformer(config.code_size, shape, config.decoder_depth)
        self.to_word = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, samples))

    def vectors(self, sentences: Sentences, numbered: bool = True) -> Tensor:
        """Return a unit vector of each word, float32 ``(batch, words, code size)``."""
        tokens = self.encoder(sentences.words, sentences, numbered)[:, 1:]
        # An empty word is the same wherever it stands.
        tokens = tokens * (sentences.words != 0).any(-1, keepdim=True)
        return F.normalize(self.to_code(tokens).float(), dim=-1)

    def codes(self, sentences: Sentences, numbered: bool = True) -> Tensor:
        """Return the numbers of the words' codes, int64 ``(batch, words)``.

        Parameters
        ----------
        sentences
            The words.
        numbered
            Whether the encoder is told leads and times, as it is in its training.
        """
        return self.codebook(self.vectors(sentences, numbered)).numbers

    def forward(
        self, sentences: Sentences, on_padding: bool = False, update: bool = False
    ) -> Reconstruction:
        """Quantise the words and make them again.

        Parameters
        ----------
        sentences
            The words.
        on_padding
            Whether padding is learnt from.
        update
            Whether the codebook may learn; it does in training mode alone.
        """
        counted = sentences.real | on_padding
        vectors = self.vectors(sentences)
        # Where nothing may be learnt the other processes still wait for what comes from here.
        quantised = self.codebook(vectors, counted & update, update=self.training)
        tokens = self.decoder(quantised.vectors, sentences)[:, 1:]
        return Reconstruction(
            sentences,
            self.to_word(tokens),
            vectors,
            quantised.fixed,
            quantised.numbers,
            counted,
            self.config.encoder.words,
        )
