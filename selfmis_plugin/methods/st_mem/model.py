"""ST-MEM's masked autoencoder as the training toolkit's model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, List, Optional  # noqa: UP035  (older omegaconf reads only typing.List)

import torch

from selfmis_plugin import toolkit
from selfmis_plugin.data.leads import lead_rows, reference_leads
from selfmis_plugin.methods.st_mem.autoencoder import StMem, StMemOutput
from selfmis_plugin.methods.st_mem.draws import Draw, draw_patches
from selfmis_plugin.methods.st_mem.shape import StMemDecoderShape, StMemShape
from selfmis_plugin.training.contract import RecordTask
from selfmis_plugin.training.precision import own_precision


@dataclass
class StMemShapeConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Size of the encoder, whose defaults are the published one's, and how it computes."""

    samples: int = field(
        default=2250, metadata={"help": "samples of a crop; records must be as long at least"}
    )
    patch_size: int = field(default=75, metadata={"help": "samples of a patch"})
    width: int = field(default=768, metadata={"help": "size of the encoder's tokens"})
    depth: int = field(default=12, metadata={"help": "blocks of the encoder"})
    heads: int = field(default=12, metadata={"help": "attention heads of the encoder"})
    mlp_ratio: float = field(default=4.0, metadata={"help": "inner over outer size of a block"})
    precision: str = field(
        default="float32",
        metadata={"help": "what the model computes in, whatever the host: float32 or bfloat16"},
    )


@dataclass
class StMemModelConfig(StMemShapeConfig):
    """Keys of ``model: {_name: st_mem}``."""

    leads: Optional[List[str]] = field(  # noqa: UP006, UP045
        default=None, metadata={"help": "leads to embed; default: the data's standard leads"}
    )
    decoder_width: int = field(default=256, metadata={"help": "size of the decoder's tokens"})
    decoder_depth: int = field(default=4, metadata={"help": "blocks of the decoder"})
    decoder_heads: int = field(default=4, metadata={"help": "attention heads of the decoder"})
    mask_ratio: float = field(
        default=0.75, metadata={"help": "share of each lead's patches that are masked"}
    )


@toolkit.register_model("st_mem", dataclass=StMemModelConfig)
class StMemModel(toolkit.BaseModel):  # type: ignore[misc, name-defined]
    """One masked autoencoder over all leads of a record.

    Parameters
    ----------
    network
        The autoencoder.
    decoder
        Shape of its decoder.
    leads
        Leads of the signals that :meth:`forward` is given.
    seed
        Seed of crops and masks.
    """

    def __init__(
        self, network: StMem, decoder: StMemDecoderShape, leads: Sequence[str], seed: int
    ) -> None:
        super().__init__()
        self.network = network
        self.mask_ratio = decoder.mask_ratio
        self.seed = seed
        self.rows = lead_rows(leads, network.encoder.config.leads)
        self._draw = 0

    @classmethod
    def build_model(cls, cfg: StMemModelConfig, task: RecordTask) -> StMemModel:
        """Build the autoencoder for a task's data.

        Raises
        ------
        ValueError
            If the data have no such lead, records are too short, or sizes do not fit together.
        """
        preprocessing, info = task.preprocessing, task.store.info
        shape = StMemShape.from_mapping(cfg, reference_leads(preprocessing.leads, cfg.leads))
        decoder = StMemDecoderShape.from_mapping(cfg)
        network = StMem(shape, decoder, info.sample_rate, preprocessing.sample_rate)
        network.surplus(round(info.sample_rate * info.seconds))
        network.encoder.precision = own_precision(cfg.precision)
        return cls(network, decoder, preprocessing.leads, task.cfg.seed)

    def set_num_updates(self, num_updates: int) -> None:
        """Draw anew for the next update; a resumed run draws what it would have drawn."""
        super().set_num_updates(num_updates)
        self._draw = num_updates + 1

    def forward(self, signal: torch.Tensor, records: torch.Tensor | None = None) -> StMemOutput:
        """Encode what is seen of each record, and make all of it.

        In training each update has crops and masks of its own, in evaluation a record always has
        the same.

        Parameters
        ----------
        signal
            Integer or float microvolts, (batch, leads, samples).
        records
            Numbers of the records, int64 (batch,): crops and masks are drawn for them. None: the
            middle of each is read, and nothing is masked.
        """
        network = self.network
        shape, surplus = network.encoder.config, network.surplus(signal.shape[-1])
        if records is None:
            draw = Draw.whole(signal.shape[0], len(shape.leads), shape.patches, surplus // 2)
        else:
            draw = draw_patches(
                records.tolist(),
                len(shape.leads),
                shape.patches,
                self.mask_ratio,
                surplus,
                self.seed,
                self._draw if self.training else 0,
            )
        output: StMemOutput = network(signal[:, self.rows], draw.to(signal.device))
        return output

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the leads that are embedded."""
        leads: tuple[str, ...] = self.network.encoder.config.leads
        return leads

    def max_positions(self) -> None:
        """Records of any length from a crop's on can be read."""
        return None


def shape_keys(cfg: Any, shape: StMemShape, keys: Sequence[str]) -> str:
    """Return as overrides the *keys* of *shape* that *cfg* has otherwise."""
    return " ".join(
        f"model.{key}={getattr(shape, key):g}"
        for key in keys
        if getattr(shape, key) != getattr(cfg, key)
    )
