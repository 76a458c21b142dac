"""A program: commands on a full disk; each must say so in one line, and leave nothing behind.

``python -m tests.full_disk FOLDER BYTES CASE ...`` runs commands of :mod:`tests.killed_commands` in
processes that may write no file of more than so many bytes, which stands in for a full disk.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from pathlib import Path

from selfmis_plugin.cli.main import main as selfmis
from tests.kill_points import in_child
from tests.killed_commands import CASES, Case, content, hidden


def said(arguments: list[str], limit: int) -> tuple[int, str]:
    """Run a command under a limit; return its status and what it says of errors."""
    reading, writing = os.pipe()  # which has no limit

    def limited() -> None:
        os.close(reading)
        os.dup2(writing, 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        raise SystemExit(selfmis(arguments))

    status = in_child(limited)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as errors:
        return os.waitstatus_to_exitcode(status), errors.read()


def main(case: Case, folder: Path, limit: int) -> None:
    """Try one command."""
    inputs, work = folder / "inputs", folder / "work"
    inputs.mkdir(parents=True)
    work.mkdir()
    os.chdir(folder)
    case.inputs(inputs)
    case.old(inputs, work)
    old = content(work)
    status, errors = said(case.arguments(inputs, work), limit)
    assert status == 1, (status, errors)
    assert "Traceback" not in errors, errors
    # A benchmark says it of each of its cells, and then that what is done stays done.
    lines = [line for line in errors.splitlines() if line.strip()]
    said_so = [line for line in lines if "File too large" in line]
    last = said_so[-1] if said_so else ""
    assert "ulimit -f" in last and str(work) in last, errors
    assert len(lines) == len(said_so) or lines[-1].startswith("What is done stays done"), errors
    assert case.goes_on or content(work) == old, sorted(content(work))
    # A database goes on from its parts.
    left = [path for path in hidden(work) if ".parts" not in path and ".hydra" not in path]
    assert not left, left
    print(last, file=sys.stderr)


if __name__ == "__main__":
    tempfile.tempdir = sys.argv[1]
    for name in sys.argv[3:]:
        main(CASES[name], Path(sys.argv[1]).absolute() / name.replace(" ", "-"), int(sys.argv[2]))
