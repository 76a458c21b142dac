"""What all commands of ``selfmis`` have in common."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import environment


@pytest.mark.parametrize(
    "arguments", [["prepare", "synthetic", "cohort", "--records", "1"], ["doctor", "--json"]]
)
def test_a_reader_who_leaves_is_no_error_worth_a_traceback(
    arguments: list[str], tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "selfmis_plugin.cli.main", *arguments]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONUNBUFFERED="1" if "doctor" in arguments else ""),
    )
    os.close(writing)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
