"""Run a function over many items on several processes."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol, TypeVar

from joblib.externals.loky import cpu_count, get_reusable_executor
from tqdm import tqdm

from selfmis_plugin.utils.threads import environment_of

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Items that a worker gets at once, so that handing them over costs little.
_LARGEST_CHUNK = 16
#: Chunks under way for every worker.
_AHEAD = 3


def usable_cores() -> int:
    """Return the number of cores that this process may use: those that it may run on, of these as
    many as its container pays for, and no more than LOKY_MAX_CPU_COUNT where that is set."""
    return int(cpu_count())


class Workers(Protocol):
    """Processes, here or elsewhere, that work on items."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the result for every item as soon as it is there, whatever their order.

        Items are read as needed, a few ahead. The first error ends everything.
        """
        ...


@dataclass(frozen=True)
class Processes:
    """Processes of this machine; one is the process itself.

    Attributes
    ----------
    count
        How many.

    Raises
    ------
    ValueError
        If there is less than one.
    """

    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"workers must be at least 1, not {self.count}")

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the result for every item as soon as it is there, whatever their order."""
        if self.count == 1:
            yield from map(function, items)
            return
        executor = get_reusable_executor(
            max_workers=self.count,
            initializer=_end_with,
            initargs=(os.getpid(),),
            env=environment_of(1),
        )
        done = False
        try:
            yield from as_completed(executor, function, items, lambda: 2 * self.count)
            done = True
        finally:
            # After an error or an interruption nobody wants the rest. Otherwise the next call may
            # use the same processes; when none comes they end by themselves.
            if not done:
                executor.shutdown(wait=True, kill_workers=True)


def _end_with(parent: int) -> None:
    """Leave it to the parent when this process ends: on Ctrl-C, and when the parent has died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def as_completed(
    executor: Executor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    ahead: Callable[[], int],
) -> Iterator[Result]:
    """Yield the results of an executor as they come, with no more than ``ahead()`` items in it."""
    source = iter(items)
    waiting: set[Future[Result]] = set()
    while True:
        room = max(0, ahead() - len(waiting))
        waiting |= {executor.submit(function, item) for item in itertools.islice(source, room)}
        if not waiting:
            return
        finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in finished:
            yield future.result()


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


def on_threads(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """Yield ``function(item)`` for every item, in the order of *items*, from threads of this
    process.

    It is for work that leaves Python's lock to others, as PyTorch's operators do. Items are read
    as needed, one more than there are threads.

    Parameters
    ----------
    function
        A function of one argument.
    items
        What to work on.
    threads
        Number of threads; 1 works in the caller's own.
    """
    if threads == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _on_processes(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, total: int
) -> Iterator[Result]:
    """Hand out chunks, never more than a few ahead of who takes the results.

    ``joblib.Parallel`` also yields in order, but it goes on working when its results are not
    taken: a slow disk would fill the memory with them.
    """
    size = max(1, min(_LARGEST_CHUNK, total // (4 * workers)))
    source = iter(items)
    executor = get_reusable_executor(max_workers=workers, env=environment_of(1))
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
