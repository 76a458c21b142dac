"""Steps that wait for each other, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes
    ----------
    needs
        Names of the steps that must be done before.
    work
        Does the step. It mostly waits for a process, so threads are enough.
    """

    needs: Sequence[str]
    work: Callable[[], None]


def run_steps(steps: Mapping[str, Step], workers: int) -> dict[str, Exception]:
    """Run steps, each as soon as what it needs is done; earlier ones first.

    A step that fails does not stop those that do not need it.

    Parameters
    ----------
    steps
        The steps by name, in the order in which they are to be started.
    workers
        Steps that run at a time.

    Returns
    -------
    dict
        What went wrong, by step. A step that waits for a failed one is not in it, and not run.

    Raises
    ------
    ValueError
        If a step needs one that is not there.
    """
    unknown = {need for step in steps.values() for need in step.needs} - steps.keys()
    if unknown:
        raise ValueError(f"no step is called {', '.join(sorted(unknown))}")
    waiting = dict(steps)
    done: set[str] = set()
    failed: dict[str, Exception] = {}
    running: dict[Future[None], str] = {}
    with ThreadPoolExecutor(max(1, workers)) as pool:
        while True:
            ready = [name for name, step in waiting.items() if done.issuperset(step.needs)]
            for name in ready[: workers - len(running)]:
                running[pool.submit(waiting.pop(name).work)] = name
            if not running:
                return failed
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                name = running.pop(future)
                try:
                    future.result()
                    done.add(name)
                except Exception as error:  # the others go on, and the caller is told
                    failed[name] = error
