"""Net1D, the one-dimensional residual encoder that SelfMIS takes from ECGFounder.

The function is that of ECGFounder's Net1D with ``use_bn=False`` and ``use_do=False`` (Li et al.,
"An Electrocardiogram Foundation Model Built on over 10 Million Recordings", NEJM AI 2025), less
its classification head.  Weights that its authors published are read by
:mod:`selfmis_plugin.checkpoints`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Net1D", "Net1DConfig", "count_parameters"]

SQUEEZE_REDUCTION = 2
"""Squeeze-excitation reduction of every block (``r`` in the authors' code, not an argument there
either)."""

FIRST_STRIDE = 2
"""Stride of the first convolution, which the authors fix whatever the stride of the stages."""


@dataclass(frozen=True)
class Net1DConfig:
    """Shape of a :class:`Net1D`.

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
            value = getattr(self, name)
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise ValueError(
                    f"Net1D: {name} must be a whole number of at least 1, not {value!r}"
                )
            object.__setattr__(self, name, int(value))
        if not self.filters:
            raise ValueError("Net1D: filters names no stage: give at least one")
        if len(self.filters) != len(self.blocks):
            raise ValueError(
                f"Net1D: filters has {len(self.filters)} stages and blocks has {len(self.blocks)}: "
                "give one number of blocks for each stage"
            )
        if not (
            isinstance(self.ratio, (int, float)) and math.isfinite(self.ratio) and self.ratio > 0
        ):
            raise ValueError(f"Net1D: ratio must be a positive number, not {self.ratio!r}")
        object.__setattr__(self, "ratio", float(self.ratio))
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
    out = tuple(int(value) for value in values)
    if any(value < 1 for value in out) or list(out) != list(values):
        raise ValueError(f"Net1D: {name} must be whole numbers of at least 1, not {list(values)!r}")
    return out


class SameConv1d(nn.Conv1d):
    """Convolution with zero padding to ``ceil(samples / stride)`` outputs, the smaller half of it
    on the left."""

    def forward(self, signal: Tensor) -> Tensor:
        samples, kernel, stride = signal.shape[-1], self.kernel_size[0], self.stride[0]
        outputs = -(-samples // stride)
        total = max(0, (outputs - 1) * stride + kernel - samples)
        left = total // 2
        if total % 2:
            signal = F.pad(signal, (0, 1))
        return F.conv1d(signal, self.weight, self.bias, stride, left, 1, self.groups)


def _same_max_pool(signal: Tensor, stride: int) -> Tensor:
    """Max-pool over windows of ``stride`` after padding with ``stride - 1`` zeros, the smaller
    half of them on the left.

    The zeros take part in the maximum, as in the authors' code: the last of an odd number of
    samples is pooled with 0.
    """
    left = (stride - 1) // 2
    # Zeros that no whole window reaches are not worth a copy of the signal.
    right = min(stride - 1 - left, -(signal.shape[-1] + left) % stride)
    if left or right:
        signal = F.pad(signal, (left, right))
    return F.max_pool1d(signal, stride)


class Block(nn.Module):
    """Bottleneck residual block: 1x1, grouped and 1x1 convolution, squeeze-excitation, shortcut."""

    def __init__(
        self, in_channels: int, out_channels: int, config: Net1DConfig, stride: int, activate: bool
    ) -> None:
        super().__init__()
        middle = config.middle_channels(out_channels)
        self.stride = stride
        self.activate = activate
        extra = out_channels - in_channels
        self.channel_padding = (extra // 2, extra - extra // 2)
        self.conv1 = nn.Conv1d(in_channels, middle, 1)
        self.conv2 = SameConv1d(
            middle, middle, config.kernel_size, stride, groups=config.groups(out_channels)
        )
        self.conv3 = nn.Conv1d(middle, out_channels, 1)
        self.se_fc1 = nn.Linear(out_channels, out_channels // SQUEEZE_REDUCTION)
        self.se_fc2 = nn.Linear(out_channels // SQUEEZE_REDUCTION, out_channels)

    def forward(self, signal: Tensor) -> Tensor:
        out = self.conv1(F.silu(signal) if self.activate else signal)
        out = self.conv2(_silu_of_own(out))
        out = self.conv3(_silu_of_own(out))
        scale = torch.sigmoid(self.se_fc2(F.silu(self.se_fc1(out.mean(-1)))))
        shortcut = signal if self.stride == 1 else _same_max_pool(signal, self.stride)
        if any(self.channel_padding):
            shortcut = F.pad(shortcut, (0, 0, *self.channel_padding))
        return torch.addcmul(shortcut, out, scale.unsqueeze(-1))


def _silu_of_own(signal: Tensor) -> Tensor:
    """Swish of a tensor that nobody else holds: in place where no gradient needs what was there."""
    return F.silu(signal, inplace=not signal.requires_grad)


class Net1D(nn.Module):
    """Encoder of an ECG: ``(batch, leads, samples)`` to an embedding ``(batch,
    config.embedding_dim)``.

    The embedding is the mean over time of the last stage.  There is no norm, no dropout and no
    classification head, so that the encoder computes the same in training and evaluation mode.

    Parameters
    ----------
    config
        Shape of the network; the default is ECGFounder's for twelve leads.

    Examples
    --------
    >>> import torch
    >>> config = Net1DConfig(
    ...     base_filters=8, filters=(8, 16), blocks=(1, 1), group_width=8, in_leads=1
    ... )
    >>> Net1D(config)(torch.zeros(2, 1, 500)).shape
    torch.Size([2, 16])
    """

    def __init__(self, config: Net1DConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or Net1DConfig()
        self.first_conv = SameConv1d(
            config.in_leads, config.base_filters, config.kernel_size, FIRST_STRIDE
        )
        self.stages = nn.ModuleList()
        in_channels = config.base_filters
        for stage, (channels, blocks) in enumerate(zip(config.filters, config.blocks, strict=True)):
            self.stages.append(
                nn.Sequential(
                    *(
                        Block(
                            in_channels if block == 0 else channels,
                            channels,
                            config,
                            stride=config.stride if block == 0 else 1,
                            # The first convolution is followed by its own swish.
                            activate=not (stage == 0 and block == 0),
                        )
                        for block in range(blocks)
                    )
                )
            )
            in_channels = channels

    @property
    def embedding_dim(self) -> int:
        """Values of one embedding."""
        return self.config.embedding_dim

    def forward(self, signal: Tensor) -> Tensor:
        """Embed prepared signals.

        Parameters
        ----------
        signal
            ``(batch, leads, samples)``, z-scored (:class:`selfmis_plugin.nn.inputs.Preparation`).

        Returns
        -------
        Tensor
            ``(batch, embedding_dim)``.

        Raises
        ------
        ValueError
            If the input is not three-dimensional, has another number of leads, or no samples.
        """
        if signal.dim() != 3 or signal.shape[1] != self.config.in_leads or signal.shape[2] == 0:
            raise ValueError(
                f"Net1D of {self.config.in_leads} leads got an input of shape "
                f"{tuple(signal.shape)}: give (batch, {self.config.in_leads}, samples)"
            )
        out = _silu_of_own(self.first_conv(signal))
        for stage in self.stages:
            out = stage(out)
        return out.mean(-1)


def count_parameters(module: nn.Module, trainable_only: bool = False) -> int:
    """Number of parameters of a module, or only of those that a gradient reaches."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable_only)
