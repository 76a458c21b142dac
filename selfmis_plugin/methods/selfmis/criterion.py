"""SigLIP over pairs of single-lead and multi-lead embeddings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed

from selfmis_plugin import toolkit
from selfmis_plugin.metrics.retrieval import pairwise_siglip, retrieval
from selfmis_plugin.nn.losses.pair_objectives import CosineLoss, InfoNCELoss
from selfmis_plugin.nn.losses.siglip import SigLIPLoss
from selfmis_plugin.training.contract import RecordTask
from selfmis_plugin.training.split_criterion import SplitCriterion

RANKS = (1, 5, 10)
#: What brings the two embeddings of a record together.
_OBJECTIVES: dict[str, type[SigLIPLoss]] = {
    "siglip": SigLIPLoss,
    "info_nce": InfoNCELoss,
    "cosine": CosineLoss,
}


@dataclass
class SigLIPConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Keys of ``criterion: {_name: siglip}``."""

    objective: str = field(
        default="siglip",
        metadata={
            "help": "siglip; info_nce: the record's own among the batch; cosine: 1 less the "
            "cosine, without negatives"
        },
    )
    normalize: bool = field(default=True, metadata={"help": "scale embeddings to length 1"})
    logit_scale: float = field(default=10.0, metadata={"help": "(initial) factor of the logits"})
    learn_logit_scale: bool = field(default=True, metadata={"help": "train the factor"})
    logit_bias: float = field(
        default=-10.0,
        metadata={"help": "(initial) offset of the logits; 0 collapses with many negatives"},
    )
    learn_logit_bias: bool = field(default=True, metadata={"help": "train the offset"})
    center: bool = field(
        default=False, metadata={"help": "subtract the mean of the frozen embeddings"}
    )
    negatives: str = field(
        default="global",
        metadata={"help": "other records of this process's batch (local) or of all (global)"},
    )


@toolkit.register_criterion("siglip", dataclass=SigLIPConfig)
class SigLIPCriterion(SplitCriterion):
    """Pairwise sigmoid loss (SelfMIS paper, equation 3; Zhai et al. 2023), or another objective.

    Validation reports, over all records of the split at once, retrieval of a record's multi-lead
    embedding by its single-lead one (``r1``, ``r5``, ``r10``, shares of 1) and the loss that
    random batches of the training's size would have on average.
    """

    figure_names = ("r1", "r5", "r10", "median_rank")

    def __init__(self, cfg: SigLIPConfig, task: RecordTask) -> None:
        super().__init__(task)
        if cfg.negatives not in ("local", "global"):
            raise ValueError(f"criterion.negatives={cfg.negatives!r}: choose local or global")
        if cfg.objective not in _OBJECTIVES:
            raise ValueError(
                f"criterion.objective={cfg.objective}: choose one of {', '.join(_OBJECTIVES)}"
            )
        self.is_global = cfg.negatives == "global"
        self.loss = _OBJECTIVES[cfg.objective](
            normalize=cfg.normalize,
            logit_scale=cfg.logit_scale,
            learn_logit_scale=cfg.learn_logit_scale,
            logit_bias=cfg.logit_bias,
            learn_logit_bias=cfg.learn_logit_bias,
            center=cfg.center,
            embedding_dim=task.embedding_dim if cfg.center else None,
            across_processes=self.is_global,
        )
        self.batch_size = task.cfg.batch_size

    @classmethod
    def build_criterion(cls, cfg: SigLIPConfig, task: RecordTask) -> SigLIPCriterion:
        """Build the criterion from its config."""
        return cls(cfg, task)

    def needs_center(self) -> bool:
        """Whether the mean frozen embedding must be given before the first batch."""
        return self.loss.center and not bool(self.loss.center_known)

    def set_center(self, mean: torch.Tensor) -> None:
        """Take the mean frozen embedding, shape (embedding,)."""
        self.loss.set_center(mean)

    def center_mean(self) -> torch.Tensor | None:
        """Return the mean frozen embedding, (embedding,) float32, where it is subtracted."""
        return self.loss.center_mean.detach().float().cpu() if self.loss.center else None

    def compute(self, model: Any, sample: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        """Return the batch's loss summed over its records, and both embeddings.

        A batch that the host repeats where a process is out of data (``sample["ignored"]``) takes
        part without records: its loss is 0, and it gives the others no negatives.
        """
        single, multi = model(**sample["net_input"])
        counted = slice(0, 0) if sample.get("ignored", False) else slice(None)
        loss = self.loss(single[counted], multi[counted], sample["id"][counted])
        return loss, {"single": single, "multi": multi}

    def figures(self, collected: dict[str, torch.Tensor]) -> dict[str, float]:
        """Return retrieval and the expected loss a record of the whole split."""
        single, multi = self.loss.embed(collected["single"], collected["multi"])
        processes = (
            torch.distributed.get_world_size()
            if self.is_global and torch.distributed.is_initialized()
            else 1
        )
        figures = retrieval(single, multi, k=RANKS)
        batch_size = min(self.batch_size * processes, len(single))
        if isinstance(self.loss, InfoNCELoss | CosineLoss):
            figures["loss"] = self.loss.expected(single, multi, batch_size)
            return figures
        figures["loss"] = pairwise_siglip(
            single,
            multi,
            _number(self.loss.scale_value),
            _number(self.loss.bias_value),
            batch_size=batch_size,
        )
        return figures


def _number(value: torch.Tensor | float) -> float:
    return float(value.detach()) if isinstance(value, torch.Tensor) else value
