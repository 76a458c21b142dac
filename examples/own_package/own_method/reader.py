"""What is read out of its checkpoints: an encoder, which the plugin probes, embeds and exports."""

from own_method.network import Shape
from selfmis_plugin.checkpoints.classifier import LoadedEncoder


def _read(path, payload):
    shape = Shape(payload["cfg"]["model"]["width"])
    return LoadedEncoder.from_training(path, payload, shape, prefix="encoder.")


READERS = {"own_masked": _read}
