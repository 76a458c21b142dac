"""What ST-MEM's pre-training minimises: the error of the patches that were not seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from selfmis_plugin import toolkit
from selfmis_plugin.methods.st_mem.autoencoder import StMemOutput
from selfmis_plugin.nn.losses.reconstruction import normalised_patches, reconstruction_loss
from selfmis_plugin.training.contract import RecordTask
from selfmis_plugin.training.split_criterion import SplitCriterion


@dataclass
class MaskedPatchesConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Keys of ``criterion: {_name: masked_patches}``."""

    normalise_patches: bool = field(
        default=True,
        metadata={"help": "bring each patch of the target to mean 0 and deviation 1 by itself"},
    )


@toolkit.register_criterion("masked_patches", dataclass=MaskedPatchesConfig)
class MaskedPatches(SplitCriterion):
    """Mean squared error over masked patches (Na et al., 2024; He et al., 2022).

    Validation reports ``masked_error``, the loss a record, and ``explained``: what share of the
    error is gone that stays where every masked patch is taken for its target's mean. Below 0 it is
    worse than that.
    """

    figure_names = ("masked_error", "explained")

    def __init__(self, cfg: MaskedPatchesConfig, task: RecordTask) -> None:
        super().__init__(task)
        self.normalise_patches = cfg.normalise_patches

    @classmethod
    def build_criterion(cls, cfg: MaskedPatchesConfig, task: RecordTask) -> MaskedPatches:
        """Build the criterion from its config."""
        return cls(cfg, task)

    def compute(self, model: Any, sample: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        """Return the loss summed over the batch's records, and its parts of each record."""
        output: StMemOutput = model(signal=sample["net_input"]["signal"], records=sample["id"])
        target = normalised_patches(output.target) if self.normalise_patches else output.target
        # Every lead has as many masked patches: the mean of the leads is that of the patches.
        error = reconstruction_loss(output.prediction, target, output.masked).mean(1)
        mean = target.mean(-1, keepdim=True).expand_as(target)
        known = reconstruction_loss(mean, target, output.masked).mean(1)
        return error.sum(), {"error": error[:, None], "known": known[:, None]}

    def figures(self, collected: dict[str, torch.Tensor]) -> dict[str, float]:
        """Return the means over the split."""
        error, known = (float(collected[key].mean()) for key in ("error", "known"))
        return {"masked_error": error, "explained": 1 - error / known if known else 0.0}
