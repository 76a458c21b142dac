"""Net1D, the one-dimensional residual encoder that SelfMIS takes from ECGFounder.

The function is that of ECGFounder's Net1D with ``use_bn=False`` and ``use_do=False`` (Li et al.,
"An Electrocardiogram Foundation Model Built on over 10 Million Recordings", NEJM AI 2025), less
its classification head.  Weights that its authors published are read by
:mod:`selfmis_plugin.checkpoints`; :mod:`selfmis_plugin.nn.net1d.plain` is the same function in
PyTorch's own layers.
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selfmis_plugin.nn.encoder import build_encoder, plain_encoder
from selfmis_plugin.nn.net1d.block_function import BlockShape, residual_block
from selfmis_plugin.nn.net1d.channels_last import same_padding
from selfmis_plugin.nn.net1d.config import (
    FIRST_STRIDE,
    SQUEEZE_REDUCTION,
    Net1DConfig,
    count_parameters,
)
from selfmis_plugin.nn.net1d.plain import PlainNet1D

__all__ = ["Net1D", "Net1DConfig", "count_parameters"]


class Block(nn.Module):
    """Weights of a residual block: 1x1, grouped and 1x1 convolution, squeeze-excitation."""

    def __init__(
        self, in_channels: int, out_channels: int, config: Net1DConfig, stride: int, activate: bool
    ) -> None:
        super().__init__()
        middle = config.middle_channels(out_channels)
        self.shape = BlockShape(stride, activate, (out_channels - in_channels) // 2)
        self.conv1 = nn.Conv1d(in_channels, middle, 1)
        self.conv2 = nn.Conv1d(
            middle, middle, config.kernel_size, stride, groups=config.groups(out_channels)
        )
        self.conv3 = nn.Conv1d(middle, out_channels, 1)
        self.se_fc1 = nn.Linear(out_channels, out_channels // SQUEEZE_REDUCTION)
        self.se_fc2 = nn.Linear(out_channels // SQUEEZE_REDUCTION, out_channels)

    def forward(self, signal: Tensor) -> Tensor:
        """``(batch, time, in_channels)`` to ``(batch, ceil(time / stride), out_channels)``."""
        return residual_block(signal, self.shape, list(self.parameters()))


class Net1D(nn.Module):
    """Encoder of an ECG: ``(batch, leads, samples)`` to an embedding ``(batch,
    config.embedding_dim)``.

    The embedding is the mean over time of the last stage.  There is no norm, no dropout and no
    classification head, so that the encoder computes the same in training and evaluation mode.

    Parameters
    ----------
    config
        Shape of the network; the default is ECGFounder's for twelve leads.
    precision
        Type to compute in whatever that of the weights is, as autocast would; None leaves it to
        autocast where that is on, and else computes in the type of the weights.
    activation_checkpointing
        Keep only what goes into each block for the backward pass, and compute the rest again: less
        memory, a third more work.

    Examples
    --------
    >>> import torch
    >>> config = Net1DConfig(
    ...     base_filters=8, filters=(8, 16), blocks=(1, 1), group_width=8, in_leads=1
    ... )
    >>> Net1D(config)(torch.zeros(2, 1, 500)).shape
    torch.Size([2, 16])
    """

    def __init__(
        self,
        config: Net1DConfig | None = None,
        precision: torch.dtype | None = None,
        activation_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.config = config = config or Net1DConfig()
        self.precision = precision
        self.first_conv = nn.Conv1d(
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
        self.checkpoint_activations(activation_checkpointing)

    @property
    def embedding_dim(self) -> int:
        """Values of one embedding."""
        return self.config.embedding_dim

    def checkpoint_activations(self, on: bool = True) -> None:
        """Switch activation checkpointing."""
        for block in self.modules():
            if isinstance(block, Block):
                block.shape = block.shape._replace(recompute=on)

    def forward(self, signal: Tensor) -> Tensor:
        """Embed prepared signals.

        Parameters
        ----------
        signal
            ``(batch, leads, samples)``, z-scored (:class:`selfmis_plugin.nn.inputs.Preparation`).

        Returns
        -------
        Tensor
            ``(batch, embedding_dim)``, in the type of the weights.

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
        dtype = self._compute_type(signal.device.type)
        with torch.autocast(signal.device.type, enabled=False):
            out = self._first(signal.to(dtype))
            out = F.silu(out, inplace=not out.requires_grad)
            for stage in self.stages:
                out = stage(out)
            return out.mean(1, dtype=self.first_conv.weight.dtype)

    def _compute_type(self, device: str) -> torch.dtype:
        if self.precision is not None:
            return self.precision
        if torch.is_autocast_enabled(device):
            return torch.get_autocast_dtype(device)
        return self.first_conv.weight.dtype

    def _first(self, signal: Tensor) -> Tensor:
        """First convolution, ``(batch, leads, samples)`` to ``(batch, time, base_filters)``."""
        kernel = self.config.kernel_size
        weight, bias = (t.to(signal.dtype) for t in self.first_conv.parameters())
        padding = same_padding(signal.shape[-1], kernel, FIRST_STRIDE)
        signal = F.pad(signal, (padding.left, padding.right))
        if self.config.in_leads == 1:
            # Of one lead the windows are small, and a matrix product beats a convolution.
            windows = signal.squeeze(1).unfold(-1, kernel, FIRST_STRIDE)
            return F.linear(windows, weight.flatten(1), bias)
        images, weights = (
            t.unsqueeze(2).contiguous(memory_format=torch.channels_last) for t in (signal, weight)
        )
        out = F.conv2d(images, weights, bias, (1, FIRST_STRIDE))
        return out.squeeze(2).transpose(1, 2)


@plain_encoder.register
def _(encoder: Net1D) -> PlainNet1D:
    plain = PlainNet1D(encoder.config)
    plain.load_state_dict(encoder.state_dict())
    return plain.train(encoder.training)


@build_encoder.register
def _(config: Net1DConfig, in_leads: int) -> Net1D:
    return Net1D(dataclasses.replace(config, in_leads=in_leads))
