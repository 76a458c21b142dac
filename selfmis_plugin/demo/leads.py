"""A demo of every lead's embedding: trainings of a method and its parts, four questions to each."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfmis_plugin.benchmark.cohort import (
    ARCHIVE,
    STUDY,
    UNLABELLED,
    make_identification_set,
    write_study,
)
from selfmis_plugin.benchmark.commands import run_selfmis
from selfmis_plugin.benchmark.graph import Here, Step, run_steps
from selfmis_plugin.benchmark.report import write_infarction_report
from selfmis_plugin.benchmark.settings import Settings, stage_checkpoint
from selfmis_plugin.demo.demo import DemoError
from selfmis_plugin.demo.leads_report import write_report
from selfmis_plugin.demo.recipe import Told, begin, judge, settings_of
from selfmis_plugin.methods import known_rows, method
from selfmis_plugin.methods.demo_plan import Leads
from selfmis_plugin.methods.method import Mode
from selfmis_plugin.utils.files import write_json

__all__ = ["run_demo"]

STUDIES = ("correlation", "reconstruction", "identification")


def run_demo(
    plan: Leads, dest: Path, seeds: int, scale: float, workers: int, version: int
) -> dict[str, Any]:
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
    version
        Of the cohort.

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
    begun = begin(plan, dest, seeds, scale, workers, version)
    recordings = make_identification_set(begun.dest, begun.sizes.recordings, workers, version)
    study = write_study(begun.dest / "study", begun.stores[STUDY])
    data = {
        method.LABELLED: study,
        method.UNLABELLED: begun.stores[UNLABELLED],
        method.ARCHIVE: begun.stores[ARCHIVE],
    }
    settings = settings_of(
        plan, begun, begun.dest / "infarction", _judged(plan), data, range(1, seeds + 1), workers
    )
    told = Told(
        after=len(settings.seeds) * len(STUDIES),
        leads={mode: lead for lead, mode in plan.modes.items()},
    )
    infarction = judge(settings, told)
    write_infarction_report(settings.dest, infarction, settings.methods, known_rows().claims)
    answers = _ask(plan, begun.dest, settings, study, recordings, workers, told)
    about = {**begun.about, "seconds": _seconds(begun.dest, begun.seconds)}
    report = write_report(plan, begun.dest, about, infarction, answers)
    print("\n".join(_next_commands(plan, settings, study)))
    return report


def _judged(plan: Leads) -> list[Mode]:
    """Return every method in the probes of leads that it has; one that there is not stays named."""
    methods = known_rows().methods
    names = (plan.method, *plan.alone, *plan.others)
    return [
        Mode(name, mode)
        for name in names
        for mode in plan.modes.values()
        if name not in methods or mode in methods[name].modes
    ]


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


def _ask(
    plan: Leads,
    dest: Path,
    settings: Settings,
    study: Path,
    recordings: Path,
    workers: int,
    told: Told,
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
    for error in run_steps(steps, Here(workers)).values():
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
