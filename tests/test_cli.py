"""What all commands of ``selfmis`` have in common."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import environment


@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        (["prepare", "synthetic", "cohort", "--records", "1"], ""),
        (["prepare", "synthetic", "cohort", "--records", "1"], "1"),
        (["show", "{store}", "--dpi", "30"], "1"),
        (["doctor", "--json"], "1"),
    ],
)
def test_a_reader_who_leaves_is_no_error_worth_a_word(
    arguments: list[str], unbuffered: str, store: Path, tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [
        sys.executable,
        "-m",
        "selfmis_plugin.cli.main",
        *(a.format(store=store) for a in arguments),
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONUNBUFFERED=unbuffered),
    )
    os.close(writing)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "Broken" not in done.stderr
