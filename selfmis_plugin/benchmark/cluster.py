"""Steps of a benchmark on the workers of a Dask cluster that is there already.

Imported only where one is asked for. Each worker has one step at a time, whatever the number of its
threads, and a step whose worker is lost goes on elsewhere from where its folder is: only what that
worker did since its last checkpoint is lost.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
from distributed import Client, KilledWorker
from distributed.comm import CommClosedError

from selfmis_plugin._version import __version__
from selfmis_plugin.benchmark.commands import CommandError
from selfmis_plugin.benchmark.graph import Pool, Step
from selfmis_plugin.benchmark.on_worker import run_on_worker
from selfmis_plugin.benchmark.settings import InfarctionError
from selfmis_plugin.benchmark.site import site_of
from selfmis_plugin.benchmark.step_messages import Request, StepAnswer
from selfmis_plugin.preparation.cluster import connect, lacks_module
from selfmis_plugin.utils.files import make_folder

__all__ = ["DaskPlaces"]

#: Workers that a step may lose before it is given up.
_LOSSES = 3
#: Steps at a time, at most.
_MOST = 1024
_POLL_SECONDS = 1.0
#: Seconds in which workers say whether they see what they must; who is busy says it later.
_ASKED_SECONDS = 60.0
#: Seconds after which a network file system shows what another machine has written.
_SHOWN_SECONDS = 90.0


@dataclass(frozen=True)
class DaskPlaces:
    """The workers of a Dask cluster.

    Attributes
    ----------
    address
        The scheduler's, such as ``tcp://node7:8786``.
    dest
        The benchmark's folder, which all workers must see.
    data
        Folders of records, which they must see too.
    files
        Further files that trainings read.
    timeout
        Seconds to wait for the scheduler.
    """

    address: str
    dest: Path
    data: Sequence[Path] = ()
    files: Sequence[Path] = ()
    timeout: float = 30.0

    @contextmanager
    def opened(self) -> Iterator[Pool]:
        """Return what takes steps.

        At its end, and where this process dies, workers end what they run for it.

        Raises
        ------
        StoppedError
            If the scheduler cannot be reached.
        InfarctionError
            If a worker cannot take part: it has another version, or does not see a folder.
        """
        make_folder(self.dest)
        client = connect(self.address, self.timeout)
        try:
            with tempfile.NamedTemporaryFile(dir=self.dest, prefix=".seen-by-workers-") as marker:
                site = site_of(Path(marker.name), self.data, self.files)
                pool = _DaskPool(client, self.address, cloudpickle.dumps(site))
                try:
                    pool.ask_all()
                    yield pool
                finally:
                    pool.stop()
        finally:
            client.close()


class _DaskPool:
    """Steps on the workers, one each; every step has a thread here that waits for it."""

    look_again: float | None = 2.0

    def __init__(self, client: Client, address: str, site: bytes) -> None:
        self._client = client
        self._address = address
        self._site = site
        self._threads = ThreadPoolExecutor(_MOST)
        self._stopped = threading.Event()
        self._changed = threading.Condition()
        self._there: frozenset[str] = frozenset()
        self._looked = 0.0
        self._busy: set[str] = set()
        self._unfit: dict[str, str] = {}
        self._is_waiting = False

    def room(self) -> int:
        """Return how many workers can take steps, at least 1: a step waits for the first one."""
        with suppress(InfarctionError):  # a step will say it
            self._look()
        return max(1, len(self._there - self._unfit.keys()))

    def submit(self, step: Step) -> Future[float]:
        """Begin a step as soon as a worker is free."""
        return self._threads.submit(self._run, step)

    def ask_all(self) -> None:
        """Ask the workers that are there whether they can take part.

        Raises
        ------
        InfarctionError
            If one cannot.
        """
        workers = sorted(self._look())
        if not workers:
            return
        print(f"{self._address}: {len(workers)} workers, one training each", flush=True)
        until = time.monotonic() + _ASKED_SECONDS
        asked = [self._threads.submit(self._ask, worker, None, until) for worker in workers]
        for worker, future in zip(workers, asked, strict=True):
            answer = future.result()
            if answer is not None:
                self._judge(worker, answer)
                if answer.error is not None:
                    raise InfarctionError(f"worker {worker}: {answer.error}")
        if self._unfit:
            raise InfarctionError(self._unfit_words())

    def stop(self) -> None:
        """Give up what is under way: who works on it ends it."""
        self._stopped.set()
        self._client.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _run(self, step: Step) -> float:
        if step.makes is not None and step.makes.is_file():
            return 0.0
        work = cloudpickle.dumps(step.work)
        lost = 0
        while True:
            worker = self._take()
            try:
                answer = self._ask(worker, work)
            finally:
                self._give_back(worker)
            if answer is None:
                lost += 1
                name = "a step" if step.makes is None else step.makes.parent
                if lost == _LOSSES:
                    raise CommandError(
                        f"{name}: {lost} workers were lost over it; do they have enough memory? "
                        f"(the last: {worker})"
                    )
                print(f"worker {worker} was lost: {name} goes on elsewhere", flush=True)
                continue
            if self._judge(worker, answer):
                print(self._unfit[worker], flush=True)
                continue
            print(answer.said, end="", flush=True)
            if answer.error is not None:
                raise CommandError(f"{answer.error}\n(worker {worker}, {answer.machine})")
            if step.makes is not None:
                self._wait_for(step.makes, worker)
            return answer.seconds

    def _take(self) -> str:
        """Return a free worker, which is busy then; wait for one."""
        while True:
            there = self._look()
            with self._changed:
                free = sorted(there - self._busy - self._unfit.keys())
                if free:
                    self._is_waiting = False
                    self._busy.add(free[0])
                    return free[0]
                if there and there <= self._unfit.keys():
                    raise InfarctionError(self._unfit_words())
                if not there and not self._is_waiting:
                    self._is_waiting = True
                    print(f"{self._address}: no worker is there; waiting for one", flush=True)
                self._changed.wait(_POLL_SECONDS)

    def _give_back(self, worker: str) -> None:
        with self._changed:
            self._busy.discard(worker)
            self._changed.notify_all()

    def _look(self) -> frozenset[str]:
        """Return the workers that are there, as the scheduler said within the last second.

        Raises
        ------
        InfarctionError
            If it is gone, or all was given up.
        """
        with self._changed:
            if self._stopped.is_set():
                raise InfarctionError("interrupted")
            if time.monotonic() - self._looked >= _POLL_SECONDS:
                try:
                    self._there = frozenset(self._client.nthreads())
                except (OSError, CommClosedError, CancelledError, RuntimeError) as error:
                    raise InfarctionError(self._gone(error)) from error
                self._looked = time.monotonic()
            return self._there

    def _ask(
        self, worker: str, work: bytes | None, until: float | None = None
    ) -> StepAnswer | None:
        """Return what a worker answers; None where it was lost, or does not by a moment.

        Raises
        ------
        InfarctionError
            If the scheduler is gone, or all was given up.
        CommandError
            If the plugin is not installed there.
        """
        request = Request(__version__, self._site, work, os.getcwd())
        future: Any = self._client.submit(
            run_on_worker,
            pickle.dumps(request),
            workers=[worker],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        try:
            while not done.wait(_POLL_SECONDS):
                if worker not in self._look() or (until and time.monotonic() > until):
                    return None
            answer: StepAnswer = pickle.loads(future.result())
        except KilledWorker:
            return None
        except (CancelledError, CommClosedError) as error:
            raise InfarctionError(self._gone(error)) from error
        except ModuleNotFoundError as error:
            raise CommandError(lacks_module(self._address, error)) from error
        finally:
            future.release()
        return answer

    def _judge(self, worker: str, answer: StepAnswer) -> bool:
        """Note whether a worker cannot take part; return it."""
        if answer.unfit is None:
            return False
        words = f"worker {worker} ({answer.machine}) {answer.unfit}"
        with self._changed:
            self._unfit[worker] = words
        return True

    def _unfit_words(self) -> str:
        return f"--scheduler {self._address}: " + "\n".join(self._unfit.values())

    def _gone(self, error: BaseException) -> str:
        return (
            f"--scheduler {self._address}: the scheduler went away ({error}). What is done stays "
            "done: the same command goes on"
        )

    def _wait_for(self, file: Path, worker: str) -> None:
        """Wait until a file that another machine has written is seen here."""
        until = time.monotonic() + _SHOWN_SECONDS
        while not file.is_file():
            if time.monotonic() > until:
                raise CommandError(
                    f"worker {worker} has finished {file}, which is not seen here: do both share "
                    "the folder under this path?"
                )
            # A network file system looks anew at a folder that is opened.
            with suppress(OSError):
                os.listdir(file.parent)
            if not file.is_file():
                time.sleep(_POLL_SECONDS)
