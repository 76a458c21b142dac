"""Strips a second of ``selfmis embed`` into a folder of parts, by the processes that compute."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfmis_plugin.benchmark.predict_speed import random_model
from selfmis_plugin.checkpoints.model_folder import write_model
from selfmis_plugin.data.filter_names import NO_FILTER
from selfmis_plugin.profiling.benchmark import BenchmarkError
from selfmis_plugin.profiling.process_tree import Spent, run_watched
from selfmis_plugin.profiling.shuffle_speed import write_single_lead_store

__all__ = ["TEN_MILLION", "PartsSpeed", "embed_in_parts_speeds"]

TEN_MILLION = 10_000_000
#: Of the strips, how many the run embeds from which the start of processes is known.
_FEWER = 4


@dataclass(frozen=True)
class PartsSpeed:
    """A whole command, and a shorter one beside it.

    Attributes
    ----------
    workers
        Processes that computed.
    seconds
        Of the command over all strips, from its start to its end.
    strips_per_s
        Of the strips that the longer command has more, by the seconds that it takes longer: without
        the start of processes.
    peak_memory
        The most bytes of all its processes together.
    """

    workers: int
    seconds: float
    strips_per_s: float
    peak_memory: int

    @property
    def days_for_ten_million(self) -> float:
        """Days that ten million strips take, projected."""
        return TEN_MILLION / self.strips_per_s / 86400


def embed_in_parts_speeds(
    config: str, strips: int, workers: Sequence[int], folder: Path
) -> Iterator[PartsSpeed]:
    """Embed noise of lead I, 10 s at 500 Hz, with an encoder of random weights.

    Parameters
    ----------
    config
        Encoder, a key of :data:`~selfmis_plugin.profiling.step_ways.CONFIGS`.
    strips
        How many, at least 4.
    workers
        Numbers of processes, one after the other.
    folder
        An empty one, for all files.

    Raises
    ------
    BenchmarkError
        If a command fails, or the strips are too few to be told from the start of processes.
    """
    write_model(random_model(config, NO_FILTER), folder / "model", "random weights")
    stores = {
        count: write_single_lead_store(folder / f"strips-{count}", count)
        for count in (strips // _FEWER, strips)
    }
    for count in workers:
        short, whole = (_embed(folder, store, count) for store in stores.values())
        longer = whole.seconds - short.seconds
        if longer <= 0:
            raise BenchmarkError(
                f"{strips} strips took no longer than {strips // _FEWER}: give more --strips"
            )
        rate = (strips - strips // _FEWER) / longer
        yield PartsSpeed(count, whole.seconds, rate, whole.peak_memory)


def _embed(folder: Path, store: Path, workers: int) -> Spent:
    parts = folder / "parts"
    shutil.rmtree(parts, ignore_errors=True)
    command = [sys.executable, "-m", "selfmis_plugin.cli.main", "embed"]
    command += ["--checkpoint", str(folder / "model"), "--data", str(store), "--split", "train"]
    command += ["--out", str(parts), "--workers", str(workers)]
    return run_watched(command, folder / "log.txt", dict(os.environ))
