"""What a process and all that it starts take: memory, processor time, bytes read."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from selfmis_plugin.profiling.benchmark import BenchmarkError

if sys.platform != "win32":
    import resource

_Number = TypeVar("_Number", int, float)

__all__ = ["Spent", "bytes_read", "peak_memory", "run_watched"]

_MEMORY_INTERVAL = 0.05
#: Of a command that takes minutes: looking costs some milliseconds, which are taken from it.
_COMMAND_INTERVAL = 0.5
#: Lines of its output that an error shows.
_SHOWN = 25
_IO = Path("/proc/self/io")


@dataclass(frozen=True)
class Spent:
    """What commands took, with all processes that they started.

    Attributes
    ----------
    seconds
        How long they ran.
    cpu_seconds
        Processor time, which grows little when the machine does other work; None on Windows.
    peak_memory
        The most bytes held at once; pages of files, which are the kernel's to drop, left out.
    read_by_calls
        Bytes that were asked for by ``read``, wherever they came from; what is read through a
        memory map is not in it. None where the system does not tell (only Linux does).
    read_from_disk
        Bytes that came from a disk, and not out of the kernel's cache. None as above.
    """

    seconds: float
    cpu_seconds: float | None
    peak_memory: int
    read_by_calls: int | None
    read_from_disk: int | None

    def then(self, other: Spent) -> Spent:
        """Return what this and, after it, another command took."""
        return Spent(
            self.seconds + other.seconds,
            _sum(self.cpu_seconds, other.cpu_seconds),
            max(self.peak_memory, other.peak_memory),
            _sum(self.read_by_calls, other.read_by_calls),
            _sum(self.read_from_disk, other.read_from_disk),
        )


def run_watched(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Spent:
    """Run a command to its end, with its output in *log*; return what it took.

    Parameters
    ----------
    command
        Its words.
    log
        File to write.
    environment
        Its whole environment.

    Raises
    ------
    BenchmarkError
        If its exit status is not 0; the message shows the end of its output.
    """
    before, cpu = bytes_read(), _cpu_of_children()
    start = time.perf_counter()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=dict(environment))
        try:
            with peak_memory(process.pid, _COMMAND_INTERVAL) as peak:
                status = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    seconds = time.perf_counter() - start
    if status != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN:]
        said = f"{shlex.join(command)} ended with status {status}, and said at last:"
        raise BenchmarkError("\n".join([said, *lines]))
    after = bytes_read()
    read = [None if b is None or a is None else a - b for b, a in zip(before, after, strict=True)]
    return Spent(seconds, _sum(_cpu_of_children(), None if cpu is None else -cpu), peak(), *read)


@contextlib.contextmanager
def peak_memory(
    pid: int | None = None, interval: float = _MEMORY_INTERVAL
) -> Iterator[Callable[[], int]]:
    """Watch a process and its children; the function given tells the most bytes so far.

    Pages of files are left out, since they are the kernel's to drop.

    Parameters
    ----------
    pid
        The process; this one by default.
    interval
        Seconds between two looks.
    """
    most = 0
    ended = threading.Event()
    process = psutil.Process(pid)

    def used() -> int:
        total = 0
        with contextlib.suppress(psutil.Error):
            for one in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    memory = one.memory_info()
                    total += memory.rss - getattr(memory, "shared", 0)
        return total

    def watch() -> None:
        nonlocal most
        while True:
            most = max(most, used())
            if ended.wait(interval):
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: most
    finally:
        ended.set()
        watcher.join()


def bytes_read() -> tuple[int | None, int | None]:
    """Return what this process and those that it has waited for have read: by calls, from disks."""
    try:
        text = _IO.read_text(encoding="ascii")
    except OSError:
        return None, None
    found = dict(line.split(": ") for line in text.splitlines())
    return int(found["rchar"]), int(found["read_bytes"])


def _cpu_of_children() -> float | None:
    if sys.platform == "win32":
        return None
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _sum(one: _Number | None, other: _Number | None) -> _Number | None:
    return None if one is None or other is None else one + other
