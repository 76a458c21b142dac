"""SelfMIS: a single-lead encoder and a frozen multi-lead encoder of the same record."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import List, Optional  # noqa: UP035  (older omegaconf reads only typing.List)

import torch

from selfmis_plugin import toolkit
from selfmis_plugin.data.leads import reference_leads
from selfmis_plugin.methods.selfmis.towers import TwoTowers
from selfmis_plugin.nn.net1d import Net1DConfig
from selfmis_plugin.training.contract import RecordTask
from selfmis_plugin.training.encoder_config import EncoderConfig, configure, load_tower


@dataclass
class SelfMISConfig(EncoderConfig):
    """Keys of ``model: {_name: selfmis}``."""

    lead: str = field(default="I", metadata={"help": "lead that the single-lead tower sees"})
    multi_leads: Optional[List[str]] = field(  # noqa: UP006, UP045
        default=None,
        metadata={"help": "leads that the frozen tower sees; default: the data's standard leads"},
    )
    single_lead_checkpoint: Optional[str] = field(  # noqa: UP045  (read by omegaconf)
        default=None,
        metadata={"help": "weights to start the single-lead tower from: ECGFounder's or ours"},
    )
    multi_lead_checkpoint: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={"help": "weights of the frozen multi-lead tower: ECGFounder's or ours"},
    )
    allow_untrained_tower: bool = field(
        default=False,
        metadata={"help": "align to a frozen multi-lead tower of random weights"},
    )


@toolkit.register_model("selfmis", dataclass=SelfMISConfig)
class SelfMIS(toolkit.BaseModel):  # type: ignore[misc, name-defined]
    """Two towers over one record (SelfMIS paper, equation 2).

    Parameters
    ----------
    towers
        The encoders and their inputs.
    """

    def __init__(self, towers: TwoTowers) -> None:
        super().__init__()
        self.towers = towers

    @classmethod
    def check_start(cls, cfg: SelfMISConfig) -> None:
        """Refuse a frozen tower of random weights that nobody asked for.

        Raises
        ------
        ValueError
            If no checkpoint is named and ``allow_untrained_tower`` is not set.
        """
        if not cfg.multi_lead_checkpoint and not cfg.allow_untrained_tower:
            raise ValueError(
                "model.multi_lead_checkpoint is not set, so the frozen multi-lead encoder would "
                "have random weights: give what to align to, model.multi_lead_checkpoint=FILE "
                "(12_lead_ECGFounder.pth, or the checkpoint_best.pt of a 12-lead encoder trained "
                "with selfmis_supervised), or model.allow_untrained_tower=true to align to random "
                "weights"
            )

    @classmethod
    def build_model(cls, cfg: SelfMISConfig, task: RecordTask) -> SelfMIS:
        """Build the towers for a task's data and load the checkpoints that *cfg* names.

        Raises
        ------
        CheckpointError
            If a checkpoint does not fit the config or the data.
        ValueError
            If the data have no such lead.
        """
        preprocessing = task.preprocessing
        multi_leads = reference_leads(preprocessing.leads, cfg.multi_leads)
        towers = TwoTowers(
            Net1DConfig.from_mapping(cfg, len(multi_leads)),
            leads=preprocessing.leads,
            lead=cfg.lead,
            store_rate=task.store.info.sample_rate,
            sample_rate=preprocessing.sample_rate,
            multi_leads=multi_leads,
        )
        if cfg.single_lead_checkpoint:
            load_tower(
                towers.single,
                cfg.single_lead_checkpoint,
                Net1DConfig.from_mapping(cfg, 1),
                "single",
                replace(preprocessing, leads=(cfg.lead,)),
            )
        if cfg.multi_lead_checkpoint:
            load_tower(
                towers.multi,
                cfg.multi_lead_checkpoint,
                Net1DConfig.from_mapping(cfg, len(multi_leads)),
                "multi",
                replace(preprocessing, leads=multi_leads),
            )
        configure(towers.single, cfg)
        configure(towers.multi, cfg, frozen=True)
        return cls(towers)

    def forward(
        self,
        signal: torch.Tensor,
        multi_embedding: torch.Tensor | None = None,
        single: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Embed records.

        Parameters
        ----------
        signal
            Integer or float microvolts, shape (batch, leads, samples); with *multi_embedding* the
            single lead alone, (batch, 1, samples).
        multi_embedding
            What the frozen tower gave for these records, (batch, embedding), to use again.
        single
            A piece of the single lead in place of the signal's, (batch, 1, samples).

        Returns
        -------
        tuple of torch.Tensor
            Single-lead and multi-lead embeddings, each (batch, embedding).
        """
        return self.towers(signal, multi_embedding, single)

    def embed_frozen(self, signal: torch.Tensor) -> torch.Tensor:
        """Embed whole records with the frozen tower only, (batch, embedding)."""
        return self.towers.embed_multi(signal)

    def frozen_encoder(self) -> torch.nn.Module | None:
        """Return the encoder behind :meth:`embed_frozen`; None if it is trained."""
        return self.towers.multi if self.towers.freeze_multi else None

    def frozen_leads(self) -> tuple[str, ...]:
        """Return the leads that the frozen encoder sees."""
        return self.towers.multi_leads

    def input_with_embeddings(self) -> tuple[str, tuple[str, ...]]:
        """Return what :meth:`forward` calls kept embeddings, and the leads it needs beside them."""
        return "multi_embedding", (self.towers.lead,)

    @property
    def embedding_dim(self) -> int:
        """Size of an embedding."""
        return self.towers.embedding_dim

    def max_positions(self) -> None:
        """Records of any length can be embedded."""
        return None
