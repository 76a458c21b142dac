"""A straightforward Net1D, the reference that :mod:`selfmis_plugin.nn.net1d` is measured against
and its gradients are checked with.

The function is that of ECGFounder's Net1D with ``use_bn=False`` and ``use_do=False`` (Li et al.,
"An Electrocardiogram Foundation Model Built on over 10 Million Recordings", NEJM AI 2025), less
its classification head, written with PyTorch's own layers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selfmis_plugin.nn.net1d.config import FIRST_STRIDE, SQUEEZE_REDUCTION, Net1DConfig

__all__ = ["PlainNet1D"]


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
        # Not F.pad: onnxruntime makes a Pad before a MaxPool part of it, where padding is no zero.
        before, after = (signal.new_zeros(*signal.shape[:2], count) for count in (left, right))
        signal = torch.cat([before, signal, after], -1)
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


class PlainNet1D(nn.Module):
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
    >>> PlainNet1D(config)(torch.zeros(2, 1, 500)).shape
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
