"""Shape of a Net1D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from torch import nn

from selfmis_plugin.nn.encoder import register_shape
from selfmis_plugin.utils.fields import number, shown, whole

__all__ = ["FIRST_STRIDE", "SQUEEZE_REDUCTION", "Net1DConfig", "count_parameters"]

SQUEEZE_REDUCTION = 2
"""Squeeze-excitation reduction of every block (``r`` in the authors' code, not an argument there
either)."""

FIRST_STRIDE = 2
"""Stride of the first convolution, which the authors fix whatever the stride of the stages."""

LARGEST_STRIDE = 1024
"""No weight has the stride in its shape, and the shortcut pads a signal to a multiple of it."""

MOST_STAGES = 1000

_LARGEST = 2**31


@register_shape("net1d")
@dataclass(frozen=True)
class Net1DConfig:
    """Shape of a Net1D.

    Parameters
    ----------
    base_filters
        Channels of the first convolution.
    filters
        Channels of each stage.  They may not shrink from stage to stage: shortcuts pad channels
        with zeros.
    blocks
        Residual blocks of each stage.
    kernel_size
        Samples of every convolution that is not 1x1.
    stride
        Stride of the first block of each stage.
    group_width
        Channels of a stage for each group of its grouped convolutions.
    ratio
        Channels inside a block as a share of the channels of its stage.
    in_leads
        Leads of the input.

    Raises
    ------
    ValueError
        Where the numbers do not make a network; the message says which to change.
    """

    base_filters: int = 64
    filters: tuple[int, ...] = (64, 160, 160, 400, 400, 1024, 1024)
    blocks: tuple[int, ...] = (2, 2, 2, 3, 3, 4, 4)
    kernel_size: int = 16
    stride: int = 2
    group_width: int = 16
    ratio: float = 1.0
    in_leads: int = 12

    def __post_init__(self) -> None:
        # Lists (from YAML or JSON) are taken too, and become tuples so that a config can be
        # compared and hashed.
        object.__setattr__(self, "filters", _as_ints("filters", self.filters))
        object.__setattr__(self, "blocks", _as_ints("blocks", self.blocks))
        for name in ("base_filters", "kernel_size", "stride", "group_width", "in_leads"):
            most = LARGEST_STRIDE if name == "stride" else _LARGEST
            value = whole(f"Net1D: {name}", getattr(self, name), least=1, most=most)
            object.__setattr__(self, name, value)
        if not self.filters:
            raise ValueError("Net1D: filters names no stage: give at least one")
        if len(self.filters) != len(self.blocks):
            raise ValueError(
                f"Net1D: filters has {len(self.filters)} stages and blocks has {len(self.blocks)}: "
                "give one number of blocks for each stage"
            )
        object.__setattr__(
            self, "ratio", number("Net1D: ratio", self.ratio, above=0, most=_LARGEST)
        )
        previous = self.base_filters
        for stage, channels in enumerate(self.filters):
            self._check_stage(stage, channels, previous)
            previous = channels

    @classmethod
    def from_mapping(cls, values: Mapping[Any, Any], in_leads: int) -> Net1DConfig:
        """Take the shape from a model's config, whose other keys are left alone.

        Raises
        ------
        KeyError
            If a key is missing.
        ValueError
            Where the numbers do not make a network.
        """
        names = [field.name for field in fields(cls) if field.name != "in_leads"]
        return cls(**{name: values[name] for name in names}, in_leads=in_leads)

    def _check_stage(self, stage: int, channels: int, previous: int) -> None:
        if channels < self.group_width:
            raise ValueError(
                f"Net1D: stage {stage} has {channels} channels, fewer than "
                f"group_width={self.group_width}: set group_width "
                f"to a divisor of every stage (at most {min(self.filters)}), or give the stage at "
                f"least {self.group_width}"
            )
        if channels % self.group_width:
            raise ValueError(
                f"Net1D: the {channels} channels of stage {stage} are not a multiple of "
                f"group_width={self.group_width}: change one of them"
            )
        if channels < SQUEEZE_REDUCTION:
            raise ValueError(
                f"Net1D: stage {stage} has {channels} channels: give at least {SQUEEZE_REDUCTION}"
            )
        if channels < previous:
            raise ValueError(
                f"Net1D: stage {stage} has {channels} channels after {previous}: channels may not "
                "shrink (base_filters <= filters[0] <= filters[1] ...)"
            )
        groups, middle = self.groups(channels), self.middle_channels(channels)
        if middle < groups or middle % groups:
            raise ValueError(
                f"Net1D: ratio={self.ratio} gives stage {stage} {middle} inner channels, which "
                f"its {groups} groups do not "
                "divide: choose a ratio for which they do (1.0 always does)"
            )

    def middle_channels(self, channels: int) -> int:
        """Channels inside the blocks of a stage that has ``channels``."""
        return int(channels * self.ratio)

    def groups(self, channels: int) -> int:
        """Groups of the grouped convolutions of a stage that has ``channels``."""
        return channels // self.group_width

    @property
    def embedding_dim(self) -> int:
        """Values of one embedding."""
        return self.filters[-1]


def _as_ints(name: str, values: Sequence[int]) -> tuple[int, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ValueError(f"Net1D: {name} must be a list of whole numbers, not {shown(values)}")
    if len(values) > MOST_STAGES:
        raise ValueError(f"Net1D: {name} lists {len(values)} stages, more than {MOST_STAGES}")
    return tuple(
        whole(f"Net1D: {name}[{stage}]", value, least=1, most=_LARGEST)
        for stage, value in enumerate(values)
    )


def count_parameters(module: nn.Module, trainable_only: bool = False) -> int:
    """Number of parameters of a module, or only of those that a gradient reaches."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable_only)
