"""Files of weights: reading them without running code that they carry, and writing encoders."""

from selfmis_plugin.checkpoints.ecgfounder import ecgfounder_weights, to_ecgfounder
from selfmis_plugin.checkpoints.encoder_weights import load_encoder_weights, save_encoder_weights
from selfmis_plugin.checkpoints.reading import CheckpointError, read_checkpoint
from selfmis_plugin.checkpoints.training import model_name
from selfmis_plugin.checkpoints.weights import EncoderWeights, Tower, fill, part_of

__all__ = [
    "CheckpointError",
    "EncoderWeights",
    "Tower",
    "ecgfounder_weights",
    "fill",
    "load_encoder_weights",
    "model_name",
    "part_of",
    "read_checkpoint",
    "save_encoder_weights",
    "to_ecgfounder",
]
