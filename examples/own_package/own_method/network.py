"""The network, in plain PyTorch: its shape, and how it becomes an encoder."""

from dataclasses import dataclass

from torch import Tensor, nn

from selfmis_plugin.nn.encoder import EncoderModule, build_encoder, register_shape


@register_shape("own_convolutions")
@dataclass(frozen=True)
class Shape:
    width: int = 32


class Encoder(EncoderModule):
    """Three convolutions over lead I, a feature for every 20 samples, and their mean."""

    def __init__(self, config: Shape) -> None:
        super().__init__(config)
        self.embedding_dim = width = config.width
        self.layers = nn.Sequential(
            *(nn.Conv1d(1, width, 15, stride=5, padding=7), nn.GELU()),
            *(nn.Conv1d(width, width, 7, stride=2, padding=3), nn.GELU()),
            *(nn.Conv1d(width, width, 7, stride=2, padding=3), nn.GELU()),
        )

    def features(self, prepared: Tensor) -> Tensor:
        return self.layers(prepared)

    def embed(self, prepared: Tensor) -> Tensor:
        return self.features(prepared).mean(-1)


@build_encoder.register
def _(config: Shape, in_leads: int) -> Encoder:
    return Encoder(config)
