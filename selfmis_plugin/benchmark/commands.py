"""Commands that write a log, and trainings by the host's own command."""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from selfmis_plugin import toolkit
from selfmis_plugin.benchmark.warm import ForkedTraining, can_fork
from selfmis_plugin.methods.method import BEST, LAST
from selfmis_plugin.training.run_folder import CURVES
from selfmis_plugin.utils.threads import environment_of

_POLL_SECONDS = 0.2
#: Lines of a log that are shown.
_TAIL = 25
#: A place in a traceback, and the error below it.
_FRAME = re.compile(r'^ +File ".+", line \d+, in ')
_ERROR = re.compile(r"^[A-Za-z_][\w.]*(: |$)")
_OWN_WORDS = re.compile(r"^selfmis [a-z ]*[a-z]: ")
_PACKAGE = f"{os.sep}selfmis_plugin{os.sep}"


class Spent(NamedTuple):
    """What a command took: seconds, and where the system tells, the most bytes that its process
    held and the seconds of processor time, which do not grow when the machine is busy."""

    seconds: float
    peak_memory: int | None
    cpu_seconds: float | None = None


class CommandError(RuntimeError):
    """A command failed; the message names its log and shows the end of it."""


def best_checkpoint(run: Path) -> Path:
    """Return where a run keeps the checkpoint of its best validation."""
    return run / "checkpoints" / BEST


def last_checkpoint(run: Path) -> Path:
    """Return where a run keeps its last checkpoint."""
    return run / "checkpoints" / LAST


def train(
    run: Path, config: str, overrides: Mapping[str, object], log: Path, threads: int = 1
) -> Spent:
    """Train through the host's own command; a run that was stopped goes on.

    Parameters
    ----------
    run
        The run's folder.
    config
        Name of the YAML file.
    overrides
        Config keys and their values.
    log
        File that the output is added to.
    threads
        Threads that PyTorch may take, at most; what the user has set wins.

    Returns
    -------
    Spent
        What it took.

    Raises
    ------
    CommandError
        If it fails.
    """
    arguments = ["--config-name", config, f"hydra.run.dir={run}"]
    arguments += [f"{key}={_as_override(value)}" for key, value in overrides.items()]
    # 'selfmis train' is the same, for a host that must be adapted to this Python first.
    command = toolkit.own_command()
    words = _selfmis(["train"]) if command is None else [str(command)]
    start = functools.partial(ForkedTraining, arguments, log, threads) if can_fork() else None
    return run_logged([*words, *arguments], log, threads, start)


def run_selfmis(arguments: Sequence[str], log: Path, threads: int = 1) -> Spent:
    """Run a ``selfmis`` command in a process of its own; see :func:`run_logged`."""
    return run_logged(_selfmis(arguments), log, threads)


def _selfmis(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "selfmis_plugin.cli.main", *arguments]


def run_logged(
    command: Sequence[str],
    log: Path,
    threads: int = 1,
    start: Callable[[], ForkedTraining] | None = None,
) -> Spent:
    """Run a command with its output in *log*, and say on one line what it was and took.

    Parameters
    ----------
    command
        Its words.
    log
        File that its output is added to.
    threads
        Threads that it may take, at most.
    start
        Starts what does the same, sooner.

    Returns
    -------
    Spent
        What it took.

    Raises
    ------
    CommandError
        If its exit status is not 0. The first line of the message says why, as far as the log does;
        the end of the log follows, unless that is a refusal of this package's in words.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # What an earlier attempt has said is no word of this one's.
    before = log.stat().st_size if log.is_file() else 0
    print(f"$ {shlex.join(command)}", flush=True)
    began = time.monotonic()
    if start is not None:
        status, peak, cpu = _wait(start())
    else:
        with log.open("a", encoding="utf-8") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                env={CURVES: "0", **environment_of(threads)},
            )
            status, peak, cpu = _wait(process)
    seconds = time.monotonic() - began
    if status != 0:
        said = log.read_bytes()[before:].decode("utf-8", errors="replace").splitlines()
        failed = f"{log.stem} failed with status {status}; its log is {log}"
        why, ending = _why(said, status)
        raise CommandError("\n".join([failed if why is None else f"{failed}: {why}", *ending]))
    print(f"  {log.stem}: {seconds:.0f} s", flush=True)
    return Spent(seconds, peak, cpu)


def _why(said: Sequence[str], status: int) -> tuple[str | None, Sequence[str]]:
    """Return the words of the last error of a log, None where there is none, and what to show
    below them: nothing of a refusal that this package has raised on purpose, as what led there
    helps nobody."""
    ending = ["It ends:", *said[-_TAIL:]] if said else []
    frames = [k for k, line in enumerate(said) if _FRAME.match(line)]
    if status < 0:
        return None, ending  # killed: the last words are of something else
    if not frames:
        # Said without a traceback, by this package or by Hydra.
        for place, line in reversed([*enumerate(said)]):
            if own := _OWN_WORDS.match(line):
                return line[own.end() :], said[place + 1 :]
            if line.startswith("Error "):
                return line, ending
        return None, ending
    last = frames[-1]
    error = next((line for line in said[last + 1 :] if _ERROR.match(line)), None)
    if error is None:
        return None, ending
    name, _, words = error.partition(": ")
    if _PACKAGE in said[last] and said[last + 1].strip().startswith("raise ") and words:
        return words, []
    return f"{name.rpartition('.')[2]}{': ' if words else ''}{words}", ending


def _wait(
    process: subprocess.Popen[bytes] | ForkedTraining,
) -> tuple[int, int | None, float | None]:
    """Wait for a process; return its exit status, the most memory that it has held and its
    processor time, both as last seen.

    The figure that the system keeps for an ended process would do, if it did not count what the
    process that started it held at that moment.
    """
    peak, cpu = None, None
    while True:
        peak = _peak_memory(process.pid) or peak
        cpu = _cpu_seconds(process.pid) or cpu
        try:
            return process.wait(_POLL_SECONDS), peak, cpu
        except subprocess.TimeoutExpired:
            continue
        except BaseException:
            process.kill()
            process.wait()
            raise


def _peak_memory(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None  # it has ended, or this is not Linux
    found = re.search(r"^VmHWM:\s+(\d+) kB$", lines, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def _cpu_seconds(pid: int) -> float | None:
    """Return the processor time of a process and of those that it has started and outlived."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # After the name, which may hold anything: utime, stime, cutime, cstime.
    ticks = text.rpartition(")")[2].split()[11:15]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def _as_override(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_as_override, value)) + "]"
    return str(value)
