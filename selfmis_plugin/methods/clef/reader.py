"""CLEF's published files: a Net1D of one lead behind a prefix.

They are checkpoints of PyTorch Lightning, ``{"state_dict": {"backbone.first_conv.conv.weight":
...}}`` (https://github.com/Nokia-Bell-Labs/ecg-foundation-model). The network is ECGFounder's, with
batch norms and dropout that are built and left out of the computation, and no head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from selfmis_plugin.checkpoints.classifier import LoadedEncoder
from selfmis_plugin.checkpoints.contract import Wanted
from selfmis_plugin.checkpoints.ecgfounder import ecgfounder_weights
from selfmis_plugin.checkpoints.reading import CheckpointError, some
from selfmis_plugin.checkpoints.weights import EncoderWeights
from selfmis_plugin.data.filter_names import BANDPASS
from selfmis_plugin.data.preprocessing import Preprocessing

__all__ = ["FILES", "PREPROCESSING"]

_PREFIX = "backbone."
_FIRST = f"{_PREFIX}first_conv.conv.weight"
_NORMS = ("first_bn.", ".bn1.", ".bn2.", ".bn3.")
KIND = "clef"

#: What the encoder saw in its training: one lead at a time, band-pass of order 5 from 0.67 to
#: 40 Hz run both ways, mean 0 and deviation 1.
PREPROCESSING = Preprocessing(500.0, 10.0, ("I",), BANDPASS)


@dataclass(frozen=True)
class CLEFFile:
    """A published file: an encoder without a head."""

    loaded: LoadedEncoder

    def trained(self, labels: object, named: bool) -> LoadedEncoder:
        """Return the encoder, which embeds records.

        Raises
        ------
        CheckpointError
            If labels are given: there is no head whose outputs they could name.
        """
        if labels is not None:
            raise CheckpointError(
                f"{self.loaded.path} is an encoder without a head: leave out the labels, and train "
                "one on it (selfmis_linear_probe)"
            )
        return self.loaded

    def encoder(self, wanted: Wanted) -> EncoderWeights:
        """Return its encoder."""
        return self.loaded.encoder(wanted)


def _read_file(path: Path, payload: Mapping[str, Any]) -> CLEFFile | None:
    state = payload.get("state_dict", payload)
    if not isinstance(state, Mapping) or _FIRST not in state:
        return None
    others = [name for name in state if not str(name).startswith(_PREFIX)]
    bare = {str(name).removeprefix(_PREFIX): value for name, value in state.items()}
    others += [f"{_PREFIX}{name}" for name in bare if name.startswith("dense.")]
    if others:
        raise CheckpointError(
            f"{path}: looks like CLEF's weights, and has {some(others)} besides: give a file of "
            "its authors as it is"
        )
    _refuse_used_norms(path, bare)
    found = ecgfounder_weights(path, {"state_dict": bare})
    if found is None or found.in_leads != 1:
        raise CheckpointError(
            f"{path}: looks like CLEF's weights, which read one lead, and its first layer reads "
            f"{0 if found is None else found.in_leads}: give a file of its authors as it is"
        )
    return CLEFFile(LoadedEncoder(path, KIND, found.config, PREPROCESSING, found.state_dict))


def _refuse_used_norms(path: Path, state: Mapping[str, Any]) -> None:
    """Refuse batch norms that have learnt: without them the network would be another one."""
    used = [
        f"{_PREFIX}{name}"
        for name, value in state.items()
        if any(norm in f".{name}" for norm in _NORMS)
        and isinstance(value, Tensor)
        and not _as_built(name, value)
    ]
    if used:
        raise CheckpointError(
            f"{path}: its batch norms were trained ({some(used)}), and CLEF's network leaves them "
            "out: the file is of another network"
        )


def _as_built(name: str, value: Tensor) -> bool:
    ones = name.endswith((".weight", ".running_var"))
    return bool((value == (1 if ones else 0)).all())


FILES = (_read_file,)
