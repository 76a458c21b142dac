"""Values of records, computed once by all processes together and read from disk from then on."""

from __future__ import annotations

import itertools
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch.distributed as dist

from selfmis_plugin.training.embedding_cache import EmbeddingCache, EmbeddingCacheError

__all__ = ["Compute", "Words", "fullest", "keep"]

logger = logging.getLogger(__name__)

_PROGRESS_SECONDS = 60.0
_T = TypeVar("_T")

#: From a cache and numbers of its records to their values, a batch of the cache at a time.
Compute = Callable[[EmbeddingCache, np.ndarray], Iterator[np.ndarray]]


@dataclass(frozen=True)
class Words:
    """What messages say of the values.

    Attributes
    ----------
    what
        What they are, in the plural.
    when_full, when_refused, when_failed
        What to do where the disk has too little room, no folder can be written, or writing fails.
    """

    what: str
    when_full: str
    when_refused: str
    when_failed: str


def keep(
    places: Sequence[Path],
    cache_in: Callable[[Path], EmbeddingCache],
    compute: Compute,
    words: Words,
) -> tuple[EmbeddingCache, int]:
    """Return a cache of all records' values, after computing those that are missing.

    Every process of a run must call this. The first one looks at what is there and says what is
    missing; all compute their share.

    Parameters
    ----------
    places
        Folders of caches, the first that can be written is taken.
    cache_in
        Returns the cache in one of them; called on the first process alone.
    compute
        Computes values.
    words
        For messages.

    Returns
    -------
    cache : EmbeddingCache
        The whole cache.
    computed : int
        Number of its files that were missing.

    Raises
    ------
    EmbeddingCacheError
        On every process, if the cache cannot be written.
    """
    cache, missing = _on_first(lambda: _choose_folder(places, cache_in, words))
    if missing:
        _on_all(lambda: _write_share(cache, missing, compute, words))
    # Opened here and not by a loader's worker, so that what is wrong is said.
    _on_all(lambda: cache.read([0]))
    return cache, len(missing)


def fullest(
    places: Sequence[Path], cache_in: Callable[[Path], EmbeddingCache]
) -> tuple[EmbeddingCache, int]:
    """Return the cache of which the fewest files are missing, and how many; nothing is computed.

    Every process of a run must call this.

    Parameters
    ----------
    places
        Folders of caches, at least one.
    cache_in
        Returns the cache in one of them; called on the first process alone.
    """

    def look() -> tuple[EmbeddingCache, int]:
        found = []
        for cache in map(cache_in, places):
            found.append((cache, len(cache.missing())))
            if not found[-1][1]:
                break
        return min(found, key=lambda cache_and_missing: cache_and_missing[1])

    return _on_first(look)


def _choose_folder(
    places: Sequence[Path], cache_in: Callable[[Path], EmbeddingCache], words: Words
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
            logger.warning("%s: %s are kept in %s", "; ".join(reasons), words.what, place)
        cache.remove_leftovers()
        needed = cache.nbytes * len(missing) // cache.files
        free = shutil.disk_usage(cache.path).free
        if needed > free:
            raise EmbeddingCacheError(
                f"{place}: {words.what} of {cache.records} records take {needed / 1e9:.2f} GB, and "
                f"{free / 1e9:.2f} GB are free. {words.when_full}"
            )
        return cache, missing
    raise EmbeddingCacheError(
        f"no folder to keep {words.what} in: {'; '.join(reasons)}. {words.when_refused}"
    )


def _write_share(cache: EmbeddingCache, missing: list[int], compute: Compute, words: Words) -> None:
    """Write this process's share of the missing files."""
    rank, processes = _world()
    share = missing[rank::processes]
    if not share:
        return
    indices = np.concatenate([np.arange(*cache.bounds(number)) for number in share])
    logger.info(
        "computing %s of %d records (this process: %d), once; they are kept in %s",
        words.what,
        sum(stop - start for start, stop in map(cache.bounds, missing)),
        len(indices),
        cache.path,
    )
    began = said = time.monotonic()
    done = 0
    size = cache.batch_size
    # A file holds whole batches, but for the last one of all.
    batches = compute(cache, indices)
    for number in share:
        start, stop = cache.bounds(number)
        values = np.concatenate(list(itertools.islice(batches, -(-(stop - start) // size))))
        try:
            cache.write(number, values)
        except EmbeddingCacheError as error:
            raise EmbeddingCacheError(f"{error}. {words.when_failed}") from error
        done += stop - start
        now = time.monotonic()
        if now - said > _PROGRESS_SECONDS:
            said = now
            logger.info(
                "%s of %d of %d records (%.0f/s)",
                *(words.what, done, len(indices), done / (now - began)),
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
