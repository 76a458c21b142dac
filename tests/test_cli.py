"""What all commands of ``selfmis`` have in common."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support import environment


def test_a_reader_who_leaves_is_no_error_worth_a_traceback(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "selfmis_plugin.cli.main", "prepare", "synthetic"]
    done = subprocess.run(
        [*command, str(tmp_path / "cohort"), "--records", "1"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONUNBUFFERED=""),
    )
    os.close(writing)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
