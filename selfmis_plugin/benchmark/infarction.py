"""The infarction benchmark: methods, label fractions and seeds, through the host's trainer."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from selfmis_plugin.benchmark.cells import run_cell, write_labelled
from selfmis_plugin.benchmark.commands import CommandError
from selfmis_plugin.benchmark.folder import about_run, claim_folder, read_json
from selfmis_plugin.benchmark.given_files import (
    option_of,
    refuse_absent_files,
    refuse_unfit_files,
)
from selfmis_plugin.benchmark.graph import Step, reason, run_steps
from selfmis_plugin.benchmark.host_methods import lacking
from selfmis_plugin.benchmark.recipes import Recipes, refuse_other_recipe
from selfmis_plugin.benchmark.settings import (
    SIZES,
    Cell,
    InfarctionError,
    Settings,
    brought,
    cell_file,
    given_file,
    stage_checkpoint,
    stage_file,
    stage_name,
)
from selfmis_plugin.benchmark.sources import (
    source_checkpoint,
    sources_of,
    stages_by_name,
    stages_of,
    step_of,
    with_sources,
)
from selfmis_plugin.benchmark.stages import export_folder, run_stage, write_stage_export
from selfmis_plugin.benchmark.tested_people import refuse_shared_patients, seen_rows
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.contract import Classifies
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import SPLITS, StoreError
from selfmis_plugin.data.store.format import ALL_TRAINING
from selfmis_plugin.evaluation.evaluate import fitting_split
from selfmis_plugin.methods.method import LABELLED, Stage, with_its_sources

__all__ = [
    "Cell",
    "CommandError",
    "InfarctionError",
    "Plan",
    "Settings",
    "finished_cells",
    "finished_stages",
    "judged_here",
    "plan_infarction",
    "run_infarction",
    "stage_checkpoint",
]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a benchmark runs, and what it leaves out.

    Attributes
    ----------
    settings
        With the methods that can be judged here.
    cells
        Classifiers that are reported.
    stages
        Pre-trainings by name.
    steps
        What makes all of them, and what they start from, by name.
    lacking
        Why the host cannot train a method and what would bring it, by method.
    left_out
        Why a method, or a mode of it, cannot be judged, by method, cell or method and mode.
    """

    settings: Settings
    cells: Sequence[Cell]
    stages: Mapping[str, Stage]
    steps: Mapping[str, Step]
    lacking: Mapping[str, str]
    left_out: Mapping[str, str]


def run_infarction(
    settings: Settings, told: Callable[[Plan], Mapping[str, Step]] | None = None
) -> dict[str, Any]:
    """Run what is not done yet.

    Parameters
    ----------
    settings
        What is asked for.
    told
        Returns the plan's steps so that they tell by themselves how far it is; None: a line after
        each.

    Returns
    -------
    dict
        JSON-ready: ``cells`` (figures of each finished one), ``rows`` (of method, mode and fraction
        what :func:`~selfmis_plugin.benchmark.tested_people.seen_rows` says of the tested people),
        ``stages`` (seconds, retrieval), ``failed`` (what went wrong, by step), ``left_out`` and
        ``lacking`` (:class:`Plan`), and what the figures were measured on.

    Raises
    ------
    InfarctionError
        If the folder holds a benchmark of other data or settings, data are missing, a patient of
        the test split is in another one too, or a method starts from something that there is not.
    """
    if any(
        not method.modes[mode].is_judged_alone
        for method in settings.methods
        for mode in settings.asked(method)
    ):
        refuse_shared_patients(settings.data[LABELLED])
    plan = plan_infarction(settings)
    if told is None:
        failed = run_steps(plan.steps, settings.places, print)
    else:
        failed = run_steps(told(plan), settings.places)
    cells = finished_cells(plan)
    return {
        **about_run(plan.settings),
        "cells": cells,
        "rows": _rows(plan, cells),
        "stages": finished_stages(plan),
        "failed": {name: reason(error) for name, error in failed.items()},
        "left_out": dict(plan.left_out),
        "lacking": dict(plan.lacking),
    }


