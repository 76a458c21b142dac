"""Says which step of a demo of how many begins, what it does, and how long it took."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from selfmis_plugin.benchmark.graph import Step

__all__ = ["Steps"]

#: A step that took less, in seconds, was done before.
_NOTHING = 0.2


class Steps:
    """Counts the steps of a demo on the terminal.

    Parameters
    ----------
    total
        How many there are.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._numbers = itertools.count(1)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Say that a step begins, and when it is done how long it took.

        Parameters
        ----------
        title
            What it does, in a few words, of which those before a colon are said again.
        """
        named = f"step {next(self._numbers)} of {self._total}"
        print(f"{named}: {title}", flush=True)
        began = time.monotonic()
        yield
        spent = time.monotonic() - began
        short = title.partition(":")[0]
        took = f"took {spent:.0f} s" if spent >= _NOTHING else "was done before"
        print(f"{named}: {short} {took}", flush=True)

    def telling(self, step: Step, title: str) -> Step:
        """Return a step that says when it begins and ends."""
        return Step(step.needs, self._told(step.work, title), step.kind)

    def _told(self, work: Callable[[], None], title: str) -> Callable[[], None]:
        def told() -> None:
            with self.step(title):
                work()

        return told
