"""Pre-training by aligning one lead with the whole record."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, Protocol

import torch

from selfmis_plugin import toolkit
from selfmis_plugin.data.crops import Crops, crops_of
from selfmis_plugin.data.shuffling import blocks_of
from selfmis_plugin.training.store_task import StoreTask, StoreTaskConfig
from selfmis_plugin.utils.slow_reading import slow_reading

logger = logging.getLogger(__name__)

#: Which views of a pair are cropped.
CROP_VIEWS = (SINGLE, SAME, INDEPENDENT) = ("single", "same", "independent")


class CentresEmbeddings(Protocol):
    """A criterion that may subtract the mean frozen embedding."""

    def needs_center(self) -> bool:
        """Whether the mean must be given before the first batch."""

    def set_center(self, mean: torch.Tensor) -> None:
        """Take the mean, (embedding,)."""

    def center_mean(self) -> torch.Tensor | None:
        """Return the mean, float32 (embedding,), where it is subtracted."""


@dataclass
class SelfMISPretrainingConfig(StoreTaskConfig):
    """Keys of ``task: {_name: selfmis_pretraining}``."""

    allow_absent_leads: bool = field(
        default=False,
        metadata={"help": "take records that lack a lead of the reference; the tower sees zeros"},
    )
    crop_seconds: Optional[float] = field(  # noqa: UP045  (read by omegaconf)
        default=None,
        metadata={"help": "train on random pieces of so many seconds; default: whole records"},
    )
    crop_views: str = field(
        default="single",
        metadata={
            "help": "which views are cropped: the single lead alone; same: both alike; "
            "independent: each on its own. The last two embed each piece anew, frozen tower too"
        },
    )
    windows: int = field(default=1, metadata={"help": "pieces of each record in a batch"})
    shuffle_block: Optional[int] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "read blocks of so many neighbouring records, such as 256, for a store larger "
            "than the memory or on a network; default: records in any order"
        },
    )
    shuffle_window: Optional[int] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "records that are shuffled together, a whole number of blocks; default: 16 of "
            "them"
        },
    )


@toolkit.register_task("selfmis_pretraining", dataclass=SelfMISPretrainingConfig)
class SelfMISPretrainingTask(StoreTask):
    """Pairs of a whole record and its own lead (SelfMIS paper, equation 1).

    A batch holds all leads of its records; the model cuts the single lead out of them, so the two
    members of a pair are the same recording by construction.
    """

    def __init__(self, cfg: Any, **kwargs: Any) -> None:
        super().__init__(cfg, **kwargs)
        self._single_lead: str | None = None
        self._said_slow_reading = False
        self._blocks = blocks_of(cfg.shuffle_block, cfg.shuffle_window)
        if cfg.crop_views not in CROP_VIEWS:
            raise ValueError(
                f"task.crop_views={cfg.crop_views}: choose one of {', '.join(CROP_VIEWS)}"
            )
        crops = crops_of(self.store.info, cfg.crop_seconds, cfg.seed, cfg.windows)
        if crops is not None and cfg.crop_views != SINGLE and cfg.cache_frozen_embeddings:
            raise ValueError(
                f"task.crop_views={cfg.crop_views} shows the frozen tower other pieces in every "
                "epoch, whose embeddings cannot be kept: set task.cache_frozen_embeddings=false, "
                f"or task.crop_views={SINGLE}"
            )

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the model; its single lead must be there in every record."""
        self._single_lead = cfg.lead
        return super().build_model(cfg, from_checkpoint)

    def get_batch_iterator(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the host's iterator; training may read pieces of its records, and blocks of
        neighbours."""
        is_training = dataset is self.datasets.get(self.cfg.train_subset)
        if is_training:
            crops = self._crops()
            if crops is not None:
                dataset.use_crops(crops)
            if self._blocks is not None:
                dataset.use_blocks(self._blocks)
        iterator = super().get_batch_iterator(dataset, *args, **kwargs)
        if is_training and self._blocks is not None:
            toolkit.keep_order_of_batches(iterator)
        elif is_training:
            self._say_slow_reading(dataset)
        return iterator

    def _say_slow_reading(self, dataset: Any) -> None:
        """Say once if records are read one by one from where that is slow."""
        if self._said_slow_reading:
            return
        self._said_slow_reading = True
        why = slow_reading(dataset.store.path, dataset.bytes_of_epoch)
        if why:
            logger.info(
                "%s: %s, and every epoch reads its records in any order. task.shuffle_block=256 "
                "reads neighbours together, and 'selfmis prepare view' makes a smaller store for a "
                "local disk (docs/training.md)",
                *(dataset.store.path, why),
            )

    def _crops(self) -> Crops | None:
        """Return how training records are cropped. Beside kept embeddings a batch has the single
        lead alone."""
        cfg, views = self.cfg, self.cfg.crop_views
        alone = views == SAME or cfg.cache_frozen_embeddings
        return crops_of(
            self.store.info,
            cfg.crop_seconds,
            cfg.seed,
            cfg.windows,
            None if alone else self._single_lead,
            alone or views == INDEPENDENT,
        )

    def required_leads(self) -> Sequence[str]:
        """Return the leads that no record may lack: with ``allow_absent_leads`` the single one."""
        if self.cfg.allow_absent_leads and self._single_lead is not None:
            return (self._single_lead,)
        return super().required_leads()

    def begin_epoch(self, epoch: int, model: Any) -> None:
        """Give the criterion the mean frozen embedding, if it centres and has none yet."""
        super().begin_epoch(epoch, model)
        criterion: CentresEmbeddings = self._criterion
        if criterion.needs_center():
            embeddings = self.embed_training_records(model, model.embed_frozen)
            criterion.set_center(embeddings.mean(0))

    def extra_state(self) -> dict[str, Any]:
        """Return the mean frozen embedding, if the criterion subtracts it: evaluation must too."""
        criterion: CentresEmbeddings | None = self._criterion
        center = criterion.center_mean() if criterion is not None else None
        return {} if center is None else {"center": center}
