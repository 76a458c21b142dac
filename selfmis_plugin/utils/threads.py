"""How many threads the processes take that this package starts, and what the user has said."""

from __future__ import annotations

import os

__all__ = ["environment_of", "most_threads", "said_by_user", "sleep_while_waiting"]

#: Set for the processes that this package starts: the threads that each may take, at most. It is
#: not OMP_NUM_THREADS, which is the user's word: a small network is to take fewer.
MOST = "SELFMIS_MOST_THREADS"
#: How a user sets them; torch reads both.
_BY_USER = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
#: A thread that waits for others sleeps: on a busy machine a spinning one keeps them from working.
_SLEEP = {"OMP_WAIT_POLICY": "PASSIVE"}


def said_by_user() -> bool:
    """Whether the user has set the number of threads."""
    return any(os.environ.get(name) for name in _BY_USER)


def most_threads() -> int | None:
    """Return the threads that this process may take; None where nobody has said it."""
    text = os.environ.get(MOST, "")
    return int(text) if text.isdecimal() and int(text) > 0 else None


def environment_of(threads: int) -> dict[str, str]:
    """Return the environment of a process that may take *threads* threads.

    What the user has set stays: the number of threads, and how they wait.
    """
    if said_by_user():
        return {**_SLEEP, **os.environ}
    # One is one, also for NumPy; of several, the process may find that fewer suit it.
    count = {"OMP_NUM_THREADS": "1"} if threads == 1 else {MOST: str(threads)}
    return {**_SLEEP, **os.environ, **count}


def sleep_while_waiting() -> None:
    """Let the threads of this process sleep while they wait, unless the user has said how they
    wait; to be called before the library that has the threads is imported."""
    for name, value in _SLEEP.items():
        os.environ.setdefault(name, value)
