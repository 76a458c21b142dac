"""Both trainings side by side: how many times as fast ours is after some epochs."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from selfmis_plugin.profiling.epochs.predicted import Predicted, predict
from selfmis_plugin.profiling.epochs.runs import Plan, Run, run_ours, run_plain

__all__ = ["Comparison", "compare_per_ecg", "compare_whole"]

#: Told the side and the run.
Say = Callable[[str, Run], None]

#: Turns in which the pieces of work are measured alone.
_ROUNDS = 3


@dataclass(frozen=True)
class Comparison:
    """What both sides took.

    Attributes
    ----------
    plan
        What was trained.
    records
        Number of records.
    per_ecg
        Whether seconds are those of the work on records alone, from a first and a later epoch; or
        those of whole commands, their start included.
    plain, ours
        Runs by their number of epochs.
    predicted
        What steps and reading let expect.
    """

    plan: Plan
    records: int
    per_ecg: bool
    plain: Mapping[int, Run]
    ours: Mapping[int, Run]
    predicted: Predicted

    def seconds(self, ours: bool, epochs: int) -> float:
        """Return the seconds of a training of so many epochs, of the one side or the other."""
        runs = self.ours if ours else self.plain
        run = runs[max(runs)]
        later = statistics.mean(run.each[1:])
        if self.per_ecg:
            prepared = self.predicted.prepare * self.records if ours else 0.0
            return prepared + run.each[0] + (epochs - 1) * later
        if epochs in runs:
            return runs[epochs].spent.seconds
        return run.spent.seconds + (epochs - run.epochs) * later

    def is_computed(self, epochs: int) -> bool:
        """Whether the seconds of either side are computed, and were not measured in one run."""
        return self.per_ecg or not (epochs in self.plain and epochs in self.ours)

    def ratio(self, epochs: int) -> float:
        """Return how many times as fast ours is after *epochs*."""
        return self.seconds(False, epochs) / self.seconds(True, epochs)

    def cpu_ratio(self, epochs: int) -> float | None:
        """Return how many times as much processor time the plain one takes, start included, where
        both ran that long and the system tells."""
        pair = [
            runs[epochs].spent.cpu_seconds for runs in (self.plain, self.ours) if epochs in runs
        ]
        if len(pair) < 2 or pair[0] is None or not pair[1]:
            return None
        return pair[0] / pair[1]

    def to_dict(self) -> dict[str, object]:
        """Return all figures for a JSON file."""
        return {
            "records": self.records,
            "per_ecg": self.per_ecg,
            "plain": [run.to_dict() for run in self.plain.values()],
            "ours": [run.to_dict() for run in self.ours.values()],
            "seconds_per_ecg_alone": dataclasses.asdict(self.predicted),
        }


def compare_whole(
    plan: Plan, records: int, epochs: Sequence[int], plain_epochs: Sequence[int], say: Say
) -> Comparison:
    """Run whole trainings of some numbers of epochs, the sides in turns.

    Parameters
    ----------
    plan, records
        What is trained.
    epochs, plain_epochs
        Numbers of epochs of our runs and of the plain ones; the largest is at least 2.
    say
        Told the side and the run as soon as it has ended.
    """
    predicted = predict(plan, _ROUNDS)
    plain: dict[int, Run] = {}
    ours: dict[int, Run] = {}
    for count in sorted({*epochs, *plain_epochs}):
        if count in plain_epochs:
            plain[count] = run_plain(plan, count)
            say("plain", plain[count])
        if count in epochs:
            ours[count] = run_ours(plan, count)
            say("ours", ours[count])
    return Comparison(plan, records, False, plain, ours, predicted)


def compare_per_ecg(plan: Plan, records: int, say: Say) -> Comparison:
    """Run a first and a later epoch on few records; see :class:`Comparison`."""
    found = compare_whole(plan, records, (2,), (2,), say)
    return dataclasses.replace(found, per_ecg=True)
