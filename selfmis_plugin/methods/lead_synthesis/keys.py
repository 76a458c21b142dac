"""Config keys that every generator's training has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional  # noqa: UP035  (older omegaconf reads only typing.List)

from selfmis_plugin import toolkit


@dataclass
class GeneratorConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Keys of ``model`` that all generators have."""

    window: int = field(default=1024, metadata={"help": "samples that are made at once"})
    given: str = field(default="I", metadata={"help": "the lead that the others are made from"})
    keep_given: bool = field(
        default=True,
        metadata={"help": "put the lead that was given where the network would make it"},
    )
    latent_checkpoint: Optional[str] = field(  # noqa: UP045  (read by omegaconf)
        default=None,
        metadata={
            "help": "a checkpoint with an encoder of twelve leads, for criterion.latent_weight; it "
            "stays as it is"
        },
    )
    precision: str = field(
        default="float32",
        metadata={"help": "what the model computes in, whatever the host: float32 or bfloat16"},
    )


@dataclass
class UNetConfig(GeneratorConfig):
    """Keys of ``model`` for generators that are U-Nets over leads and samples."""

    widths: List[int] = field(  # noqa: UP006
        default_factory=lambda: [64, 128, 256, 512, 1024],
        metadata={"help": "channels of each depth of the generator"},
    )
    norm_momentum: float = field(
        default=0.01,
        metadata={"help": "weight of a new batch in the statistics that batch norms keep"},
    )


@dataclass
class PatchConfig(UNetConfig):
    """Keys of ``model`` where discriminators judge patches."""

    discriminator_widths: List[int] = field(  # noqa: UP006
        default_factory=lambda: [64, 128, 256, 512],
        metadata={"help": "channels of each layer of a discriminator"},
    )
    double_sigmoid: bool = field(
        default=False,
        metadata={
            "help": "take the logistic function of the logits before the loss that takes it again, "
            "as EKGAN's authors do: the adversary is then nearly mute"
        },
    )
