"""The rule by which tests/golden/net1d.npz was made.

Weights: the state dict of ECGFounder's own module in alphabetical order of names; the i-th tensor
is ``default_rng([7, i]).standard_normal(shape, float32)``, times ``1 / sqrt(values that one
output sums over)`` for weights and times 0.1 for biases (a gain of 1.5 makes the full size chaotic:
the rounding of float32 alone then moves an output by 3e-5).  Batch norms and the ``dense`` head are
left out of the order.  Input: ``default_rng([8, leads, samples]).standard_normal((2, leads,
samples), float32)``.  Output: the ``deep_features`` of the authors' module, built with
``use_bn=False, use_do=False, return_features=True``, in float32 on a CPU.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from selfmis_plugin.nn.net1d.config import Net1DConfig

#: Shapes and lengths: ECGFounder's own size, then small networks that leave its defaults.
CASES: dict[str, tuple[Net1DConfig, tuple[int, ...]]] = {
    "full_1_lead": (Net1DConfig(in_leads=1), (5000, 2001)),
    "full_12_leads": (Net1DConfig(in_leads=12), (5000, 1249)),
    "small": (Net1DConfig(8, (8, 24, 40), (2, 1, 2), group_width=8, in_leads=3), (1, 37, 1000)),
    "wide": (
        Net1DConfig(8, (16, 32), (1, 2), kernel_size=7, group_width=4, ratio=2.0, in_leads=1),
        (64, 999),
    ),
    "stride_3": (Net1DConfig(4, (6, 12), (2, 2), kernel_size=5, stride=3, group_width=3), (500,)),
}


def weights_by_rule(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights of the given names and shapes."""
    state = {}
    for number, name in enumerate(sorted(shapes)):
        values = np.random.default_rng([7, number]).standard_normal(shapes[name], np.float32)
        inputs = math.prod(shapes[name][1:])
        scale = 0.1 if len(shapes[name]) == 1 else 1 / math.sqrt(inputs)
        state[name] = torch.from_numpy(values * np.float32(scale))
    return state


def input_by_rule(leads: int, samples: int) -> Tensor:
    """Two records."""
    generator = np.random.default_rng([8, leads, samples])
    return torch.from_numpy(generator.standard_normal((2, leads, samples), np.float32))
