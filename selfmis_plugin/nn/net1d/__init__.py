"""ECGFounder's Net1D: exact, with a backward pass of its own, and plain."""

from selfmis_plugin.nn.net1d.config import Net1DConfig, count_parameters
from selfmis_plugin.nn.net1d.network import Net1D

__all__ = ["Net1D", "Net1DConfig", "count_parameters"]
