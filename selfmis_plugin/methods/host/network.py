"""How the shape of an encoder that a training toolkit brings becomes a network."""

from __future__ import annotations

from torch import nn

from selfmis_plugin.methods.host.shape import HostShape
from selfmis_plugin.nn.encoder import build_encoder

__all__ = ["HostShape"]


@build_encoder.register
def _(shape: HostShape, in_leads: int) -> nn.Module:
    # It imports the toolkit, which takes seconds and may not be here: only these encoders need it.
    from selfmis_plugin.methods.host.encoder import HostEncoder

    return HostEncoder(shape)
