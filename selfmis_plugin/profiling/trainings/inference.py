"""What one lead costs when a pre-training is over."""

from __future__ import annotations

from pathlib import Path

import torch

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.contract import Wanted
from selfmis_plugin.checkpoints.encoder_weights import encoder_of
from selfmis_plugin.nn.embedder import Embedder
from selfmis_plugin.nn.encoder import build_encoder, build_input
from selfmis_plugin.profiling.macs import forward_macs, with_plain_encoders
from selfmis_plugin.profiling.trainings.data import SAMPLE_RATE, made_up_record
from selfmis_plugin.profiling.trainings.models import Trained

__all__ = ["lead_i_macs"]

_LEAD_I = ("I",)


def lead_i_macs(trained: Trained) -> int | None:
    """Count the operations by which the encoder of a training embeds lead I of one 10 s record.

    The encoder is that which the method's reader takes out of a checkpoint for lead I, as a linear
    probe does.

    Returns
    -------
    int or None
        Multiply-accumulates; None where it has no encoder of lead I.
    """
    try:
        weights = encoder_of(Path("a fresh model"), trained.checkpoint(), Wanted(leads=_LEAD_I))
    except CheckpointError:
        return None
    rate = (weights.preprocessing or {}).get("sample_rate", SAMPLE_RATE)
    if weights.in_leads not in (0, 1):
        return None
    network = Embedder(
        build_input(weights.config, _LEAD_I, SAMPLE_RATE, rate),
        build_encoder(weights.config, len(_LEAD_I)),
    )
    with_plain_encoders(network).eval()
    signal = torch.from_numpy(made_up_record()[None, :1])
    return forward_macs(lambda: network(signal))
