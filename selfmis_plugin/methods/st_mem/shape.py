"""Shapes of ST-MEM's encoder and of the decoder that its pre-training has beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.nn.encoder import register_shape
from selfmis_plugin.utils.fields import Fields, number, whole

__all__ = ["DECODER_KEYS", "ENCODER_KEYS", "StMemDecoderShape", "StMemShape"]

#: Fields of a shape that a config gives.
ENCODER_KEYS = ("samples", "patch_size", "width", "depth", "heads", "mlp_ratio")
#: Those of a decoder, there with ``decoder_`` before them but for the last.
DECODER_KEYS = ("decoder_width", "decoder_depth", "decoder_heads", "mask_ratio")

_LARGEST = 2**31
_MOST_LEADS = 1000


@register_shape("st_mem")
@dataclass(frozen=True)
class StMemShape:
    """Shape of the encoder; the defaults are the small one for a CPU.

    Attributes
    ----------
    leads
        Names of the leads that it computes, each with a learned embedding.
    given
        Those of them that it is given; the others are zero. Empty: all are given.
    samples
        Length of a crop; of a longer record the mean over three crops is the embedding.
    patch_size
        Samples of a patch, which divide a crop.
    width, depth, heads
        Size of a token, transformer blocks and attention heads.
    mlp_ratio
        Inner size of a block's perceptron over the size of a token.

    Raises
    ------
    ValueError
        If a value makes no network; the message names it.
    """

    leads: tuple[str, ...] = STANDARD_LEADS
    given: tuple[str, ...] = ()
    samples: int = 900
    patch_size: int = 50
    width: int = 64
    depth: int = 2
    heads: int = 4
    mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        leads = Fields({"leads": self.leads}).names("leads", most=_MOST_LEADS)
        given = Fields({"given": self.given}).names("given", most=_MOST_LEADS) if self.given else ()
        unknown = [lead for lead in given if lead not in leads]
        if unknown:
            raise ValueError(f"st_mem: no lead {', '.join(unknown)} among {', '.join(leads)}")
        object.__setattr__(self, "leads", leads)
        object.__setattr__(self, "given", given)
        for name in ENCODER_KEYS[:-1]:
            value = whole(f"st_mem: {name}", getattr(self, name), least=1, most=_LARGEST)
            object.__setattr__(self, name, value)
        number("st_mem: mlp_ratio", self.mlp_ratio, above=0, most=_LARGEST)
        if self.samples % self.patch_size:
            raise ValueError(
                f"st_mem: a crop of samples={self.samples} is no whole number of patches of "
                f"{self.patch_size}: choose a patch_size that divides it"
            )

    @property
    def patches(self) -> int:
        """Patches of a lead's crop."""
        return self.samples // self.patch_size

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the leads that it is given, in their order."""
        return self.given or self.leads

    @property
    def in_leads(self) -> int:
        """How many they are."""
        return len(self.reads)

    @property
    def hidden(self) -> int:
        """Inner size of a block's perceptron."""
        return round(self.mlp_ratio * self.width)

    @classmethod
    def from_mapping(
        cls, values: Mapping[Any, Any], leads: Sequence[str], given: Sequence[str] = ()
    ) -> StMemShape:
        """Return the shape that a model's config describes; its other keys are left alone.

        Raises
        ------
        KeyError
            If a field is missing.
        """
        return cls(tuple(leads), tuple(given), **{name: values[name] for name in ENCODER_KEYS})


@dataclass(frozen=True)
class StMemDecoderShape:
    """Shape of the decoder, which all leads share, and how much it has to make up.

    Attributes
    ----------
    width, depth, heads
        As of the encoder.
    mask_ratio
        Share of each lead's patches that the encoder does not see, in (0, 1).

    Raises
    ------
    ValueError
        If a value makes no network; the message names it.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    mask_ratio: float = 0.75

    def __post_init__(self) -> None:
        for name in ("width", "depth", "heads"):
            value = getattr(self, name)
            value = whole(f"st_mem: decoder_{name}", value, least=1, most=_LARGEST)
            object.__setattr__(self, name, value)
        ratio = number("st_mem: mask_ratio", self.mask_ratio, above=0)
        if ratio >= 1:
            raise ValueError(f"st_mem: mask_ratio must be below 1, not {ratio:g}")

    @classmethod
    def from_mapping(cls, values: Mapping[Any, Any]) -> StMemDecoderShape:
        """Return the shape that a model's config describes.

        Raises
        ------
        KeyError
            If a field is missing.
        """
        return cls(*(values[name] for name in DECODER_KEYS))
