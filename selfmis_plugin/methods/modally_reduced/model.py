"""Masked autoencoders of all leads whose latents are brought together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import List, Optional  # noqa: UP035  (older omegaconf reads only typing.List)

import torch

from selfmis_plugin import toolkit
from selfmis_plugin.data.leads import lead_rows, reference_leads
from selfmis_plugin.methods.modally_reduced.network import (
    ModallyReduced,
    ModallyReducedConfig,
    ModallyReducedOutput,
)
from selfmis_plugin.nn.patch_masks import random_masks
from selfmis_plugin.training.contract import RecordTask
from selfmis_plugin.training.precision import own_precision


@dataclass
class ModallyReducedShapeConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Size of a lead's encoder, and how it computes."""

    patch_size: int = field(default=25, metadata={"help": "samples of a patch"})
    width: int = field(default=256, metadata={"help": "size of an encoder's tokens"})
    depth: int = field(default=6, metadata={"help": "blocks of an encoder"})
    heads: int = field(default=8, metadata={"help": "attention heads of an encoder"})
    mlp_ratio: float = field(default=4.0, metadata={"help": "inner over outer size of a block"})
    precision: str = field(
        default="float32",
        metadata={"help": "what the model computes in, whatever the host: float32 or bfloat16"},
    )


@dataclass
class ModallyReducedModelConfig(ModallyReducedShapeConfig):
    """Keys of ``model: {_name: modally_reduced}``."""

    leads: Optional[List[str]] = field(  # noqa: UP006, UP045
        default=None, metadata={"help": "leads to embed; default: the data's standard leads"}
    )
    decoder_width: int = field(default=128, metadata={"help": "size of a decoder's tokens"})
    decoder_depth: int = field(default=2, metadata={"help": "blocks of a decoder"})
    decoder_heads: int = field(default=4, metadata={"help": "attention heads of a decoder"})
    mask_ratio: float = field(default=0.5, metadata={"help": "share of patches that are masked"})


@toolkit.register_model("modally_reduced", dataclass=ModallyReducedModelConfig)
class ModallyReducedModel(toolkit.BaseModel):  # type: ignore[misc, name-defined]
    """Twelve masked autoencoders over one record.

    Parameters
    ----------
    network
        The autoencoders.
    leads
        Leads of the signals that :meth:`forward` is given.
    seed
        Seed of the masks.
    """

    def __init__(self, network: ModallyReduced, leads: Sequence[str], seed: int) -> None:
        super().__init__()
        self.network = network
        self.seed = seed
        self.rows = lead_rows(leads, network.config.leads)
        self._draw = 0

    @classmethod
    def build_model(cls, cfg: ModallyReducedModelConfig, task: RecordTask) -> ModallyReducedModel:
        """Build the autoencoders for a task's data.

        Raises
        ------
        ValueError
            If the data have no such lead, or the sizes do not fit together.
        """
        preprocessing = task.preprocessing
        config = ModallyReducedConfig.from_mapping(
            cfg, reference_leads(preprocessing.leads, cfg.leads)
        )
        network = ModallyReduced(config, task.store.info.sample_rate, preprocessing.sample_rate)
        network.set_precision(own_precision(cfg.precision))
        return cls(network, preprocessing.leads, task.cfg.seed)

    def set_num_updates(self, num_updates: int) -> None:
        """Draw new masks for the next update; a resumed run draws those that it would have had."""
        super().set_num_updates(num_updates)
        self._draw = num_updates + 1

    def forward(
        self,
        signal: torch.Tensor,
        records: torch.Tensor | None = None,
        leads: Sequence[int] | None = None,
    ) -> ModallyReducedOutput:
        """Mask, encode and decode.

        In training each update has masks of its own, in evaluation a record always has the same.

        Parameters
        ----------
        signal
            Integer or float microvolts, (batch, leads, samples).
        records
            Numbers of the records, int64 (batch,): masks are drawn for them. None: nothing is
            masked.
        leads
            Positions of the leads to compute, among the model's; None: all.
        """
        network = self.network
        chosen = self.rows if leads is None else [self.rows[k] for k in leads]
        mask = None
        if records is not None:
            mask = random_masks(
                records.tolist(),
                network.patches(signal.shape[-1]),
                network.config.mask_ratio,
                self.seed,
                self._draw if self.training else 0,
            ).to(signal.device)
        output: ModallyReducedOutput = network(signal[:, chosen], mask, leads)
        return output

    @property
    def lead_count(self) -> int:
        """Number of leads that are embedded."""
        return len(self.rows)

    @property
    def embedding_dim(self) -> int:
        """Size of an embedding."""
        return self.network.embedding_dim

    def max_positions(self) -> None:
        """Records of any whole number of patches can be embedded."""
        return None
