"""CycleGAN as the training toolkit's model."""

from __future__ import annotations

from dataclasses import dataclass

from selfmis_plugin import toolkit
from selfmis_plugin.methods.lead_synthesis.cyclegan.network_training import NORM, CycleGanTraining
from selfmis_plugin.methods.lead_synthesis.keys import PatchConfig
from selfmis_plugin.methods.lead_synthesis.training_model import LeadSynthesisModel
from selfmis_plugin.methods.lead_synthesis.unet import LeadUNetShape
from selfmis_plugin.training.contract import RecordTask


@dataclass
class CycleGanConfig(PatchConfig):
    """Keys of ``model: {_name: cyclegan}``."""


@toolkit.register_model("cyclegan", dataclass=CycleGanConfig)
class CycleGanModel(LeadSynthesisModel):
    """A generator, one for the way back, and their discriminators (Zhu et al., 2017)."""

    @classmethod
    def build_model(cls, cfg: CycleGanConfig, task: RecordTask) -> CycleGanModel:
        """Build the networks for a task's data.

        Raises
        ------
        ValueError
            If the data lack a standard lead, or sizes do not fit together.
        """
        shape = LeadUNetShape.from_mapping(cfg, NORM)
        widths = tuple(cfg.discriminator_widths)
        return cls(CycleGanTraining(shape, widths, cfg.double_sigmoid), cfg, task)
