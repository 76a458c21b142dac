"""One training of the infarction benchmark, and the time that all its attempts took."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from selfmis_plugin.benchmark.commands import Spent, train
from selfmis_plugin.benchmark.folder import read_json
from selfmis_plugin.benchmark.settings import SIZES, Settings
from selfmis_plugin.utils.files import write_json
from selfmis_plugin.utils.parallel import usable_cores

__all__ = ["train_timed"]


def train_timed(
    settings: Settings, run: Path, config: str, overrides: Mapping[str, object], name: str
) -> Spent:
    """Train; return the seconds of all attempts together, interrupted ones too."""
    log = settings.dest / "logs" / f"{name.replace('/', '-')}.log"
    threads = max(1, usable_cores() // settings.workers)
    file = run.parent / f"{run.name}-seconds.json"
    before = read_json(file) if file.exists() else {"seconds": 0.0}
    began = time.monotonic()
    spent = None
    try:
        spent = train(run, config + SIZES[settings.size], overrides, log, threads)
    finally:
        seconds = before["seconds"] + time.monotonic() - began
        # Of an attempt that was interrupted nobody knows the processor time.
        cpu = None if file.exists() or spent is None else spent.cpu_seconds
        write_json(file, {"seconds": seconds, "cpu_seconds": cpu})
    return Spent(seconds, spent.peak_memory, cpu)
