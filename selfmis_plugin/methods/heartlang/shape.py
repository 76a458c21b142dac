"""Shapes of HeartLang's networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from selfmis_plugin.nn.encoder import register_shape
from selfmis_plugin.utils.fields import Fields, number, shown, whole

__all__ = ["BEATS_AT", "RATE", "HeartLangConfig", "TokenizerConfig"]

#: Samples a second of words, in hertz.
RATE = 100.0
#: Where beats are found: in the signal as it is stored, or as it is at :data:`RATE`.
BEATS_AT = ("store", "100")

_SIZES = ("words", "word_samples", "width", "depth", "heads", "head_width", "hidden")
_LARGEST = 2**31


@register_shape("heartlang")
@dataclass(frozen=True)
class HeartLangConfig:
    """Shape of a transformer over sentences; the defaults are the published ST-ECGFormer.

    Attributes
    ----------
    words
        Words of the longest sentence; what comes after them is left out.
    word_samples
        Samples of a word, at 100 Hz.
    width, depth, heads, head_width, hidden
        Size of a token, blocks, attention heads and their size, inner size of the perceptron.
    dropout
        Share of values that is left out in training.
    attend_padding
        Whether sentences are filled up to ``words`` with empty words, which are computed and
        attended to, and in which the convolution joins the last word to the first: as the authors
        do. Otherwise a sentence ends with its last word, whatever batch it is in.
    beats_at
        Where beats are found, of :data:`BEATS_AT`.
    deviation
        Standard deviation from which class token, positions, leads and times start.

    Raises
    ------
    ValueError
        If a value makes no network; the message names it.
    """

    words: int = 256
    word_samples: int = 96
    width: int = 768
    depth: int = 12
    heads: int = 8
    head_width: int = 64
    hidden: int = 1024
    dropout: float = 0.1
    attend_padding: bool = False
    beats_at: str = "store"
    deviation: float = 1.0

    def __post_init__(self) -> None:
        values = Fields(vars(self), "heartlang")
        for name in _SIZES:
            object.__setattr__(self, name, values.whole(name, least=1, most=_LARGEST))
        if number("heartlang: dropout", self.dropout, least=0) >= 1:
            raise ValueError(f"heartlang: dropout must be below 1, not {self.dropout:g}")
        number("heartlang: deviation", self.deviation, least=0)
        values.flag("attend_padding")
        # A command line's 100 is a number.
        object.__setattr__(self, "beats_at", str(self.beats_at))
        if self.beats_at not in BEATS_AT:
            raise ValueError(
                f"heartlang: beats_at must be one of {', '.join(BEATS_AT)}, not "
                f"{shown(self.beats_at)}"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[Any, Any]) -> HeartLangConfig:
        """Return the shape that a model's config describes, whose other keys are left alone.

        Raises
        ------
        KeyError
            If a field is missing.
        """
        # The samples of a word are no key: nothing else has been tried.
        names = [known.name for known in fields(cls) if known.name != "word_samples"]
        return cls(**{name: values[name] for name in names})


@dataclass(frozen=True)
class TokenizerConfig:
    """Shape of the tokenizer; the defaults are the published VQ-HBR.

    Attributes
    ----------
    encoder
        Shape of the encoder; the decoder differs in its depth alone.
    decoder_depth
        Blocks of the decoder.
    codes, code_size
        Number of codes, and their size.
    decay
        Share of a code that an update keeps, in [0, 1].

    Raises
    ------
    ValueError
        If a value makes no network.
    """

    encoder: HeartLangConfig = HeartLangConfig(depth=4, heads=2, hidden=2048, dropout=0.0)
    decoder_depth: int = 2
    codes: int = 8192
    code_size: int = 128
    decay: float = 0.99

    def __post_init__(self) -> None:
        for name in ("decoder_depth", "codes", "code_size"):
            value = whole(f"heartlang tokenizer: {name}", getattr(self, name), 1, _LARGEST)
            object.__setattr__(self, name, value)
        number("heartlang tokenizer: decay", self.decay, least=0, most=1)

    @classmethod
    def beside(cls, config: HeartLangConfig) -> TokenizerConfig:
        """Return the shape of a tokenizer that is to *config* as the published two are."""
        encoder = replace(
            config,
            depth=max(1, config.depth // 3),
            heads=max(1, config.heads // 4),
            hidden=2 * config.hidden,
            dropout=0.0,
        )
        width = config.width
        return cls(encoder, max(1, config.depth // 6), max(1, width * 32 // 3), max(1, width // 6))

    @classmethod
    def from_mapping(cls, values: Mapping[Any, Any]) -> TokenizerConfig:
        """Return the shape that a model's config describes; see
        :meth:`HeartLangConfig.from_mapping`."""
        names = [known.name for known in fields(cls) if known.name != "encoder"]
        own = {name: values[name] for name in names}
        return cls(HeartLangConfig.from_mapping(values), **own)
