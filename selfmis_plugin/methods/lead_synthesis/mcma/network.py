"""MCMA's network: a U-Net over time whose halves are joined by additions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.lead_synthesis.generator import build_generator
from selfmis_plugin.methods.lead_synthesis.same_padding import Same1d, SameTransposed1d
from selfmis_plugin.nn.encoder import register_shape
from selfmis_plugin.utils.fields import whole

__all__ = ["OUTPUT_NORMS", "Mcma", "McmaShape"]

OUTPUT_NORMS = ("instance", "none")
_LEADS = len(STANDARD_LEADS)
_LARGEST = 2**20


@register_shape("mcma")
@dataclass(frozen=True)
class McmaShape:
    """Shape of MCMA's network.

    Attributes
    ----------
    filters
        Channels of each depth. Every one but the first halves the samples.
    kernel
        Samples of a convolution: 5 in its authors' training scripts, 13 in their published model.
    window
        Samples that it reads at once.
    output_norm
        ``instance``: as published, the mean and deviation of a made lead are two learned numbers,
        the same in every window of every patient. ``none``: a plain convolution comes last.

    Raises
    ------
    ValueError
        If a value makes no network; the message names it.
    """

    filters: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    kernel: int = 5
    window: int = 1024
    output_norm: str = "instance"

    def __post_init__(self) -> None:
        widths = tuple(
            whole(f"mcma: filters[{k}]", width, least=1, most=_LARGEST)
            for k, width in enumerate(self.filters)
        )
        if len(widths) < 2:
            raise ValueError(f"mcma: filters must be two or more, not {list(widths)}")
        object.__setattr__(self, "filters", widths)
        for name, least in (("kernel", 2), ("window", 1)):
            value = whole(f"mcma: {name}", getattr(self, name), least=least, most=_LARGEST)
            object.__setattr__(self, name, value)
        step = 2 ** (len(widths) - 1)
        if self.window % step:
            raise ValueError(f"mcma: window={self.window} must be a multiple of {step}")
        if self.output_norm not in OUTPUT_NORMS:
            raise ValueError(
                f"mcma: output_norm={self.output_norm}: choose one of {', '.join(OUTPUT_NORMS)}"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[Any, Any]) -> McmaShape:
        """Return the shape that a model's config describes, whose other keys are left alone.

        Raises
        ------
        KeyError
            If a field is missing.
        """
        rest = {name: values[name] for name in ("kernel", "window", "output_norm")}
        return cls(tuple(values["filters"]), **rest)


class _OverTime(nn.InstanceNorm1d):
    """Mean and deviation over time of each channel become two learned numbers."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-9, affine=True)

    def forward(self, signal: Tensor) -> Tensor:
        # Under autocast the weights stay float32, and so must what they scale.
        return super().forward(signal.to(self.weight.dtype))


class _OverChannels(nn.LayerNorm):
    """LayerNorm over the channels of each sample."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-3)

    def forward(self, signal: Tensor) -> Tensor:
        normed = super().forward(signal.to(self.weight.dtype).transpose(1, 2))
        return normed.transpose(1, 2)


class _Block(nn.Module):
    """Two ways to another number of channels and samples, the sum of which is normalised."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, up: bool, norm: bool = True
    ) -> None:
        super().__init__()
        change: Any = SameTransposed1d if up else Same1d
        self.short = change(inputs, outputs, kernel, stride)
        self.long = change(inputs, outputs, kernel, stride)
        self.norm = _OverChannels(outputs)
        self.last = Same1d(outputs, outputs, kernel)
        self.out: nn.Module = _OverTime(outputs) if norm else nn.Conv1d(outputs, outputs, 1)

    def forward(self, signal: Tensor) -> Tensor:
        # Two kinds of GELU, as published: that of the normalised way is the tanh form.
        inner = F.gelu(self.norm(self.long(signal)), approximate="tanh")
        summed = F.gelu(self.short(signal)) + F.gelu(self.last(inner))
        made: Tensor = self.out(summed)
        return made


class Mcma(nn.Module):
    """MCMA's network (Chen et al., 2024): one lead in its place among zeros to all leads.

    7,003,604 values with kernel 5 and 18,186,836 with 13, at the published filters.

    Parameters
    ----------
    shape
        Its shape.
    """

    def __init__(self, shape: McmaShape) -> None:
        super().__init__()
        self.shape = shape
        widths, kernel = shape.filters, shape.kernel
        self.encoder = nn.ModuleList(
            _Block(inputs, outputs, kernel, 1 if depth == 0 else 2, up=False)
            for depth, (inputs, outputs) in enumerate(
                zip((_LEADS, *widths[:-1]), widths, strict=True)
            )
        )
        below, here = widths[:0:-1], widths[-2::-1]
        self.ups = _blocks(below, here, kernel, 2, up=True)
        self.skips = _blocks(here, here, kernel, 1, up=False)
        self.last = _Block(
            widths[0], _LEADS, kernel, 1, up=False, norm=shape.output_norm == "instance"
        )
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, given: Tensor, lead: Tensor) -> Tensor:
        """Make all leads, as ``build_generator`` says."""
        dtype = self.last.short.weight.dtype
        place = F.one_hot(lead, _LEADS).to(dtype)
        hidden = place[:, :, None] * given[:, None].to(dtype)
        outputs = []
        for block in self.encoder:
            hidden = block(hidden)
            outputs.append(hidden)
        for up, skip, beside in zip(self.ups, self.skips, outputs[-2::-1], strict=True):
            hidden = up(hidden) + skip(beside)
        made: Tensor = self.last(hidden)
        return made


def _blocks(
    inputs: Sequence[int], outputs: Sequence[int], kernel: int, stride: int, up: bool
) -> nn.ModuleList:
    return nn.ModuleList(
        _Block(before, after, kernel, stride, up)
        for before, after in zip(inputs, outputs, strict=True)
    )


@build_generator.register
def _(shape: McmaShape) -> nn.Module:
    return Mcma(shape)
