"""Any file that a training left, read without running code that it carries: what was trained, by
what can be done with it (:mod:`selfmis_plugin.checkpoints.contract`), and encoders out of it."""

from selfmis_plugin.checkpoints.contract import Tower, Wanted
from selfmis_plugin.checkpoints.ecgfounder import ecgfounder_weights, to_ecgfounder
from selfmis_plugin.checkpoints.encoder_weights import load_encoder_weights, save_encoder_weights
from selfmis_plugin.checkpoints.reading import CheckpointError, model_name, read_checkpoint
from selfmis_plugin.checkpoints.weights import EncoderWeights, fill, part_of

__all__ = [
    "CheckpointError",
    "EncoderWeights",
    "Tower",
    "Wanted",
    "ecgfounder_weights",
    "fill",
    "load_encoder_weights",
    "model_name",
    "part_of",
    "read_checkpoint",
    "save_encoder_weights",
    "to_ecgfounder",
]
