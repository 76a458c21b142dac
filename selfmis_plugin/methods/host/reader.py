"""Checkpoints of the pre-trainings that fairseq-signals itself brings: their encoders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints.contract import Wanted, one_view
from selfmis_plugin.checkpoints.reading import CheckpointError, mapping, not_whole
from selfmis_plugin.checkpoints.weights import EncoderWeights, finite, part_of
from selfmis_plugin.methods.host.network import HostShape
from selfmis_plugin.methods.host.shape import FOR_PRETRAINING_ALONE
from selfmis_plugin.nn.zero_masked import Scale

__all__ = ["ENCODERS"]

#: The toolkit's pre-trained models that can be probed.
_MODELS = ("ecg_transformer", "wav2vec2", "wav2vec2_cmsc")


def _read_encoder(file: Path, payload: Mapping[str, Any], wanted: Wanted) -> EncoderWeights:
    """Take the encoder out of a pre-training.

    3KG's data are in millivolts, since its augmentation needs leads in one unit; the others' are
    at mean 0 and deviation 1 lead by lead, as the toolkit's preprocessing leaves them.
    """
    one_view(file, ("encoder",), wanted)
    cfg = mapping(payload["cfg"])
    model, task, criterion = (mapping(cfg.get(part)) for part in ("model", "task", "criterion"))
    if "encoder_embed_dim" not in model:
        raise CheckpointError(
            f"{file}: a training checkpoint of the model {model['_name']!r} that does not say its "
            "size (encoder_embed_dim): give one of fairseq-signals' own"
        )
    scale: Scale = "mV" if criterion.get("_name") == "3kg" else "zscore"
    rate = task.get("sample_rate")
    try:
        shape = HostShape(dict(model), scale, rate)
        weights = {
            f"model.{name}": value
            for name, value in part_of(payload["model"], "").items()
            if name.split(".")[0] not in FOR_PRETRAINING_ALONE
        }
    except (KeyError, TypeError, ValueError) as error:
        raise not_whole(file, error) from error
    finite(file, weights)
    return EncoderWeights(
        shape,
        weights,
        None if rate is None else {"sample_rate": rate},
        str(model["_name"]),
    )


ENCODERS = dict.fromkeys(_MODELS, _read_encoder)
