"""Embeddings of a frozen encoder, computed once by all processes and read from then on."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from selfmis_plugin._version import __version__
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.store import Store, StoreError
from selfmis_plugin.data.store.format import EMBEDDINGS_FOLDER, View
from selfmis_plugin.data.store.identity import identity_of
from selfmis_plugin.nn.exchange import process_count
from selfmis_plugin.nn.threads import batches_at_once
from selfmis_plugin.training.contract import KeepsEmbeddings
from selfmis_plugin.training.embedding_cache import (
    EmbeddingCache,
    EmbeddingCacheError,
    cache_key,
    origin_identity,
    store_identity,
)
from selfmis_plugin.training.kept_records import Words, fullest, keep
from selfmis_plugin.training.store_dataset import StoreDataset
from selfmis_plugin.utils.parallel import on_threads

logger = logging.getLogger(__name__)


TURN_OFF = "or train without a cache: task.cache_frozen_embeddings=false"

_OTHER_FOLDER = "Choose another folder with task.embedding_cache_dir=DIR"
_WORDS = Words(
    "embeddings",
    when_full=f"{_OTHER_FOLDER}, halve them with task.embedding_cache_dtype=float16, {TURN_OFF}",
    when_refused=f"Choose one with task.embedding_cache_dir=DIR, {TURN_OFF}",
    when_failed=f"{_OTHER_FOLDER}, another type with task.embedding_cache_dtype, {TURN_OFF}",
)


def describe_precision(encoder: nn.Module) -> str:
    """Return in words how exactly an encoder computes: its device, its types, the GPU's TF32.

    Another precision makes another cache. What a host does around the model (``common.amp``) is
    not seen: kept embeddings are then more exact than those of each step.
    """
    weight = next(encoder.parameters())
    precision = getattr(encoder, "precision", None) or str(weight.dtype)
    words = [weight.device.type, str(weight.dtype), str(precision)]
    if weight.device.type == "cuda":
        words += [
            f"tf32 convolutions {torch.backends.cudnn.allow_tf32}",
            f"tf32 products {torch.backends.cuda.matmul.allow_tf32}",
        ]
    return ", ".join(words)


def weights_digest(encoder: nn.Module) -> str:
    """Return the digest of names, types, shapes and values of an encoder's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class _Signals(Dataset[torch.Tensor]):
    """The signals of one batch after the other."""

    def __init__(self, dataset: StoreDataset, batches: Sequence[np.ndarray]) -> None:
        self.dataset = dataset
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.dataset.signal(self.batches[number])


def embed_batches(
    dataset: StoreDataset,
    indices: np.ndarray,
    embed: Callable[[torch.Tensor], torch.Tensor],
    device: torch.device,
    batch_size: int,
    workers: int = 0,
) -> Iterator[torch.Tensor]:
    """Embed records of *dataset*, one batch after the other.

    An embedding depends in its last bits on how many records are embedded at once (on a CPU; not
    on which ones), so a short batch is filled up, if the data set has enough records. On cores that
    a small encoder leaves idle further batches are embedded at the same time.

    Parameters
    ----------
    dataset
        Where the records are.
    indices
        Which ones, in order.
    embed
        Signals (batch, leads, samples) to embeddings (batch, dim).
    device
        Where *embed* computes.
    batch_size
        Records that are embedded at once.
    workers
        Processes that read signals; 0 reads in this one.

    Yields
    ------
    torch.Tensor
        float32 (records of the batch, dim), on *device*.
    """
    size = min(batch_size, len(dataset))
    batches = [indices[start : start + size] for start in range(0, len(indices), size)]
    signals = DataLoader(
        _Signals(dataset, [np.resize(chosen, size) for chosen in batches]),
        batch_size=None,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        # A generator of its own: a loader draws from the common one.
        generator=torch.Generator(),
    )

    # Whether gradients are taken is a matter of each thread.
    @torch.no_grad()
    def embedded(signal: torch.Tensor) -> torch.Tensor:
        return embed(signal.to(device, non_blocking=True)).float()

    at_once = batches_at_once(device, process_count())
    for chosen, found in zip(batches, on_threads(embedded, signals, at_once), strict=True):
        yield found[: len(chosen)]


