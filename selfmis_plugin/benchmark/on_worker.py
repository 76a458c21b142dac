"""What a Dask worker does for a benchmark: it hands steps to a process of its own.

It imports nothing that computes, as the worker itself computes nothing.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import Pipe
from typing import Any

from distributed import get_worker

from selfmis_plugin.benchmark.step_messages import StepAnswer
from selfmis_plugin.utils.threads import environment_of

__all__ = ["run_on_worker"]

_PROGRAM = "selfmis_plugin.benchmark.step_process"
_POLL_SECONDS = 0.5
#: What a nanny sets to 1 for its worker, whatever the number of its threads.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_alone = threading.Lock()


def run_on_worker(request: bytes) -> bytes:
    """Run a step in the process for steps of the Dask worker in which this is called.

    One runs at a time. Once nobody waits for it any more, the step is ended at once.

    Parameters
    ----------
    request
        A pickled :class:`~selfmis_plugin.benchmark.step_messages.Request`.

    Returns
    -------
    bytes
        A pickled :class:`~selfmis_plugin.benchmark.step_messages.StepAnswer`.
    """
    worker = get_worker()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state in ("executing", "long-running")

    with _alone:
        process = _Process.of(worker)
        try:
            answer = process.ask(request, is_wanted)
        except (EOFError, OSError):
            status = process.end()
            answer = StepAnswer(error=f"its process ended with status {status}: enough memory?")
        return pickle.dumps(replace(answer, machine=socket.gethostname()))


class _Process:
    """A process for steps, and what it has started; it ends with the worker."""

    _current: _Process | None = None

    @classmethod
    def of(cls, worker: Any) -> _Process:
        """Return the worker's; it is started where there is none."""
        if cls._current is None:
            cls._current = cls(_environment(worker))
        return cls._current

    def __init__(self, environment: dict[str, str]) -> None:
        self._connection, theirs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", _PROGRAM, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            env=environment,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        atexit.register(self.end)

    def ask(self, request: bytes, is_wanted: Callable[[], bool]) -> StepAnswer:
        """Return the answer; raises EOFError or OSError if it ended instead."""
        self._connection.send_bytes(request)
        while not self._connection.poll(_POLL_SECONDS):
            if not is_wanted():
                self.end()
                return StepAnswer(error="nobody waits for it any more")
        answer: StepAnswer = pickle.loads(self._connection.recv_bytes())
        return answer

    def end(self) -> int:
        """End it and all that it has started at once; return its exit status."""
        atexit.unregister(self.end)
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._connection.close()
        type(self)._current = None
        return self._process.wait()


def _environment(worker: Any) -> dict[str, str]:
    """Return the worker's environment, with as many threads as the worker has been given."""
    threads = max(1, int(worker.state.nthreads))
    values = environment_of(1) if threads == 1 else dict(os.environ)
    if threads > 1 and getattr(worker, "nanny", None) is not None:
        for name in _THREADS:
            if values.get(name) == "1":
                del values[name]
    most = values.get("LOKY_MAX_CPU_COUNT", "")
    values["LOKY_MAX_CPU_COUNT"] = str(min(threads, int(most)) if most.isdecimal() else threads)
    return values
