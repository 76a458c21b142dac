"""MCMA as the training toolkit's model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List  # noqa: UP035  (older omegaconf reads only typing.List)

from selfmis_plugin import toolkit
from selfmis_plugin.methods.lead_synthesis.keys import GeneratorConfig
from selfmis_plugin.methods.lead_synthesis.mcma.network import McmaShape
from selfmis_plugin.methods.lead_synthesis.mcma.network_training import McmaTraining
from selfmis_plugin.methods.lead_synthesis.training_model import LeadSynthesisModel
from selfmis_plugin.training.contract import RecordTask


@dataclass
class McmaConfig(GeneratorConfig):
    """Keys of ``model: {_name: mcma}``."""

    filters: List[int] = field(  # noqa: UP006
        default_factory=lambda: [16, 32, 64, 128, 256, 512],
        metadata={"help": "channels of each depth; every one but the first halves the samples"},
    )
    kernel: int = field(default=5, metadata={"help": "samples of a convolution"})
    output_norm: str = field(
        default="instance",
        metadata={
            "help": "instance, as published: each made lead has one mean and deviation, in every "
            "window of every patient; none: a plain convolution comes last"
        },
    )
    random_given: bool = field(
        default=True,
        metadata={"help": "draw the given lead of each record anew in each update of training"},
    )


@toolkit.register_model("mcma", dataclass=McmaConfig)
class McmaModel(LeadSynthesisModel):
    """One U-Net from any lead to all (Chen et al., 2024)."""

    @classmethod
    def build_model(cls, cfg: McmaConfig, task: RecordTask) -> McmaModel:
        """Build the network for a task's data.

        Raises
        ------
        ValueError
            If the data lack a standard lead, or sizes do not fit together.
        """
        shape = McmaShape.from_mapping(cfg)
        return cls(McmaTraining(shape), cfg, task, cfg.random_given)
