"""Commands of the host in processes that have imported it already.

A process that only trains a linear probe spends more time on imports than on training. So one
process imports the host, before any thread starts in it, and each training is forked from that
one: a process of its own all the same, which takes nobody with it when it fails.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from selfmis_plugin import toolkit
from selfmis_plugin.training.run_folder import CURVES
from selfmis_plugin.utils.threads import environment_of

__all__ = ["ForkedTraining", "can_fork"]

_HOST = "selfmis_plugin.benchmark.warm_host"
#: Asking the driver how many GPUs there are must not begin to use one, which a fork cannot go on
#: with; and neither NumPy's matrix library nor Arrow's memory pool must start threads.
_BEFORE_FORK = {
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
_starting = threading.Lock()


def can_fork() -> bool:
    """Whether trainings can be forked here: elsewhere libraries do not survive it."""
    return sys.platform == "linux"


class ForkedTraining:
    """``selfmis train`` in a process forked from one which has imported the host; it runs.

    Parameters
    ----------
    arguments
        As on the command line.
    log
        File that its output is added to.
    threads
        Threads that it may take, at most.
    """

    def __init__(self, arguments: Sequence[str], log: Path, threads: int) -> None:
        context = multiprocessing.get_context("forkserver")
        # Not a daemon: the host may start processes, which read data or use further GPUs.
        self._process = context.Process(
            target=_train, args=(list(arguments), str(log), str(Path.cwd())), daemon=False
        )
        with _starting, _environment({**_BEFORE_FORK, **environment_of(threads)}):
            context.set_forkserver_preload([_HOST])
            self._process.start()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return int(self._process.pid or 0)

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit status, as :meth:`subprocess.Popen.wait` does."""
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            raise subprocess.TimeoutExpired("selfmis train", timeout or 0.0)
        return status

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Let processes that start meanwhile have *values*; the forking one keeps them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        # One by one: other threads read the others meanwhile.
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _end_with_parent() -> None:
    """Let this process end when the one that has ordered it is gone, however that came.

    The process that it was forked from is no sign of it: that one stays as long as its forks do.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _train(arguments: list[str], log: str, folder: str) -> None:
    """Train in a process that was forked for it; what it says goes to *log*."""
    sys.stdout.flush()
    sys.stderr.flush()
    with open(log, "ab", buffering=0) as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    _end_with_parent()
    os.chdir(folder)
    os.environ.setdefault(CURVES, "0")
    try:
        toolkit.run_command_line(["selfmis train", *arguments])
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        raise SystemExit(1) from None
