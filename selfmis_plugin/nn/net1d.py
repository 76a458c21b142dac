"""Net1D, the one-dimensional residual encoder that SelfMIS takes from ECGFounder.

The function is that of ECGFounder's Net1D with ``use_bn=False`` and ``use_do=False`` (Li et al.,
"An Electrocardiogram Foundation Model Built on over 10 Million Recordings", NEJM AI 2025), less
its classification head.  Weights that its authors published are read by
:mod:`selfmis_plugin.checkpoints`.
"""

from __future__ import annotations

from selfmis_plugin.nn.net1d_config import Net1DConfig, count_parameters
from selfmis_plugin.nn.plain_net1d import PlainNet1D

__all__ = ["Net1D", "Net1DConfig", "count_parameters"]


class Net1D(PlainNet1D):
    """Encoder of an ECG: ``(batch, leads, samples)`` to an embedding ``(batch,
    config.embedding_dim)``."""
