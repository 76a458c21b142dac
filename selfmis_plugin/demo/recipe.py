"""What the demos share: a cohort, and trainings and probes by the benchmark."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfmis_plugin import toolkit
from selfmis_plugin._version import __version__
from selfmis_plugin.benchmark.cohort import COHORT_SEED, make_cohort
from selfmis_plugin.benchmark.commands import CommandError
from selfmis_plugin.benchmark.graph import Step
from selfmis_plugin.benchmark.infarction import (
    Cell,
    InfarctionError,
    Plan,
    Settings,
    run_infarction,
)
from selfmis_plugin.benchmark.settings import SIZES, stage_name
from selfmis_plugin.benchmark.sources import with_sources
from selfmis_plugin.demo.demo import DemoError, claim
from selfmis_plugin.demo.steps import Steps
from selfmis_plugin.methods import known_rows
from selfmis_plugin.methods.demo_plan import Recipe
from selfmis_plugin.methods.method import Mode
from selfmis_plugin.training.configs import config_file
from selfmis_plugin.training.known_configs import title_of

__all__ = ["Begun", "Told", "begin", "judge", "settings_of"]


@dataclass(frozen=True)
class Begun:
    """A demo whose folder and cohort are there.

    Attributes
    ----------
    dest
        The folder, absolute.
    sizes
        Records and epochs at the scale that was asked for.
    about
        What the demo was made of, JSON-ready.
    stores
        The cohort's stores by name.
    started
        When this call began, of a clock that only goes on.
    """

    dest: Path
    sizes: Any
    about: Mapping[str, Any]
    stores: Mapping[str, Path]
    started: float

    @property
    def seconds(self) -> float:
        """How long this call has taken until now."""
        return time.monotonic() - self.started


def begin(
    recipe: Recipe, dest: Path, seeds: int, scale: float, workers: int, version: int
) -> Begun:
    """Claim the demo's folder, and write and prepare its cohort, of a version of the hearts.

    Raises
    ------
    DemoError
        If the folder holds another demo, or a number makes no sense.
    CommandError
        If a step fails; the message names the step's log.
    """
    if seeds < 1 or workers < 1:
        raise DemoError("--seeds and --workers must be at least 1")
    started = time.monotonic()
    dest = dest.resolve()
    dest.mkdir(parents=True, exist_ok=True)
    sizes = recipe.sizes.scaled(scale)
    about = {
        "demo": recipe.name,
        "sizes": dataclasses.asdict(sizes),
        "cohort_seed": COHORT_SEED,
        "cohort_version": version,
        "host": toolkit.host_version(),
        "selfmis_plugin": __version__,
    }
    claim(dest, about)
    stores = make_cohort(
        dest, sizes.archive, sizes.unlabelled, sizes.unlabelled_valid, sizes.study, workers, version
    )
    return Begun(dest, sizes, about, stores, started)


def settings_of(
    recipe: Recipe,
    begun: Begun,
    dest: Path,
    judged: Iterable[Mode],
    data: Mapping[str, Path],
    seeds: Sequence[int],
    workers: int,
) -> Settings:
    """Return what the benchmark is asked to run: methods, each in the modes that are judged.

    Parameters
    ----------
    recipe, begun
        The demo.
    dest
        The benchmark's folder.
    judged
        Methods and modes, by their names.
    data
        Folders by the benchmark's roles.
    seeds
        Its seeds.
    workers
        Trainings at a time.

    Raises
    ------
    DemoError
        If there is no such method, or it has no such mode.
    """
    methods = known_rows().methods
    modes: dict[str, list[str]] = {}
    for one in judged:
        if one.method not in methods:
            raise DemoError(
                f"{recipe.name} compares {one.method}, and there is no such method: there are "
                f"{', '.join(methods)}"
            )
        if one.mode not in methods[one.method].modes:
            raise DemoError(f"{recipe.name}: {one.method} has no mode {one.mode}")
        modes.setdefault(one.method, []).append(one.mode)
    return Settings(
        dest=dest,
        methods=[
            dataclasses.replace(
                methods[name], modes={mode: methods[name].modes[mode] for mode in chosen}
            )
            for name, chosen in modes.items()
        ],
        data=data,
        seeds=seeds,
        modes=tuple(dict.fromkeys(mode for chosen in modes.values() for mode in chosen)),
        size="small",
        overrides={
            name: {"optimization.max_epoch": getattr(begun.sizes, size)}
            for name, size in recipe.epochs.items()
        },
        workers=workers,
        others=list(methods.values()),
        draws=recipe.draws,
    )


class Told:
    """Counts a demo's trainings and probes, and what comes after them.

    Parameters
    ----------
    runs
        How often the benchmark is run.
    after
        How many steps come after that.
    leads
        Leads that modes probe, by the modes' names.
    """

    def __init__(
        self, runs: int = 1, after: int = 0, leads: Mapping[str, str] | None = None
    ) -> None:
        self._runs, self._after, self._leads = runs, after, leads or {}
        self.steps = Steps(after)
        self._begun = False

    def __call__(self, plan: Plan) -> dict[str, Step]:
        """Return the trainings and probes so that each is told."""
        if not self._begun:
            self.steps = Steps(len(plan.steps) * self._runs + self._after)
            self._begun = True
        titles = {cell.name: self._probe(cell) for cell in with_sources(plan.settings, plan.cells)}
        for seed in plan.settings.seeds:
            for stage in plan.stages.values():
                config = config_file(f"{stage.config}{SIZES[plan.settings.size]}")
                titles[stage_name(stage, seed)] = f"{stage.name}, seed {seed}: {title_of(config)}"
        return {
            name: self.steps.telling(step, titles.get(name, name))
            for name, step in plan.steps.items()
        }

    def _probe(self, cell: Cell) -> str:
        lead = self._leads.get(cell.mode)
        what = f"infarction by lead {lead}" if lead else cell.mode
        return f"probe of {cell.method.name} ({what}), seed {cell.seed}"


def judge(settings: Settings, told: Told) -> dict[str, Any]:
    """Train everything and judge it; what is done already stays.

    Returns
    -------
    dict
        As :func:`~selfmis_plugin.benchmark.infarction.run_infarction`.

    Raises
    ------
    DemoError
        If it cannot be run as asked.
    CommandError
        If a training fails; the message names its log.
    """
    try:
        report = run_infarction(settings, told)
    except InfarctionError as error:
        raise DemoError(str(error)) from error
    if report["failed"]:
        raise CommandError("\n\n".join(report["failed"].values()))
    return report
