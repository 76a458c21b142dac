"""ECGFounder's own Net1D as what ``selfmis benchmark step`` compares with, from the user's copy."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from selfmis_plugin.checkpoints import to_ecgfounder
from selfmis_plugin.nn.net1d import Net1D
from selfmis_plugin.nn.net1d.config import Net1DConfig
from selfmis_plugin.profiling.benchmark import BenchmarkError

__all__ = ["ReferenceNet1D", "check_reference"]

_WHERE = "net1d.py of https://github.com/PKUDigitalHealth/ECGFounder"
_SMALL = Net1DConfig(16, (16, 48), (2, 1), in_leads=2)
_TOLERANCE = 1e-5


class ReferenceNet1D(nn.Module):
    """The ``Net1D`` that a file defines, as SelfMIS uses it: without norms, dropout and head.

    Parameters
    ----------
    file
        ``net1d.py`` of ECGFounder's authors.  Its code is run.
    config
        Shape of the network.

    Raises
    ------
    BenchmarkError
        If the file has no such network.
    """

    def __init__(self, file: Path, config: Net1DConfig) -> None:
        super().__init__()
        self.config = config
        try:
            self.net: Any = _module(file).Net1D(
                in_channels=config.in_leads,
                base_filters=config.base_filters,
                ratio=config.ratio,
                filter_list=list(config.filters),
                m_blocks_list=list(config.blocks),
                kernel_size=config.kernel_size,
                stride=config.stride,
                groups_width=config.group_width,
                n_classes=1,
                use_bn=False,
                use_do=False,
                return_features=True,
            )
        except (AttributeError, TypeError) as error:
            raise BenchmarkError(
                f"--reference {file}: has no Net1D as in ECGFounder ({error}): give {_WHERE}"
            ) from error

    def forward(self, signal: Tensor) -> Tensor:
        """``(batch, leads, samples)`` to ``(batch, embedding_dim)``."""
        embedding: Tensor = self.net(signal)[1]
        return embedding


def check_reference(file: Path) -> None:
    """Make sure that a file's network is this plugin's function, at a small size.

    Raises
    ------
    BenchmarkError
        If there is no such network in it, or it gives something else for the same weights.
    """
    own, reference = Net1D(_SMALL), ReferenceNet1D(file, _SMALL)
    signal = torch.randn(2, _SMALL.in_leads, 333)
    try:
        reference.net.load_state_dict(to_ecgfounder(own.state_dict(), _SMALL, classes=1))
        with torch.no_grad():
            expected, found = own(signal), reference.eval()(signal)
        same = found.shape == expected.shape and bool(
            (found - expected).norm() <= _TOLERANCE * expected.norm()
        )
    except (IndexError, RuntimeError, TypeError) as error:
        raise BenchmarkError(
            f"--reference {file}: its Net1D is another network ({error}): give {_WHERE}"
        ) from error
    if not same:
        raise BenchmarkError(
            f"--reference {file}: its Net1D computes something else from the same weights, so that "
            f"times would say nothing: give {_WHERE}"
        )


def _module(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location("reference_net1d", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise BenchmarkError(f"--reference {file}: is no Python file: give {_WHERE}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # it is anybody's code
        raise BenchmarkError(f"--reference {file}: cannot be run: {error}") from error
    return module
