"""What the times of a step and of reading a record let one expect of whole epochs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from selfmis_plugin.profiling.epochs.plain import PlainRecords, listed
from selfmis_plugin.profiling.epochs.runs import Plan
from selfmis_plugin.profiling.preparation_speed import preparing
from selfmis_plugin.profiling.step_ways import Setting, Way
from selfmis_plugin.profiling.timing import compare, threads
from selfmis_plugin.utils.parallel import usable_cores

__all__ = ["Predicted", "predict"]

#: Records that the plain training reads in a turn, and that are prepared in one.
_READ, _PREPARED = 32, 256


@dataclass(frozen=True)
class Predicted:
    """Seconds that one ECG takes, by the piece of work, each measured alone.

    Attributes
    ----------
    plain_step, read
        Of the plain training: both encoders and the update, and reading a record in one process.
    step, embed, prepare
        Of ours: the update beside kept embeddings, the frozen encoder, and the preparation in one
        process.
    workers, cores, threads
        Processes that read for the plain training, cores, and threads that train.
    """

    plain_step: float
    read: float
    step: float
    embed: float
    prepare: float
    workers: int
    cores: int
    threads: int

    @property
    def plain_epoch(self) -> float:
        """Seconds an ECG of a plain epoch, in which reading and training overlap without loss: as
        long as the slower of them, and not less than the cores need for both."""
        busy = (self.read + self.threads * self.plain_step) / self.cores
        return max(self.plain_step, self.read / self.workers, busy)

    def ratio(self, epochs: int) -> float:
        """Return how many times as fast ours is to be, after *epochs*: the start of processes,
        what the host's trainer does around a step, and checkpoints are not in it."""
        ours = self.prepare / self.cores + self.embed + epochs * self.step
        return epochs * self.plain_epoch / ours


def predict(plan: Plan, rounds: int) -> Predicted:
    """Measure each piece of work alone, in turns.

    Parameters
    ----------
    plan
        What is trained.
    rounds
        Turns that are timed.
    """
    precision = "bf16" if plan.bfloat16 else "f32"
    samples = 10 * plan.rate
    paths = listed(plan.database)
    setting = Setting(plan.size, min(plan.batch, len(paths)), samples, "cpu", plan.threads)
    records = PlainRecords(paths[:_READ], plan.rate, plan.filtered)
    with threads(plan.threads):
        speeds = compare(
            {
                "plain_step": Way("cached_step", True, precision).build(setting),
                "step": Way("cached_step", False, precision).build(setting),
                "embed": Way("forward", False, precision).build(setting),
                "read": _reading(records),
                "prepare": preparing(
                    plan.database,
                    plan.work / "timed",
                    min(_PREPARED, len(paths)),
                    filter=plan.filter,
                ),
            },
            rounds=rounds,
        )
    shutil.rmtree(plan.work / "timed")
    seconds = {name: 1 / speed.median for name, speed in speeds.items()}
    return Predicted(**seconds, workers=plan.workers, cores=usable_cores(), threads=plan.threads)


def _reading(records: PlainRecords) -> Callable[[], int]:
    def read() -> int:
        for index in range(len(records)):
            records[index]
        return len(records)

    return read
