"""Alignment of the leads of a record, and reconstruction of each, joined by a curriculum."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from omegaconf import II

from selfmis_plugin import toolkit
from selfmis_plugin.methods.modally_reduced.network import ModallyReducedOutput
from selfmis_plugin.methods.modally_reduced.spread_leads import SpreadLeads
from selfmis_plugin.nn.exchange import is_distributed
from selfmis_plugin.nn.losses.alignment import TripletAlignmentLoss, curriculum_weights
from selfmis_plugin.nn.losses.reconstruction import reconstruction_loss
from selfmis_plugin.training.contract import RecordTask
from selfmis_plugin.training.split_criterion import SplitCriterion

#: Weights of alignment and reconstruction by which epochs are compared.
_FINAL = {
    "curriculum": (1.0, 1.0),
    "sum": (1.0, 1.0),
    "align": (1.0, 0.0),
    "reconstruct": (0.0, 1.0),
}


@dataclass
class AlignReconstructConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Keys of ``criterion: {_name: align_reconstruct}``."""

    schedule: str = field(
        default="curriculum",
        metadata={
            "help": "curriculum: from reconstruction to alignment over the epochs; "
            "align or reconstruct: that one alone; sum: both all the time"
        },
    )
    align_on: str = field(
        default="tokens",
        metadata={"help": "what is aligned: tokens, one by one in time, or embedding, their mean"},
    )
    margin: float = field(default=0.2, metadata={"help": "margin of the triplets"})
    mining: str = field(
        default="semi-hard", metadata={"help": "which negatives: all, hard or semi-hard"}
    )
    distance: str = field(default="cosine", metadata={"help": "cosine or euclidean"})
    visible_weight: float = field(
        default=1.0,
        metadata={"help": "weight of a visible patch in the reconstruction; a masked one has 1"},
    )
    spread_leads: bool = field(
        default=False,
        metadata={"help": "each process computes a group of the leads for all processes' records"},
    )
    max_epoch: int = II("optimization.max_epoch")


@toolkit.register_criterion("align_reconstruct", dataclass=AlignReconstructConfig)
class AlignReconstruct(SplitCriterion):
    """sin(i/N pi/2) L_align + cos(i/N pi/2) L_recon at epoch i of N (Ibtehaz and Mortazavi, 2024).

    Validation reports ``align_loss`` and ``reconstruct_loss`` a record, and ``objective``: what
    the schedule trains, at weights of 1. Unlike ``loss``, whose weights change, it can be
    compared between epochs, so checkpoints are chosen by it.

    Where processes do not spread the leads, a record's negatives are those of its own process.
    """

    figure_names = ("align_loss", "reconstruct_loss", "objective")

    def __init__(self, cfg: AlignReconstructConfig, task: RecordTask) -> None:
        super().__init__(task)
        for key, known in (("schedule", tuple(_FINAL)), ("align_on", ("tokens", "embedding"))):
            if getattr(cfg, key) not in known:
                raise ValueError(
                    f"criterion.{key}={getattr(cfg, key)}: choose one of {', '.join(known)}"
                )
        if cfg.schedule == "curriculum" and cfg.max_epoch < 1:
            raise ValueError(
                "the curriculum needs the number of epochs: set optimization.max_epoch, or "
                "another criterion.schedule"
            )
        self.cfg = cfg
        self.align = TripletAlignmentLoss(cfg.margin, cfg.mining, cfg.distance)
        self.spread_leads = cfg.spread_leads
        # A model that is only evaluated is one whose training is over.
        self.epoch = cfg.max_epoch

    @classmethod
    def build_criterion(cls, cfg: AlignReconstructConfig, task: RecordTask) -> AlignReconstruct:
        """Build the criterion from its config."""
        return cls(cfg, task)

    def begin_epoch(self, epoch: int) -> None:
        """Take the weights of an epoch, counted from 1; the hosts say it after a resume too."""
        self.epoch = epoch

    def weights(self) -> tuple[float, float]:
        """Return the weights of alignment and reconstruction in this epoch."""
        if self.cfg.schedule == "curriculum":
            return curriculum_weights(self.epoch, self.cfg.max_epoch)
        return _FINAL[self.cfg.schedule]

    def compute(self, model: Any, sample: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        """Return the loss summed over the batch's records, and its parts of each record.

        With ``spread_leads`` the gradient is that of all processes' records with respect to this
        process's leads; the sum over processes is the gradient of one process that has all.
        """
        signal, records = sample["net_input"]["signal"], sample["id"]
        if not (self.spread_leads and is_distributed()):
            output = model(signal=signal, records=records)
            parts = self._parts(self._aligned(output), self._errors(output), records)
            return self._joined(*parts).sum(), self._rows(*parts)
        counted = slice(0, 0) if sample.get("ignored", False) else slice(None)
        spread = SpreadLeads(signal[counted], records[counted], model.lead_count)
        output = model(signal=spread.signals, records=spread.records, leads=spread.leads)
        aligned = spread.gather_leads(self._aligned(output))
        errors = spread.gather_leads(self._errors(output))
        align, error = self._parts(aligned, errors, spread.records)
        whole = self._joined(align, error)
        own = whole[spread.own].sum()
        # Every process's gradient is of all records, and the value that it reports of its own.
        loss = whole.sum() + (own - whole.sum()).detach()
        return loss, self._rows(align[spread.own], error[spread.own])

    def _aligned(self, output: ModallyReducedOutput) -> torch.Tensor:
        return output.latents if self.cfg.align_on == "tokens" else output.embeddings

    def _errors(self, output: ModallyReducedOutput) -> torch.Tensor:
        return reconstruction_loss(
            output.reconstruction, output.target, output.mask.masked, self.cfg.visible_weight
        )

    def _parts(
        self, aligned: torch.Tensor, errors: torch.Tensor, records: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.align(aligned, records), errors.mean(1)

    def _joined(self, align: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
        # A part of weight 0 stays in the sum: every parameter keeps a gradient, which the hosts'
        # distributed training expects.
        align_weight, reconstruct_weight = self.weights()
        return align_weight * align + reconstruct_weight * error

    @staticmethod
    def _rows(align: torch.Tensor, error: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"align": align[:, None], "reconstruct": error[:, None]}

    def figures(self, collected: dict[str, torch.Tensor]) -> dict[str, float]:
        """Return the means over the split."""
        align, reconstruct = (float(collected[key].mean()) for key in ("align", "reconstruct"))
        weights = _FINAL[self.cfg.schedule]
        return {
            "align_loss": align,
            "reconstruct_loss": reconstruct,
            "objective": weights[0] * align + weights[1] * reconstruct,
        }
