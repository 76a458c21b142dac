"""Steps that wait for each other, several at a time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter

__all__ = ["Step", "run_steps", "with_needs"]

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
    """

    needs: Sequence[str]
    work: Callable[[], None]
    kind: str = ""


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


def run_steps(
    steps: Mapping[str, Step], workers: int, tell: Callable[[str], None] | None = None
) -> dict[str, Exception]:
    """Run steps, each as soon as what it needs is done; earlier ones first.

    A step that fails does not stop those that do not need it.

    Parameters
    ----------
    steps
        The steps by name, in the order in which they are to be started.
    workers
        Steps that run at a time.
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
    with ThreadPoolExecutor(max(1, workers)) as pool:
        while True:
            ready.update(order.get_ready())
            for name in [name for name in waiting if name in ready][: workers - len(running)]:
                running[pool.submit(_timed, waiting.pop(name).work)] = name
            if not running:
                return failed
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
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
                        tell(_progress(done, len(steps), left, took, workers))


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
