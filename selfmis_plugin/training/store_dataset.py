"""Records of a store as a dataset of the host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from selfmis_plugin import toolkit
from selfmis_plugin.data.crops import Crops
from selfmis_plugin.data.shuffling import Blocks
from selfmis_plugin.data.store import Store
from selfmis_plugin.training.embedding_cache import EmbeddingCache


class StoreDataset(toolkit.BaseDataset):  # type: ignore[misc, name-defined]
    """Records of one split, read a whole batch at a time.

    An item is only a number: the signals of a batch are gathered in one read when the batch is
    put together. Signals leave as they lie in the store (int16 microvolts); the model scales and
    normalises them on its device.

    Parameters
    ----------
    store
        Where the signals are.
    rows
        Rows of the store, shape (records,).
    leads
        Names of the leads to read.
    labels
        Names of the statements to hand out as multi-hot targets; none for unlabelled training.
    shuffle_seed
        Draw the records in a new order each epoch; None keeps the order of *rows*.
    folder
        Folder of the manifest that lists the records; the store's by default.

    Attributes
    ----------
    embeddings
        Kept embeddings of the records, see :meth:`use_embeddings`; None where there are none.
    """

    def __init__(
        self,
        store: Store,
        rows: np.ndarray,
        leads: Sequence[str],
        labels: Sequence[str] = (),
        shuffle_seed: int | None = None,
        folder: Path | None = None,
    ) -> None:
        super().__init__()
        self.store = store
        self.rows = rows
        self.leads = tuple(leads)
        self.targets = store.targets(rows, labels) if labels else None
        self.shuffle_seed = shuffle_seed
        self.folder = folder or store.path
        self.epoch = 1
        self.embeddings: EmbeddingCache | None = None
        self._embedding_name = ""
        self._further: dict[str, EmbeddingCache] = {}
        self._leads_in_batch = self.leads
        self._crops: Crops | None = None
        self._blocks: Blocks | None = None
        self._announced: set[int] = set()

    def __getitem__(self, index: int) -> int:
        return int(index)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> Sequence[int] | np.ndarray:
        """Return the numbers of a batch; PyTorch asks for them at once where it finds this."""
        return indices

    def __len__(self) -> int:
        return len(self.rows)

    def use_embeddings(self, embeddings: EmbeddingCache, name: str, leads: Sequence[str]) -> None:
        """Hand out embeddings of a frozen encoder, and of the signals no more than *leads*.

        Parameters
        ----------
        embeddings
            Those of this data set's records, in its order.
        name
            What the model calls them: batches have them as ``net_input.NAME``.
        leads
            Leads that a batch still has; without any it has no signal.
        """
        self.embeddings = embeddings
        self._embedding_name = name
        self._leads_in_batch = tuple(leads)

    def use_crops(self, crops: Crops) -> None:
        """Hand out pieces of the records, in each epoch others; kept embeddings stay the whole
        records'."""
        self._crops = crops

    def use_blocks(self, blocks: Blocks) -> None:
        """Shuffle blocks of neighbouring records, and the records of a window of them, in place of
        all records; a block is asked of the disk at once."""
        self._blocks = blocks

    @property
    def bytes_of_epoch(self) -> int:
        """Bytes of all signals that an epoch reads."""
        info = self.store.info
        return len(self) * len(self._leads_in_batch) * info.samples * self.store.bytes_of_sample

    def add_input(self, name: str, values: EmbeddingCache) -> None:
        """Hand out what is kept of each record, such as where its beats are, beside its signal.

        Parameters
        ----------
        name
            What the model calls it: batches have it as ``net_input.NAME``.
        values
            Those of all records of the *store*, in its order, whichever of them are here.
        """
        self._further[name] = values

    def has_input(self, name: str) -> bool:
        """Whether :meth:`add_input` has been told of *name*."""
        return name in self._further

    def check_length(self) -> None:
        """See whether all that is read is there still, which is looked at in every batch too.

        Raises
        ------
        CutShortError, EmbeddingCacheError
            If a file has become shorter, or is not there any more.
        """
        self.store.check_length()
        if self.embeddings is not None:
            self.embeddings.check_length()
        for values in self._further.values():
            values.check_length()

    def check_leads(self) -> None:
        """Refuse a view of a store that lacks signals of leads that a batch is to have.

        Raises
        ------
        StoreError
            If it does; the message names the store that has them.
        """
        self.store.check_leads(self._leads_in_batch)

    def signal(self, indices: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Return the signals of records with all leads, integer microvolts."""
        return self._read(self.rows[np.asarray(indices, dtype=np.int64)], self.leads)

    def _read(self, rows: np.ndarray, leads: Sequence[str]) -> torch.Tensor:
        return toolkit.hand_over(torch.from_numpy(self.store.read(rows, leads)))

    def _signals(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        if not self._leads_in_batch:
            return {}
        if self._crops is None:
            return {"signal": self._read(rows, self._leads_in_batch)}
        crops, leads = self._crops, self._leads_in_batch
        whole = np.repeat(self.store.read(rows, leads), crops.windows, axis=0)
        first, second = crops.starts(rows, self.epoch, whole.shape[-1])
        found: dict[str, np.ndarray] = {}
        if crops.single_lead is not None:
            row = leads.index(crops.single_lead)
            found["single"] = crops.cut(whole[:, row : row + 1], first)
        signal_starts = first if crops.single_lead is None else second
        found["signal"] = crops.cut(whole, signal_starts) if crops.crop_signal else whole
        return {name: toolkit.hand_over(torch.from_numpy(values)) for name, values in found.items()}

    def batch(self, indices: Sequence[int] | np.ndarray) -> dict[str, Any]:
        """Return the batch of *indices*.

        Returns
        -------
        dict
            ``id``: int64 (batch,), the records' rows in the store; ``net_input.signal``: integer
            microvolts (batch, leads, samples); ``target``: float32 (batch, labels) where the
            dataset has labels; ``net_input.NAME``: float32 (batch, dim) where it has embeddings,
            and whatever :meth:`add_input` added. With crops a record comes once a window, and
            ``net_input.single`` is the single lead's piece where that is cropped on its own.
        """
        if len(indices) == 0:
            return {}
        chosen = np.asarray(indices, dtype=np.int64)
        self._announce_blocks(chosen)
        net_input = self._signals(self.rows[chosen])
        if self._crops is not None:
            chosen = np.repeat(chosen, self._crops.windows)
        rows = self.rows[chosen]
        if self.embeddings is not None:
            net_input[self._embedding_name] = torch.from_numpy(self.embeddings.read(chosen))
        for name, values in self._further.items():
            net_input[name] = toolkit.hand_over(torch.from_numpy(values.read(rows)))
        batch: dict[str, Any] = {"id": torch.from_numpy(rows), "net_input": net_input}
        if self.targets is not None:
            batch["target"] = torch.from_numpy(self.targets[chosen])
        return batch

    def _announce_blocks(self, chosen: np.ndarray) -> None:
        """Ask for the blocks of a batch, whole and in the order of the file, the first time."""
        if self._blocks is None or not self._leads_in_batch:
            return
        asked = np.unique(chosen // self._blocks.block)
        fresh = np.array([one for one in asked.tolist() if one not in self._announced])
        if len(fresh):
            self._announced.update(fresh.tolist())
            rows = self.rows[self._blocks.members(fresh, len(self))]
            self.store.announce(rows, self._leads_in_batch)

    # fairseq spells it one way, fairseq-signals the other.
    collater = collator = batch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order :meth:`ordered_indices` returns."""
        self.epoch = epoch
        self._announced.clear()

    @property
    def can_reuse_epoch_itr_across_epochs(self) -> bool:
        """Both hosts shuffle whole batches only: new batches need a new iterator an epoch."""
        return self.shuffle_seed is None

    def ordered_indices(self) -> np.ndarray:
        """Return the order in which records are put into batches, int64 (records,).

        Neighbours in a database are often records of one patient. Left together they would be
        each other's negatives in every epoch.
        """
        if self.shuffle_seed is None:
            return np.arange(len(self), dtype=np.int64)
        if self._blocks is not None:
            return self._blocks.order(len(self), self.shuffle_seed, self.epoch)
        return np.random.default_rng((self.shuffle_seed, self.epoch)).permutation(len(self))

    def batch_by_size(
        self,
        indices: np.ndarray,
        max_tokens: int | None = None,
        max_sentences: int | None = None,
        max_signals: int | None = None,
        required_batch_size_multiple: int = 1,
    ) -> list[np.ndarray]:
        """Cut *indices* into batches; the hosts name the batch size differently.

        Raises
        ------
        ValueError
            If no batch size is given: records all have one length, so a number of tokens is none.
        """
        size = max_sentences or max_signals
        if not size:
            raise ValueError("set dataset.batch_size: batches of ECGs are counted in records")
        return [indices[start : start + size] for start in range(0, len(indices), size)]

    def num_tokens(self, index: int) -> int:
        """Return the number of samples of a record."""
        return self.store.info.samples

    def num_tokens_vec(self, indices: np.ndarray) -> np.ndarray:
        """Return the number of samples of several records."""
        return np.full(len(indices), self.store.info.samples, dtype=np.int64)

    def size(self, index: int) -> int:
        """Return the number of samples of a record."""
        return self.store.info.samples
