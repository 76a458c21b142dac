"""What is trained: the encoder, and a layer that makes the signal again."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from own_method.network import Encoder, Shape
from selfmis_plugin import toolkit
from selfmis_plugin.nn.inputs import Preparation


@dataclass
class OwnModelConfig(toolkit.Dataclass):
    width: int = field(default=32, metadata={"help": "size of the embedding"})


@toolkit.register_model("own_masked", dataclass=OwnModelConfig)
class OwnModel(toolkit.BaseModel):
    def __init__(self, config: OwnModelConfig, store_rate: float, sample_rate: float) -> None:
        super().__init__()
        self.prepare = Preparation(store_rate, sample_rate)
        self.encoder = Encoder(Shape(config.width))
        self.decoder = nn.ConvTranspose1d(config.width, 1, 20, stride=20)

    @classmethod
    def build_model(cls, cfg, task):
        return cls(cfg, task.store.info.sample_rate, task.preprocessing.sample_rate)

    def forward(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        """Return what stands in the stretch that is taken out, and what is made of it."""
        target = self.prepare(signal).to(self.decoder.weight.dtype)
        stretch = target.shape[-1] // 5
        # In evaluation always the same one, so that figures can be compared.
        start = int(torch.randint(4 * stretch, ())) if self.training else 2 * stretch
        hidden = slice(start, start + stretch)
        seen = target.clone()
        seen[..., hidden] = 0
        made = self.decoder(self.encoder.features(seen))
        return target[..., hidden], made[..., hidden]

    def max_positions(self) -> None:
        return None
