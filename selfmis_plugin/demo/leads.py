"""A demo of every lead's embedding: trainings of a method and its parts, four questions to each."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from selfmis_plugin import toolkit
from selfmis_plugin._version import __version__
from selfmis_plugin.benchmark.cohort import (
    ARCHIVE,
    COHORT_SEED,
    STUDY,
    UNLABELLED,
    make_cohort,
    make_identification_set,
    write_study,
)
from selfmis_plugin.benchmark.commands import CommandError, run_selfmis
from selfmis_plugin.benchmark.graph import Step, run_steps
from selfmis_plugin.benchmark.infarction import (
    Cell,
    InfarctionError,
    Plan,
    Settings,
    run_infarction,
    stage_checkpoint,
)
from selfmis_plugin.benchmark.report import write_infarction_report
from selfmis_plugin.benchmark.settings import SIZES, stage_name
from selfmis_plugin.benchmark.sources import with_sources
from selfmis_plugin.demo.demo import DemoError, claim
from selfmis_plugin.demo.leads_report import write_report
from selfmis_plugin.demo.steps import Steps
from selfmis_plugin.methods import known_rows, method
from selfmis_plugin.methods.demo_plan import Leads, LeadsSizes
from selfmis_plugin.training.configs import config_file
from selfmis_plugin.training.known_configs import title_of
from selfmis_plugin.utils.files import write_json

__all__ = ["run_demo"]

STUDIES = ("correlation", "reconstruction", "identification")


def run_demo(plan: Leads, dest: Path, seeds: int, scale: float, workers: int) -> dict[str, Any]:
    """Run the demo and write ``report.json``, ``report.md`` and the pictures into *dest*.

    Parameters
    ----------
    plan
        What is trained and compared.
    dest
        Folder of the demo. A demo of another scale in it is refused.
    seeds
        Number of seeds, of weights and order of the records; the cohort is the same.
    scale
        Share of the records and epochs.
    workers
        Processes that write and prepare the cohort, and trainings that run at a time.

    Returns
    -------
    dict
        What ``report.json`` holds.

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
    sizes = plan.sizes.scaled(scale)
    about = {
        "demo": plan.name,
        "sizes": asdict(sizes),
        "cohort_seed": COHORT_SEED,
        "host": toolkit.host_version(),
        "selfmis_plugin": __version__,
    }
    claim(dest, about)
    stores = make_cohort(
        dest, sizes.archive, sizes.unlabelled, sizes.unlabelled_valid, sizes.study, workers
    )
    recordings = make_identification_set(dest, sizes.recordings, workers)
    study = write_study(dest / "study", stores[STUDY])
    data = {
        method.LABELLED: study,
        method.UNLABELLED: stores[UNLABELLED],
        method.ARCHIVE: stores[ARCHIVE],
    }
    settings = _settings(plan, dest, data, sizes, range(1, seeds + 1), workers)
    told = _Told(plan, len(settings.seeds) * len(STUDIES))
    infarction = _infarction(settings, told)
    answers = _ask(plan, dest, settings, study, recordings, workers, told)
    spent = _seconds(dest, time.monotonic() - started)
    report = write_report(plan, dest, about | {"seconds": spent}, infarction, answers)
    print("\n".join(_next_commands(plan, settings, study)))
    return report


class _Told:
    """Counts the demo's trainings, probes and studies.

    Parameters
    ----------
    plan
        The demo.
    studies
        How many studies come after the trainings and probes.
    """

    def __init__(self, plan: Leads, studies: int) -> None:
        self._leads = {mode: lead for lead, mode in plan.modes.items()}
        self._studies = studies
        self.steps = Steps(studies)

    def __call__(self, plan: Plan) -> dict[str, Step]:
        """Return the trainings and probes so that each is told."""
        self.steps = Steps(len(plan.steps) + self._studies)
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


