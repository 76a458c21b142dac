"""EKGAN as the training toolkit's model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List  # noqa: UP035  (older omegaconf reads only typing.List)

from selfmis_plugin import toolkit
from selfmis_plugin.methods.lead_synthesis.ekgan.network_training import NORM, EkganTraining
from selfmis_plugin.methods.lead_synthesis.keys import UNetConfig
from selfmis_plugin.methods.lead_synthesis.training_model import LeadSynthesisModel
from selfmis_plugin.methods.lead_synthesis.unet import LeadUNetShape
from selfmis_plugin.training.contract import RecordTask


@dataclass
class EkganConfig(UNetConfig):
    """Keys of ``model: {_name: ekgan}``."""

    discriminator_widths: List[int] = field(  # noqa: UP006
        default_factory=lambda: [32, 64, 128, 256, 512],
        metadata={"help": "channels of each depth of the discriminator"},
    )


@toolkit.register_model("ekgan", dataclass=EkganConfig)
class EkganModel(LeadSynthesisModel):
    """Generator, label generator and discriminator (Joo et al., 2023)."""

    @classmethod
    def build_model(cls, cfg: EkganConfig, task: RecordTask) -> EkganModel:
        """Build the networks for a task's data.

        Raises
        ------
        ValueError
            If the data lack a standard lead, or sizes do not fit together.
        """
        shape = LeadUNetShape.from_mapping(cfg, NORM)
        return cls(EkganTraining(shape, tuple(cfg.discriminator_widths)), cfg, task)
