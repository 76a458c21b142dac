"""Pix2Pix as the training toolkit's model."""

from __future__ import annotations

from dataclasses import dataclass

from selfmis_plugin import toolkit
from selfmis_plugin.methods.lead_synthesis.keys import PatchConfig
from selfmis_plugin.methods.lead_synthesis.pix2pix.network_training import NORM, Pix2PixTraining
from selfmis_plugin.methods.lead_synthesis.training_model import LeadSynthesisModel
from selfmis_plugin.methods.lead_synthesis.unet import LeadUNetShape
from selfmis_plugin.training.contract import RecordTask


@dataclass
class Pix2PixConfig(PatchConfig):
    """Keys of ``model: {_name: pix2pix}``."""


@toolkit.register_model("pix2pix", dataclass=Pix2PixConfig)
class Pix2PixModel(LeadSynthesisModel):
    """Generator and a discriminator of patches (Isola et al., 2017)."""

    @classmethod
    def build_model(cls, cfg: Pix2PixConfig, task: RecordTask) -> Pix2PixModel:
        """Build the networks for a task's data.

        Raises
        ------
        ValueError
            If the data lack a standard lead, or sizes do not fit together.
        """
        shape = LeadUNetShape.from_mapping(cfg, NORM)
        widths = tuple(cfg.discriminator_widths)
        return cls(Pix2PixTraining(shape, widths, cfg.double_sigmoid), cfg, task)
