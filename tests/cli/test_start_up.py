"""How much commands import before they do anything: modules are counted, since seconds differ.

What ``predict`` imports is counted in tests/checkpoints/test_any_model.py, where there are models.
"""

from __future__ import annotations

import json
import subprocess
import sys

from tests.support import environment

#: Whose import takes a tenth of a second or more.
HEAVY = {
    "hydra", "matplotlib", "numba", "omegaconf", "onnxruntime", "pandas", "pyarrow", "scipy",
    "sklearn", "soundfile", "torch", "wfdb",
}  # fmt: skip

HELP = [
    "", "prepare", "prepare ptbxl", "prepare ecg_files", "prepare recordings", "prepare synthetic",
    "prepare export", "prepare folds", "prepare fraction", "prepare view", "show", "evaluate",
    "benchmark", "benchmark mi", "embed", "predict", "serve", "export", "report", "doctor", "demo",
]  # fmt: skip

CALLS = """
import contextlib, io, json, sys
from selfmis_plugin.cli.main import main
status = []
with contextlib.redirect_stdout(io.StringIO()) as printed:
    for call in json.load(sys.stdin):
        try:
            status.append(main(call))
        except SystemExit as ended:
            status.append(ended.code)
json.dump([status, len(printed.getvalue()), sorted(sys.modules)], sys.stdout)
"""


def imported(*calls: list[str]) -> set[str]:
    """All modules that a process has after some commands."""
    done = subprocess.run(
        [sys.executable, "-c", CALLS], input=json.dumps(calls), env=environment(),
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    status, printed, modules = json.loads(done.stdout)
    assert not any(status) and printed > 100, done.stderr
    return set(modules)


def test_help_waits_for_nothing() -> None:
    modules = imported(*([*command.split(), "--help"] for command in HELP))
    assert not HEAVY & modules
    # NumPy alone is 190 of them.
    assert len(modules) < 700
