"""A Dask scheduler and workers, in processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def _dask(program: str, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{program}", *arguments, "--no-dashboard"],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@contextlib.contextmanager
def worker(
    address: str, folder: Path, nanny: bool = False, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of one thread; without a nanny what kills it kills it for good."""
    process = _dask(
        "worker", address, "--nanny" if nanny else "--no-nanny", "--nthreads", "1",
        "--local-directory", str(folder), **variables,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def scheduler(folder: Path) -> Iterator[str]:
    """The address of a scheduler without workers."""
    facts = folder / "facts.json"
    process = _dask(
        "scheduler", "--port", "0", "--host", "127.0.0.1", "--scheduler-file", str(facts)
    )
    try:
        deadline = time.monotonic() + 120
        while not facts.exists() or not facts.read_text():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        yield json.loads(facts.read_text())["address"]
    finally:
        process.kill()
        process.wait()
