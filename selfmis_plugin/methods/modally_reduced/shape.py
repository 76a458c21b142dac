"""Shape of modally reduced representations' autoencoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.nn.encoder import register_shape
from selfmis_plugin.utils.fields import Fields, number, whole

__all__ = ["ENCODER_KEYS", "ModallyReducedConfig"]

#: Fields of a shape that an encoder depends on.
ENCODER_KEYS = ("patch_size", "width", "depth", "heads", "mlp_ratio")

_SIZES = (
    *("patch_size", "width", "depth", "heads"),
    *("decoder_width", "decoder_depth", "decoder_heads"),
)
_LARGEST = 2**31


@register_shape("modally_reduced")
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

    Raises
    ------
    ValueError
        If a value makes no network; the message names it.
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

    def __post_init__(self) -> None:
        names = Fields({"leads": self.leads}).names("leads", most=1000)
        object.__setattr__(self, "leads", names)
        for name in _SIZES:
            value = whole(f"modally reduced: {name}", getattr(self, name), least=1, most=_LARGEST)
            object.__setattr__(self, name, value)
        number("modally reduced: mlp_ratio", self.mlp_ratio, above=0, most=_LARGEST)
        mask_ratio = number("modally reduced: mask_ratio", self.mask_ratio, least=0)
        if mask_ratio >= 1:
            raise ValueError(f"modally reduced: mask_ratio must be below 1, not {mask_ratio:g}")

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
