"""Run a function over many items on several processes, results in order."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Items that a worker gets at once, so that handing them over costs little.
_LARGEST_CHUNK = 16
#: Chunks under way for every worker.
_AHEAD = 3


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    total: int,
    description: str,
) -> Iterator[Result]:
    """Yield ``function(item)`` for every item, in the order of *items*, with a progress bar.

    Parameters
    ----------
    function
        A function of one argument that can be pickled.
    items
        What to work on. It is read as needed, so that memory stays flat.
    workers
        Number of processes; 1 works in this process.
    total
        Number of items, for the progress bar.
    description
        What the progress bar says.

    Raises
    ------
    ValueError
        If *workers* is less than 1.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    if workers == 1:
        results: Iterator[Result] = map(function, items)
    else:
        results = _on_processes(function, items, workers, total)
    yield from tqdm(results, total=total, desc=description, unit="", smoothing=0.05)


def _on_processes(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, total: int
) -> Iterator[Result]:
    """Hand out chunks, never more than a few ahead of who takes the results.

    ``joblib.Parallel`` also yields in order, but it goes on working when its results are not
    taken: a slow disk would fill the memory with them.
    """
    size = max(1, min(_LARGEST_CHUNK, total // (4 * workers)))
    source = iter(items)
    executor = get_reusable_executor(max_workers=workers)
    waiting: deque[Future[list[Result]]] = deque()
    done = False
    try:
        while True:
            while len(waiting) < _AHEAD * workers:
                chunk = list(itertools.islice(source, size))
                if not chunk:
                    break
                waiting.append(executor.submit(_apply, function, chunk))
            if not waiting:
                break
            yield from waiting.popleft().result()
        done = True
    finally:
        # After an error or an interruption nobody wants the rest. Otherwise the next call may use
        # the same processes; when none comes they end by themselves.
        if not done:
            executor.shutdown(wait=True, kill_workers=True)


def _apply(function: Callable[[Item], Result], chunk: list[Item]) -> list[Result]:
    return [function(item) for item in chunk]