def _next_commands(plan: Leads, settings: Settings, study: Path) -> list[str]:
    """Return what to try next with the encoder that the demo is about."""
    encoder = _checkpoint(settings, plan.method, settings.seeds[0])
    return [
        "next:",
        f"  selfmis benchmark correlation --checkpoint {encoder} --data {study} --dest correlation",
        f"  selfmis benchmark reconstruction --checkpoint {encoder} --data {study} --lead V2 "
        "--dest reconstruction",
        f"  selfmis embed --checkpoint {encoder} --data {study} --out embeddings.parquet",
    ]


def _settings(
    plan: Leads,
    dest: Path,
    data: dict[str, Path],
    sizes: LeadsSizes,
    seeds: Sequence[int],
    workers: int,
) -> Settings:
    methods = known_rows().methods
    unknown = {plan.method, *plan.alone, *plan.others} - methods.keys()
    if unknown:
        raise DemoError(
            f"{plan.name} compares {', '.join(sorted(unknown))}, and there is no such method: "
            f"there are {', '.join(methods)}"
        )
    return Settings(
        dest=dest / "infarction",
        methods=[methods[name] for name in (plan.method, *plan.alone, *plan.others)],
        data=data,
        seeds=seeds,
        modes=tuple(plan.modes.values()),
        size="small",
        overrides={
            name: {"optimization.max_epoch": getattr(sizes, size)}
            for name, size in plan.epochs.items()
        },
        workers=workers,
        others=list(methods.values()),
    )


def _infarction(settings: Settings, told: _Told) -> dict[str, Any]:
    """Train everything, and probe it on infarction."""
    try:
        report = run_infarction(settings, told)
    except InfarctionError as error:
        raise DemoError(str(error)) from error
    if report["failed"]:
        raise CommandError("\n\n".join(report["failed"].values()))
    write_infarction_report(settings.dest, report, settings.methods, known_rows().claims)
    return report


def _ask(
    plan: Leads,
    dest: Path,
    settings: Settings,
    study: Path,
    recordings: Path,
    workers: int,
    told: _Told,
) -> list[dict[str, Any]]:
    """Ask the other questions of each seed by the user's own commands."""
    steps: dict[str, Step] = {}
    folders = {seed: dest / f"seed{seed}" for seed in settings.seeds}
    for seed, folder in folders.items():
        for name in STUDIES:
            title = f"{name}, seed {seed}: selfmis benchmark {name}"
            if (folder / f"{name}.json").is_file():
                with told.steps.step(title):
                    continue
            arguments = [
                "benchmark",
                name,
                "--checkpoint",
                _checkpoint(settings, plan.method, seed),
            ]
            for other, title in plan.alone.items():
                arguments += ["--against", f"{title}={_checkpoint(settings, other, seed)}"]
            place = recordings if name == "identification" else study
            arguments += ["--data", str(place), "--dest", str(folder)]
            if name == "reconstruction":
                # What the model was trained on: the baselines are to know no less.
                arguments += ["--train", str(settings.data[method.UNLABELLED])]
            log = dest / "logs" / f"seed{seed}-{name}.log"
            step = Step((), functools.partial(_run, arguments, log))
            steps[f"{seed}/{name}"] = told.steps.telling(step, title)
    for error in run_steps(steps, workers).values():
        raise error
    return [
        {
            name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
            for name in STUDIES
        }
        for folder in folders.values()
    ]


def _run(arguments: Sequence[str], log: Path) -> None:
    run_selfmis(arguments, log)


def _checkpoint(settings: Settings, name: str, seed: int) -> str:
    stage = next(one for one in settings.methods if one.name == name).encoder
    if stage is None:
        raise DemoError(f"{name} has no training of its own")
    return str(stage_checkpoint(settings, stage, seed))


def _seconds(dest: Path, seconds: float) -> float:
    """Add up the seconds of all calls, those that were stopped and gone on from excepted."""
    path = dest / "seconds.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else 0.0
    write_json(path, before + seconds)
    return round(before + seconds, 1)
