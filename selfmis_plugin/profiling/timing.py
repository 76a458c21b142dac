"""Speeds compared in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Speed:
    """Items a second of one way of doing something.

    Attributes
    ----------
    rounds
        Items a second in each round, in order.
    """

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median over the rounds."""
        return statistics.median(self.rounds)

    @property
    def spread(self) -> tuple[float, float]:
        """Slowest and fastest round."""
        return min(self.rounds), max(self.rounds)


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Let PyTorch take *count* threads, or as many as it does by itself, until the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def compare(
    ways: Mapping[str, Callable[[], int]],
    rounds: int = 5,
    warm_up: int = 1,
    synchronise: Callable[[], None] = lambda: None,
) -> dict[str, Speed]:
    """Time several ways of doing one thing, in turns, so that a machine's noise meets all alike.

    Parameters
    ----------
    ways
        Name and function; a function does the work once and returns the number of items done.
    rounds
        Turns that are timed.
    warm_up
        Turns before them that are not.
    synchronise
        Waits for a device that works on its own, such as ``torch.cuda.synchronize``.

    Returns
    -------
    dict
        Speed by name.
    """
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warm_up + rounds):
        for name, work in ways.items():
            synchronise()
            start = time.perf_counter()
            items = work()
            synchronise()
            if turn >= warm_up:
                speeds[name].append(items / (time.perf_counter() - start))
    return {name: Speed(tuple(values)) for name, values in speeds.items()}


def ratio(speeds: Mapping[str, Speed], way: str, reference: str) -> float:
    """Return how many times as fast *way* is as *reference*: the median of the turns' ratios."""
    pairs = zip(speeds[way].rounds, speeds[reference].rounds, strict=True)
    return statistics.median(one / other for one, other in pairs)
