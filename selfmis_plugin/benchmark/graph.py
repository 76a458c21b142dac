"""Steps that wait for each other, several at a time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Protocol

__all__ = ["Here", "Places", "Pool", "Step", "reason", "run_steps", "with_needs"]

#: A step that took less did nothing: it was done already, and says nothing of the others.
_NOTHING = 0.2


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes
    ----------
    needs
        Names of the steps that must be done before.
    work
        Does the step. It mostly waits for a process, so threads are enough.
    kind
        What it does; steps of a kind take about as long as each other.
    makes
        The file that is there once it is done, if it makes one.
    """

    needs: Sequence[str]
    work: Callable[[], None]
    kind: str = ""
    makes: Path | None = None


class Pool(Protocol):
    """Takes steps, for as long as it is open."""

    @property
    def look_again(self) -> float | None:
        """Seconds after which there may be room for more; None: only once a step has ended."""
        ...

    def room(self) -> int:
        """Return how many steps may run at a time now, at least 1."""
        ...

    def submit(self, step: Step) -> Future[float]:
        """Begin a step; the result is the seconds that it took."""
        ...


class Places(Protocol):
    """Where steps run."""

    def opened(self) -> AbstractContextManager[Pool]:
        """Return what takes steps; at its end nothing runs any more."""
        ...


@dataclass(frozen=True)
class Here:
    """On this machine.

    Attributes
    ----------
    count
        Steps at a time.
    """

    count: int

    @contextmanager
    def opened(self) -> Iterator[Pool]:
        """Return what takes steps; it ends when all that it took have ended."""
        with ThreadPoolExecutor(max(1, self.count)) as threads:
            yield _Threads(threads, max(1, self.count))


@dataclass(frozen=True)
class _Threads:
    threads: ThreadPoolExecutor
    count: int
    look_again: float | None = None

    def room(self) -> int:
        return self.count

    def submit(self, step: Step) -> Future[float]:
        return self.threads.submit(_timed, step.work)


def with_needs(steps: Mapping[str, Step], wanted: Iterable[str]) -> dict[str, Step]:
    """Return the steps of the names *wanted* and all that they need, in the order of *steps*."""
    waiting = list(wanted)
    needed: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += steps[name].needs
    return {name: step for name, step in steps.items() if name in needed}


def reason(error: Exception) -> str:
    """Return what an error says; one that says nothing, such as of a bare ``assert``, by its
    name."""
    return str(error) or repr(error)


def run_steps(
    steps: Mapping[str, Step], places: Places, tell: Callable[[str], None] | None = None
) -> dict[str, Exception]:
    """Run steps, each as soon as what it needs is done; earlier ones first.

    A step that fails does not stop those that do not need it.

    Parameters
    ----------
    steps
        The steps by name, in the order in which they are to be started.
    places
        Where they run, and how many at a time.
    tell
        Called with a line after each step that took time: how many are done, and about how long
        the others will take.

    Returns
    -------
    dict
        What went wrong, by step. A step that waits for a failed one is not in it, and not run.

    Raises
    ------
    ValueError
        If a step needs one that is not there, or steps wait for each other in a circle.
    """
    unknown = {need for step in steps.values() for need in step.needs} - steps.keys()
    if unknown:
        raise ValueError(f"no step is called {', '.join(sorted(unknown))}")
    order = TopologicalSorter({name: step.needs for name, step in steps.items()})
    order.prepare()
    waiting = dict(steps)
    ready: set[str] = set()
    done = 0
    failed: dict[str, Exception] = {}
    running: dict[Future[float], str] = {}
    took: dict[str, list[float]] = {}
    if not steps:
        return failed
    with places.opened() as pool:
        while True:
            ready.update(order.get_ready())
            room = max(0, pool.room() - len(running))
            for name in [name for name in waiting if name in ready][:room]:
                running[pool.submit(waiting.pop(name))] = name
            if not running:
                return failed
            finished, _ = wait(running, pool.look_again, return_when=FIRST_COMPLETED)
            for future in finished:
                name = running.pop(future)
                try:
                    seconds = future.result()
                except Exception as error:  # the others go on; what needs it is never ready
                    failed[name] = error
                    continue
                order.done(name)
                done += 1
                if seconds >= _NOTHING:
                    took.setdefault(steps[name].kind, []).append(seconds)
                    if tell is not None:
                        left = [steps[other].kind for other in (*waiting, *running.values())]
                        tell(_progress(done, len(steps), left, took, pool.room()))


def _timed(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _progress(
    done: int, steps: int, left: Sequence[str], took: Mapping[str, Sequence[float]], workers: int
) -> str:
    """Say how far it is; a kind of which none is done is taken for a mean one."""
    means = {kind: statistics.mean(seconds) for kind, seconds in took.items()}
    usual = statistics.mean(means.values())
    seconds = sum(means.get(kind, usual) for kind in left) / max(1, workers)
    if not left:
        return f"[{done}/{steps}]"
    rest = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
    return f"[{done}/{steps}] about {rest} left"