def _incomplete(dataset: StoreDataset, view: View, missing: str, batch_size: int) -> str:
    """Say that a view needs embeddings of its origin that are not there."""
    what = f"{dataset.store.path} is a view of {view.origin} with {', '.join(view.leads)} alone"
    if _has_changed(view):
        return (
            f"{what}, whose files have changed since: embeddings of them would be of other records "
            f"than the view's. Make it again: selfmis prepare view {view.origin} "
            f"--leads {','.join(view.leads)} --sample-rate {dataset.store.info.sample_rate:g} "
            f"--overwrite --dest {dataset.store.path}"
        )
    return (
        f"{what}, and of the embeddings of its {len(dataset)} records by this frozen encoder, in "
        f"batches of {batch_size}, {missing} files are not kept there. Compute them once on the "
        f"origin, with this command and task.data={view.origin} "
        f"task.sample_rate={dataset.store.info.sample_rate:g} optimization.max_update=1 "
        "hydra.run.dir=DIR, and then give this command again (with another folder of embeddings: "
        "task.embedding_cache_dir=DIR, in both)"
    )


def _has_changed(view: View) -> bool:
    """Return whether there is another store where a view's origin was."""
    try:
        return identity_of(Store.open(view.origin)) != view.identity
    except (OSError, StoreError):
        return False  # it lies elsewhere now, or nowhere


def frozen_embeddings(
    dataset: StoreDataset,
    model: KeepsEmbeddings,
    preprocessing: Preprocessing,
    folder: str | None,
    dtype: str,
    batch_size: int,
    workers: int = 0,
) -> EmbeddingCache:
    """Return the embeddings of all records of *dataset*, after computing those that are missing.

    Every process of a run must call this. The first one looks at what is there and says what is
    missing; all compute their share.

    Parameters
    ----------
    dataset
        Records of one split.
    model
        A model whose encoder is frozen.
    preprocessing
        How the encoder sees the data.
    folder
        Where caches are kept; None for a folder beside the manifest, or in the run's folder
        where that cannot be written.
    dtype
        ``float32`` or ``float16``.
    batch_size
        Records that are embedded at once, as many as in a training batch.
    workers
        Processes that read signals, for each process that computes.

    Raises
    ------
    EmbeddingCacheError
        On every process, if the cache cannot be written; or if the records are a view's without
        the leads to compute it, and the origin's is not whole.
    """
    encoder = model.frozen_encoder()
    device = next(encoder.parameters()).device
    size = min(batch_size, len(dataset))

    # Of the first process alone, which asks for it.
    @functools.cache
    def key(of_origin: bool) -> str:
        store, rows = dataset.store, dataset.rows
        view = store.info.view if of_origin else None
        return cache_key(
            weights=weights_digest(encoder),
            encoder=f"{encoder.config} of {', '.join(model.frozen_leads())}",
            precision=describe_precision(encoder),
            preprocessing=preprocessing.to_dict(),
            records=store_identity(store, rows) if view is None else origin_identity(view, rows),
            batch_size=size,
            dtype=dtype,
            made_by=[__version__, torch.__version__],
        )

    def cache_in(place: Path, of_origin: bool = False) -> EmbeddingCache:
        return EmbeddingCache(
            place, key(of_origin), len(dataset), encoder.embedding_dim, dtype, size
        )

    beside = [dataset.folder / EMBEDDINGS_FOLDER, Path.cwd() / EMBEDDINGS_FOLDER]
    beside = [Path(folder)] if folder else beside
    view = dataset.store.info.view
    if view is not None:
        places = [*beside, Path(view.origin) / EMBEDDINGS_FOLDER]
        cache, missing = fullest(places, functools.partial(cache_in, of_origin=True))
        if not missing:
            logger.info(
                "embeddings of %d records: those of %s, read from %s",
                *(len(dataset), view.origin, cache.path),
            )
            return cache
        # With all leads a view can do without them, as a store of its own.
        if not set(map(str.casefold, dataset.leads)) <= set(map(str.casefold, view.leads)):
            raise EmbeddingCacheError(
                _incomplete(dataset, view, f"{missing} of {cache.files}", size)
            )

    def compute(cache: EmbeddingCache, indices: np.ndarray) -> Iterator[np.ndarray]:
        module: Any = model
        module.eval()
        for embeddings in embed_batches(
            dataset, indices, model.embed_frozen, device, cache.batch_size, workers
        ):
            yield embeddings.cpu().numpy()

    cache, computed = keep(beside, cache_in, compute, _WORDS)
    logger.info(
        "embeddings of %d records: %s (%.2f GB in %s)",
        len(dataset),
        f"{computed} of {cache.files} files computed" if computed else "read from the cache",
        cache.nbytes / 1e9,
        cache.path,
    )
    return cache