def _rows(plan: Plan, cells: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    seeds: dict[tuple[str, str, float], list[int]] = {}
    for cell in cells:
        seeds.setdefault((cell["method"], cell["mode"], cell["fraction"]), []).append(cell["seed"])
    rows = [
        {"method": method, "mode": mode, "fraction": fraction, "seeds": of}
        for (method, mode, fraction), of in seeds.items()
    ]
    seen = seen_rows(rows, [(plan.settings, plan.cells)])
    return [row | of for row, of in zip(rows, seen, strict=True)]


def train_again(plan: Plan) -> None:
    """Count cells as not finished that another one starts from, which is not finished either, and
    whose checkpoint is not there: of a cell that another run has kept there is none here. Their
    figures are removed, so they have to be kept."""
    settings = plan.settings
    waiting = [
        cell for cell in with_sources(settings, plan.cells)
        if not cell_file(settings, cell).is_file()
    ]  # fmt: skip
    for cell in waiting:  # which grows
        for source in sources_of(settings, cell).values():
            if isinstance(source, Cell) and source.name not in settings.made:
                done = cell_file(settings, source)
                if done.is_file() and not source_checkpoint(settings, source, cell.seed).is_file():
                    done.unlink()
                    waiting.append(source)


def plan_infarction(settings: Settings) -> Plan:
    """Find out what to run, and claim the folder for it; raises as :func:`run_infarction`."""
    lacks, modes_lack = _lacking(settings)
    fileless = _without_their_file(settings, lacks)
    settings = _without(settings, lacks.keys() | fileless.keys())
    cells, left_out = _cells(settings, modes_lack)
    whole = with_sources(settings, cells)
    stages = stages_by_name(settings, whole)
    # Where nothing is trained on the labelled records, they need only be tested on.
    _check(settings, stages, SPLITS if any(cell.fraction for cell in cells) else ("test",))
    refuse_unfit_files(settings)
    named = {name for one in whole for name in (one.mode, f"{one.method.name}/{one.mode}")}
    settings = claim_folder(settings, {*named, *stages})
    for seed in settings.seeds:
        for fraction in settings.fractions:
            write_labelled(settings, fraction, seed)
    recipes = Recipes(settings)
    cell_recipes = {cell.name: recipes.cell(cell) for cell in whole}
    stage_recipes = {name: recipes.stage(stage) for name, stage in stages.items()}
    for seed in settings.seeds:
        for name, stage in stages.items():
            refuse_other_recipe(stage_file(settings, stage, seed), stage_recipes[name])
    for cell in whole:
        refuse_other_recipe(cell_file(settings, cell), cell_recipes[cell.name])
    steps = _stage_steps(settings, stages, stage_recipes) | {
        cell.name: Step(
            _needs(settings, sources_of(settings, cell).values(), cell.seed),
            functools.partial(run_cell, settings, cell, cell_recipes[cell.name]),
            f"{cell.method.name}/{cell.mode}",
            cell_file(settings, cell),
        )
        for cell in whole
    }
    return Plan(settings, cells, stages, steps, lacks, fileless | modes_lack | left_out)


def judged_here(settings: Settings) -> Settings:
    """Return settings without the methods that the host lacks or only a file can bring."""
    lacks, _ = _lacking(settings)
    return _without(settings, lacks.keys() | _without_their_file(settings, lacks).keys())


def _without(settings: Settings, names: Set[str]) -> Settings:
    return dataclasses.replace(
        settings,
        methods=[method for method in settings.methods if method.name not in names],
        others=(*settings.others, *settings.methods),
    )


def finished_cells(plan: Plan) -> list[dict[str, Any]]:
    """Return what each finished cell's file says."""
    files = (cell_file(plan.settings, cell) for cell in plan.cells)
    return [read_json(path) for path in files if path.exists()]


def finished_stages(plan: Plan) -> list[dict[str, Any]]:
    """Return what each finished pre-training's file says."""
    files = (
        stage_file(plan.settings, stage, seed)
        for seed in plan.settings.seeds
        for stage in plan.stages.values()
    )
    return [read_json(path) for path in files if path.exists()]


def _lacking(settings: Settings) -> tuple[dict[str, str], dict[str, str]]:
    """Say why the host cannot train methods and, of those that it can, modes that need others.

    The second is by method and mode. A method none of whose modes it can train is in the first.
    """
    encoders = {
        method.name: list(with_its_sources(method.encoder)) if method.encoder else []
        for method in settings.methods
    }
    needs: dict[str, list[Stage]] = {}
    for method in settings.methods:
        for mode in settings.asked(method):
            cell = Cell(method, mode, settings.fractions[0], settings.seeds[0])
            whole = with_sources(settings, [cell])
            needs[f"{method.name}/{mode}"] = [
                stage for one in whole for stage in stages_of(settings, one)
            ]
    reasons = lacking(encoders | needs, SIZES[settings.size])
    lacks: dict[str, str] = {}
    modes_lack: dict[str, str] = {}
    for method in settings.methods:
        named = [f"{method.name}/{mode}" for mode in settings.asked(method)]
        of_modes = {name: reasons[name] for name in named if name in reasons}
        if method.name in reasons or (named and len(of_modes) == len(named)):
            lacks[method.name] = reasons.get(method.name) or next(iter(of_modes.values()))
        else:
            modes_lack |= of_modes
    return lacks, modes_lack


def _without_their_file(settings: Settings, lacks: Mapping[str, str]) -> dict[str, str]:
    """Say which methods only a file of the user's can bring that is not given."""
    return {
        method.name: f"its weights are the user's to give: {option_of(stage)} FILE"
        for method in settings.methods
        if (stage := method.encoder) is not None
        and stage.needs_file
        and not given_file(settings, stage)
        and method.name not in lacks
    }


def _stage_steps(
    settings: Settings, stages: Mapping[str, Stage], recipes: Mapping[str, str]
) -> dict[str, Step]:
    """Return the steps that train stages, and those that write the files that they read."""
    steps: dict[str, Step] = {}
    for seed in settings.seeds:
        for stage in stages.values():
            if brought(settings, stage, seed):
                continue
            needs = _needs(settings, stage.starts_from.values(), seed)
            if stage.export is not None:
                files = export_folder(settings, stage)
                write = functools.partial(write_stage_export, settings, stage)
                steps[files.name] = Step([], write, "export")
                needs.append(files.name)
            work = functools.partial(run_stage, settings, stage, seed, recipes[stage.name])
            steps[stage_name(stage, seed)] = Step(
                needs, work, stage.name, stage_file(settings, stage, seed)
            )
    return steps


def _needs(settings: Settings, sources: Iterable[Cell | Stage], seed: int) -> list[str]:
    names = (step_of(settings, source, seed) for source in sources)
    return [name for name in names if name is not None]


def _cells(settings: Settings, modes_lack: Mapping[str, str]) -> tuple[list[Cell], dict[str, str]]:
    """Return the cells that are asked for, and why some of these cannot be."""
    cells: list[Cell] = []
    left_out: dict[str, str] = {}
    for seed in settings.seeds:
        for method in settings.methods:
            for mode in settings.asked(method):
                if f"{method.name}/{mode}" in modes_lack:
                    continue
                if not method.modes[mode].is_judged_alone:
                    cells += [Cell(method, mode, part, seed) for part in settings.fractions]
                    continue
                cell = Cell(method, mode, 0.0, seed)
                given = method.encoder and given_file(settings, method.encoder)
                if not given:
                    cells.append(cell)
                # A given file is the same for every seed.
                elif seed == settings.seeds[0]:
                    problem = _problem_of_head(given, settings.data[LABELLED])
                    if problem is None:
                        cells.append(cell)
                    else:
                        left_out[cell.name] = problem
    return cells, left_out


def _problem_of_head(file: Path, data: Path) -> str | None:
    """Say why a file cannot be judged by its own head; it may still be an encoder to train on."""
    try:
        trained = load_trained(file)
        if not isinstance(trained, Classifies):
            return f"{file} is of pre-training and has no head of its own"
        fitting_split(trained, data, "test")
    except (CheckpointError, StoreError) as error:
        return str(error)
    return None


def _check(settings: Settings, stages: Mapping[str, Stage], splits: Iterable[str]) -> None:
    for stage in stages.values():
        if given_file(settings, stage):
            continue
        if stage.needs_file:
            raise InfarctionError(
                f"nothing here trains {stage.name}: give it, {option_of(stage)} FILE"
            )
        if stage.data not in settings.data:
            instead = f", or a file with {option_of(stage)}" if stage.given_by else ""
            raise InfarctionError(
                f"{stage.name} is trained on {stage.data} records: give them with "
                f"--{stage.data}{instead}"
            )
    refuse_absent_files(settings)
    for split in splits:
        open_split(settings.data[LABELLED], split)
    if (settings.data[LABELLED] / f"{ALL_TRAINING}.tsv").is_file():
        raise InfarctionError(
            f"{settings.data[LABELLED]}: train.tsv lists only a fraction of the training records "
            f"({ALL_TRAINING}.tsv has them all). The benchmark takes fractions itself: rename "
            f"{ALL_TRAINING}.tsv to train.tsv, or give a folder of manifests of your own"
        )
