"""Labelled and unlabelled records together, with what teachers say of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from selfmis_plugin.data.crops import Crops
from selfmis_plugin.methods.distillation.teachers import Teachers
from selfmis_plugin.training.embedding_cache import EmbeddingCache
from selfmis_plugin.training.store_dataset import StoreDataset

__all__ = ["TaughtDataset", "TaughtPart"]


class TaughtPart(StoreDataset):
    """Records of one store: batches have what their teachers say beside the signals."""

    _said: EmbeddingCache | None = None

    @property
    def is_taught(self) -> bool:
        """Whether the teachers were asked."""
        return self._said is not None

    def use_teachers(self, said: EmbeddingCache, teachers: Teachers, labels: int) -> None:
        """Hand out what teachers say.

        Parameters
        ----------
        said
            Logits of *labels* statements and, behind them, embeddings if they are wanted.
        teachers
            Who said it.
        labels
            Number of statements.
        """
        self._said = said
        self._asked = teachers.asked(self.store, self.rows)
        self._labels = labels

    def check_length(self) -> None:
        """See whether all that is read is there still."""
        super().check_length()
        if self._said is not None:
            self._said.check_length()

    def batch(self, indices: Sequence[int] | np.ndarray) -> dict[str, Any]:
        """Return the batch of *indices*, with ``taught``: float32 (batch, labels), the teacher's
        logits; ``taught_embedding`` (batch, embedding) where it is kept; and ``teacher``, int32
        (batch,), which of the teachers said it."""
        batch = super().batch(indices)
        if self._said is None or not batch:
            return batch
        chosen = np.asarray(indices, dtype=np.int64)
        said = torch.from_numpy(self._said.read(chosen))
        batch["taught"] = said[:, : self._labels]
        if said.shape[1] > self._labels:
            batch["taught_embedding"] = said[:, self._labels :]
        batch["teacher"] = torch.from_numpy(self._asked[chosen].astype(np.int32))
        return batch

    collater = collator = batch


class TaughtDataset(TaughtPart):
    """Labelled records and, behind them, unlabelled ones of another store.

    Parameters
    ----------
    labelled
        Whose labels are known.
    unlabelled
        Of the same leads, rate and length; None for none.
    per_labelled
        Unlabelled records of an epoch, at most, for each labelled one; other ones in each epoch.
        None for all of them.
    """

    def __init__(
        self,
        labelled: TaughtPart,
        unlabelled: TaughtPart | None = None,
        per_labelled: float | None = None,
    ) -> None:
        super().__init__(
            labelled.store, labelled.rows, labelled.leads, (), labelled.shuffle_seed,
            labelled.folder,
        )  # fmt: skip
        self.labelled, self.unlabelled = labelled, unlabelled
        self.targets = labelled.targets
        there = 0 if unlabelled is None else len(unlabelled)
        wanted = there if per_labelled is None else round(per_labelled * len(labelled))
        self._of_an_epoch = min(there, wanted)

    @property
    def parts(self) -> list[TaughtPart]:
        """The labelled records, and the unlabelled ones where there are any."""
        return [self.labelled, *([] if self.unlabelled is None else [self.unlabelled])]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def is_taught(self) -> bool:
        """Whether the teachers were asked about all of them."""
        return all(part.is_taught for part in self.parts)

    def use_crops(self, crops: Crops) -> None:
        """Hand out pieces of the records; what teachers say stays of whole records."""
        for part in self.parts:
            part.use_crops(crops)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order :meth:`ordered_indices` returns."""
        super().set_epoch(epoch)
        for part in self.parts:
            part.set_epoch(epoch)

    def check_length(self) -> None:
        """See whether all that is read is there still."""
        for part in self.parts:
            part.check_length()

    def signal(self, indices: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Return the signals of records with all leads, integer microvolts."""
        return torch.cat([part.signal(own) for part, own in self._dealt(indices)])

    def ordered_indices(self) -> np.ndarray:
        """Return the order in which records are put into batches, int64 (records of an epoch,)."""
        known = len(self.labelled)
        if self.shuffle_seed is None:
            return np.arange(known + self._of_an_epoch)
        rng = np.random.default_rng((self.shuffle_seed, self.epoch))
        further = rng.permutation(len(self) - known)[: self._of_an_epoch]
        return rng.permutation(np.concatenate([np.arange(known), known + further]))

    def batch(self, indices: Sequence[int] | np.ndarray) -> dict[str, Any]:
        """Return the batch of *indices*, labelled records first.

        ``labelled``, bool (batch,), says whose ``target`` is known; that of others is zero.
        """
        batches = [
            self._marked(part, part.batch(own)) for part, own in self._dealt(indices) if len(own)
        ]
        if len(batches) < 2:
            return batches[0] if batches else {}
        first, second = batches
        return {
            "net_input": {
                name: torch.cat([values, second["net_input"][name]])
                for name, values in first["net_input"].items()
            },
            **{
                name: torch.cat([values, second[name]])
                for name, values in first.items()
                if name != "net_input"
            },
        }

    collater = collator = batch

    def _dealt(self, indices: Sequence[int] | np.ndarray) -> list[tuple[TaughtPart, np.ndarray]]:
        chosen = np.asarray(indices, dtype=np.int64)
        known = len(self.labelled)
        dealt = [(self.labelled, chosen[chosen < known])]
        if self.unlabelled is not None:
            dealt.append((self.unlabelled, chosen[chosen >= known] - known))
        return dealt

    def _marked(self, part: TaughtPart, batch: dict[str, Any]) -> dict[str, Any]:
        is_labelled, count = part is self.labelled, len(batch["id"])
        batch["labelled"] = torch.full((count,), is_labelled)
        if not is_labelled:
            labels = 0 if self.targets is None else self.targets.shape[1]
            batch["target"] = torch.zeros(count, labels)
            # No number of a record is another store's.
            batch["id"] = batch["id"] + len(self.store)
        return batch
