"""A pre-training's step and what it takes, beside those of others."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from selfmis_plugin.profiling.timing import Speed, compare, ratio
from selfmis_plugin.profiling.trainings.costs import Cost, counted_cost
from selfmis_plugin.profiling.trainings.models import recipes
from selfmis_plugin.profiling.trainings.steps import records_of, training_step

__all__ = ["Costs", "compare_costs"]


@dataclass(frozen=True)
class Costs:
    """What pre-trainings take, by the names of their methods.

    Attributes
    ----------
    speeds
        Records a second of a training step.
    counted
        Parameters, operations and memory.
    times
        How many times as fast the first is, by the others.
    """

    speeds: Mapping[str, Speed]
    counted: Mapping[str, Cost]
    times: Mapping[str, float]

    def to_dict(self) -> dict[str, dict[str, object]]:
        """Return the figures of each for a JSON file."""
        return {
            name: {
                "ecg_per_s": speed.median,
                "ecg_per_s_rounds": list(speed.rounds),
                **self.counted[name].to_dict(),
            }
            for name, speed in self.speeds.items()
        }


def compare_costs(configs: Mapping[str, str], batch: int, rounds: int) -> Costs:
    """Time the training steps of pre-trainings in turns, and count what they take.

    Parameters
    ----------
    configs
        Configs by method; the others are compared with the first. Those that the host lacks are
        left out.
    batch
        Records of a batch.
    rounds
        Turns that are timed.
    """
    ways, counted = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        known = {recipe.name: recipe for recipe in recipes(Path(folder))}
        for name, config in configs.items():
            if config in known:
                trained = known[config].build()
                ways[name] = training_step(trained, records_of(trained, batch), batch)
                counted[name] = counted_cost(known[config].build())
        speeds = compare(ways, rounds=rounds)
    first, *others = configs
    times = {name: ratio(speeds, first, name) for name in others if name in speeds}
    return Costs(speeds, counted, times)
