"""Config keys of HeartLang's models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from selfmis_plugin import toolkit

__all__ = ["HeartLangModelConfig", "HeartLangShapeConfig", "TokenizerModelConfig"]


@dataclass
class HeartLangShapeConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Size of a transformer over sentences, and how it computes; ST-ECGFormer's by default."""

    words: int = field(default=256, metadata={"help": "words of the longest sentence"})
    width: int = field(default=768, metadata={"help": "size of a token"})
    depth: int = field(default=12, metadata={"help": "blocks of the encoder"})
    heads: int = field(default=8, metadata={"help": "attention heads"})
    head_width: int = field(default=64, metadata={"help": "size of an attention head"})
    hidden: int = field(default=1024, metadata={"help": "inner size of a block's perceptron"})
    dropout: float = field(default=0.1, metadata={"help": "share of values left out in training"})
    attend_padding: bool = field(
        default=False,
        metadata={
            "help": "fill sentences up with empty words that are computed and attended to, as the "
            "authors do; right is false: they say nothing, and on lead I they are 246 of 256"
        },
    )
    beats_at: str = field(
        default="store",
        metadata={
            "help": "find beats at the store's rate, or at 100 Hz, as the authors do, where the "
            "detector finds more that are none"
        },
    )
    deviation: float = field(
        default=1.0,
        metadata={"help": "standard deviation from which positions, leads and times start"},
    )
    precision: str = field(
        default="float32",
        metadata={"help": "what the model computes in, whatever the host: float32 or bfloat16"},
    )


@dataclass
class TokenizerModelConfig(HeartLangShapeConfig):
    """Keys of ``model: {_name: heartlang_tokenizer}``; VQ-HBR's sizes by default."""

    depth: int = field(default=4, metadata={"help": "blocks of the encoder"})
    heads: int = field(default=2, metadata={"help": "attention heads"})
    hidden: int = field(default=2048, metadata={"help": "inner size of a block's perceptron"})
    dropout: float = field(default=0.0, metadata={"help": "share of values left out in training"})
    decoder_depth: int = field(default=2, metadata={"help": "blocks of the decoder"})
    codes: int = field(default=8192, metadata={"help": "number of codes"})
    code_size: int = field(default=128, metadata={"help": "size of a code"})
    decay: float = field(default=0.99, metadata={"help": "share of a code that an update keeps"})
    loss_on_padding: bool = field(
        default=False,
        metadata={
            "help": "also learn the empty words that fill a sentence up, as the authors do; right "
            "is false: they are one and the same word. Needs attend_padding"
        },
    )
    codebook_shared: bool = field(
        default=True,
        metadata={
            "help": "one codebook for all processes; the authors' (false) start each from its own "
            "data and then add up sums that belong to different codes"
        },
    )


@dataclass
class HeartLangModelConfig(HeartLangShapeConfig):
    """Keys of ``model: {_name: heartlang}``."""

    tokenizer_checkpoint: Optional[str] = field(  # noqa: UP045  (read by omegaconf)
        default=None,
        metadata={"help": "tokenizer that makes the targets: of heartlang_tokenizer, or published"},
    )
    mask_ratio: float = field(default=0.5, metadata={"help": "share of words that are masked"})
    tokenizer_indices: bool = field(
        default=True,
        metadata={
            "help": "make targets with leads and times, as the tokenizer was trained; the authors "
            "leave them out (false)"
        },
    )
    mask_before_convolution: bool = field(
        default=True,
        metadata={
            "help": "a masked word is empty for the convolution too; the authors mask after it "
            "(false), and what is to be guessed stands in its neighbours"
        },
    )
    loss_on_padding: bool = field(
        default=False,
        metadata={
            "help": "also mask and guess the empty words that fill a sentence up, as the authors "
            "do; right is false: their lead and time tell them. Needs attend_padding"
        },
    )
