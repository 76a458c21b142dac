"""Embeddings of a frozen encoder, computed once by all processes and read from then on."""

from __future__ import annotations

import hashlib
import itertools
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import DataLoader, Dataset

from selfmis_plugin._version import __version__
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.store.format import EMBEDDINGS_FOLDER
from selfmis_plugin.training.contract import KeepsEmbeddings
from selfmis_plugin.training.embedding_cache import (
    EmbeddingCache,
    EmbeddingCacheError,
    cache_key,
    store_identity,
)
from selfmis_plugin.training.store_dataset import StoreDataset

logger = logging.getLogger(__name__)


TURN_OFF = "or train without a cache: task.cache_frozen_embeddings=false"

_PROGRESS_SECONDS = 60.0
_T = TypeVar("_T")


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


@torch.no_grad()
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
    on which ones), so a short batch is filled up, if the data set has enough records.

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
    for chosen, signal in zip(batches, signals, strict=True):
        yield embed(signal.to(device, non_blocking=True))[: len(chosen)].float()


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
        On every process, if the cache cannot be written.
    """
    encoder = model.frozen_encoder()
    device = next(encoder.parameters()).device
    size = min(batch_size, len(dataset))

    def prepared() -> tuple[EmbeddingCache, list[int]]:
        key = cache_key(
            weights=weights_digest(encoder),
            encoder=f"{encoder.config} of {', '.join(model.frozen_leads())}",
            precision=describe_precision(encoder),
            preprocessing=preprocessing.to_dict(),
            records=store_identity(dataset.store, dataset.rows),
            batch_size=size,
            dtype=dtype,
            made_by=[__version__, torch.__version__],
        )
        beside = [dataset.folder / EMBEDDINGS_FOLDER, Path.cwd() / EMBEDDINGS_FOLDER]
        return _choose_folder(
            [Path(folder)] if folder else beside,
            lambda place: EmbeddingCache(
                place, key, len(dataset), encoder.embedding_dim, dtype, size
            ),
        )

    cache, missing = _on_first(prepared)
    if missing:
        _on_all(lambda: _compute(cache, missing, dataset, model, device, workers))
    # Opened here and not by a loader's worker, so that what is wrong is said.
    _on_all(lambda: cache.read([0]))
    logger.info(
        "embeddings of %d records: %s (%.2f GB in %s)",
        len(dataset),
        f"{len(missing)} of {cache.files} files computed" if missing else "read from the cache",
        cache.nbytes / 1e9,
        cache.path,
    )
    return cache


def _choose_folder(
    places: list[Path], cache_in: Callable[[Path], EmbeddingCache]
) -> tuple[EmbeddingCache, list[int]]:
    """Return the first cache that is complete or can be written, and its missing files."""
    reasons = []
    for place in places:
        cache = cache_in(place)
        missing = cache.missing()
        if not missing:
            return cache, missing
        try:
            cache.path.mkdir(parents=True, exist_ok=True)
            trial = cache.path / f".trial-{time.time_ns()}"
            trial.touch()
            trial.unlink()
        except OSError as error:
            reasons.append(f"{place} cannot be written ({error})")
            continue
        if reasons:
            logger.warning("%s: embeddings are kept in %s", "; ".join(reasons), place)
        cache.remove_leftovers()
        needed = cache.nbytes * len(missing) // cache.files
        free = shutil.disk_usage(cache.path).free
        if needed > free:
            raise EmbeddingCacheError(
                f"{place}: embeddings of {cache.records} records take {needed / 1e9:.2f} GB, and "
                f"{free / 1e9:.2f} GB are free. Choose another folder with "
                f"task.embedding_cache_dir=DIR, halve them with task.embedding_cache_dtype=float16,"
                f" {TURN_OFF}"
            )
        return cache, missing
    raise EmbeddingCacheError(
        f"no folder to keep embeddings in: {'; '.join(reasons)}. Choose one with "
        f"task.embedding_cache_dir=DIR, {TURN_OFF}"
    )


def _compute(
    cache: EmbeddingCache,
    missing: list[int],
    dataset: StoreDataset,
    model: Any,
    device: torch.device,
    workers: int,
) -> None:
    """Write this process's share of the missing files."""
    rank, processes = _world()
    share = missing[rank::processes]
    if not share:
        return
    indices = np.concatenate([np.arange(*cache.bounds(number)) for number in share])
    logger.info(
        "computing embeddings of %d records of %s (this process: %d), once; they are kept in %s",
        sum(stop - start for start, stop in map(cache.bounds, missing)),
        dataset.folder,
        len(indices),
        cache.path,
    )
    model.eval()
    began = said = time.monotonic()
    done = 0
    size = cache.batch_size
    # A file holds whole batches, but for the last one of all.
    batches = embed_batches(dataset, indices, model.embed_frozen, device, size, workers)
    for number in share:
        start, stop = cache.bounds(number)
        embeddings = torch.cat(list(itertools.islice(batches, -(-(stop - start) // size))))
        try:
            cache.write(number, embeddings.cpu().numpy())
        except EmbeddingCacheError as error:
            raise EmbeddingCacheError(
                f"{error}. Choose another folder with task.embedding_cache_dir=DIR, another type "
                f"with task.embedding_cache_dtype, {TURN_OFF}"
            ) from error
        done += stop - start
        now = time.monotonic()
        if now - said > _PROGRESS_SECONDS:
            said = now
            logger.info(
                "embedded %d of %d records (%.0f/s)", done, len(indices), done / (now - began)
            )


def _world() -> tuple[int, int]:
    """Return this process's rank and the number of processes."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def _on_first(compute: Callable[[], _T]) -> _T:
    """Return on every process what *compute* returns on the first, or raise its error there."""
    rank, processes = _world()
    if processes == 1:
        return compute()
    box: list[Any] = [None]
    error: EmbeddingCacheError | None = None
    if rank == 0:
        try:
            box = [(compute(), "")]
        except EmbeddingCacheError as raised:
            error = raised
            box = [(None, str(raised))]
    dist.broadcast_object_list(box, src=0)
    result, reason = box[0]
    if reason:
        raise EmbeddingCacheError(reason) from error
    return result  # type: ignore[no-any-return]


def _on_all(compute: Callable[[], object]) -> None:
    """Run *compute* on every process; an error of one is raised on all, after all have ended."""
    _, processes = _world()
    if processes == 1:
        compute()
        return
    reason = ""
    try:
        compute()
    except EmbeddingCacheError as error:
        reason = str(error)
    reasons: list[Any] = [None] * processes
    dist.all_gather_object(reasons, reason)
    if any(reasons):
        raise EmbeddingCacheError(next(reason for reason in reasons if reason))
