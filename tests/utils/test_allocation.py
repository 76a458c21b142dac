"""Freed memory that is used again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Two arrays of 1 MiB, below what NumPy asks large pages for, freed and asked for again.
_PROGRAM = """
import resource
import numpy as np
from selfmis_plugin.utils.allocation import keep_freed_memory
kept = keep_freed_memory()
def step():
    one, other = np.ones(2**17), np.ones(2**17)
step(), step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment: str) -> tuple[str, int]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", _PROGRAM]
    done = subprocess.run(
        command, env={**plain, **environment}, capture_output=True, text=True, check=True
    )
    kept, count = done.stdout.split()
    return kept, int(count)


@pytest.mark.skipif(sys.platform != "linux", reason="of the GNU C library")
def test_pages_are_not_asked_for_again() -> None:
    kept, count = faults()
    if kept == "False":
        pytest.skip("another C library")
    assert count < 100
    # What the user has set stays: each of 20 steps asks for its 512 pages.
    assert faults(MALLOC_MMAP_THRESHOLD_="100000")[0] == "False"
    assert faults(MALLOC_MMAP_THRESHOLD_="100000")[1] > 5_000
