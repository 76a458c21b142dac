"""The program in which a cluster's worker runs steps: ``python -m ... FD``.

A worker may be a daemon, which must not have processes of its own, and it may be killed at any
moment. So it starts this program, which forks trainings as one machine does, and which ends
with all of them as soon as the worker is gone: nothing goes on writing into a folder that another
worker has taken over.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from selfmis_plugin._version import __version__
from selfmis_plugin.benchmark.step_messages import Request, StepAnswer

__all__ = ["main"]

_fit: set[bytes] = set()


def main(descriptor: int) -> None:
    """Answer the requests that come from a socket, one after the other, until it is closed."""
    os.set_inheritable(descriptor, False)
    connection = Connection(descriptor)
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_work, args=(connection, requests), daemon=True).start()
    while True:
        try:
            requests.put(connection.recv_bytes())
        except (EOFError, OSError):
            # Itself, the process that forks, the trainings, and what these have started.
            os.killpg(os.getpgid(0), signal.SIGKILL)


def _work(connection: Connection, requests: queue.SimpleQueue[bytes]) -> None:
    while True:
        answer = _answer(pickle.loads(requests.get()))
        with contextlib.suppress(OSError):  # the worker has gone: the other thread ends it all
            connection.send_bytes(pickle.dumps(answer))


def _answer(request: Request) -> StepAnswer:
    said = io.StringIO()
    try:
        # The version first: of another one nothing else may be readable.
        if request.version != __version__:
            return StepAnswer(
                unfit=f"has selfmis-plugin {__version__}, and here it is {request.version}"
            )
        with contextlib.redirect_stdout(said):
            if (problem := _problem(request.site)) is not None:
                return StepAnswer(unfit=problem)
            began = time.monotonic()
            if request.work is not None:
                with contextlib.suppress(OSError):
                    os.chdir(request.folder)  # where there is one, paths are relative to it
                work: Callable[[], None] = pickle.loads(request.work)
                work()
        return StepAnswer(said=said.getvalue(), seconds=time.monotonic() - began)
    except Exception as error:  # whatever it is, it is said where the benchmark was begun
        return StepAnswer(said=said.getvalue(), error=str(error) or repr(error))


def _problem(site: bytes) -> str | None:
    if site in _fit:
        return None
    problem: str | None = pickle.loads(site).problem()
    if problem is None:
        _fit.add(site)
    return problem


if __name__ == "__main__":
    main(int(sys.argv[1]))
