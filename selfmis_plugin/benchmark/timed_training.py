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
    """Train; return the seconds of all attempts together, interrupted ones too.

    Of an attempt that was killed with its process nobody knows how long it took, nor of any that
    did not end by itself the processor time: that is None then.
    """
    log = settings.dest / "logs" / f"{name.replace('/', '-')}.log"
    threads = max(1, usable_cores() // settings.workers)
    file = run.parent / f"{run.name}-seconds.json"
    again = file.exists()
    before = read_json(file) if again else {"seconds": 0.0}
    if not again:
        write_json(file, {**before, "cpu_seconds": None})
    began = time.monotonic()
    spent = None
    try:
        spent = train(run, config + SIZES[settings.size], overrides, log, threads)
    finally:
        seconds = before["seconds"] + time.monotonic() - began
        cpu = None if again or spent is None else spent.cpu_seconds
        write_json(file, {"seconds": seconds, "cpu_seconds": cpu})
    return Spent(seconds, spent.peak_memory, cpu)
