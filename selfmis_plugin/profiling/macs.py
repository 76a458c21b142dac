"""Multiply-accumulate operations of a forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from selfmis_plugin.nn.encoder import plain_encoder
from selfmis_plugin.nn.net1d.config import Net1DConfig
from selfmis_plugin.nn.net1d.plain import PlainNet1D


def forward_macs(run: Callable[[], Any]) -> int:
    """Count the operations of the convolutions and matrix products of *run*, without a gradient.

    PyTorch counts two floating-point operations for each multiply-accumulate.
    """
    # As two plain products: fused attention on a CPU is counted as nothing.
    plain = sdpa_kernel(SDPBackend.MATH)
    with torch.no_grad(), plain, FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2


def encoder_macs(config: Net1DConfig, samples: int) -> int:
    """Operations of a Net1D for one record of *samples* samples."""
    with torch.device("meta"):
        encoder, signal = PlainNet1D(config), torch.empty(1, config.in_leads, samples)
    return forward_macs(lambda: encoder(signal))


def with_plain_encoders(model: nn.Module) -> nn.Module:
    """Put a plain encoder in place of each that has one, and return the model.

    Operations are those of the function; how ours computes it is counted as time, not as work.
    """
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            plain = plain_encoder(child)
            if plain is not child:
                setattr(module, name, plain)
    return model
