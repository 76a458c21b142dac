"""The infarction benchmark: methods, label fractions and seeds, through the host's trainer."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfmis_plugin.benchmark.cells import run_cell, with_sources, write_labelled
from selfmis_plugin.benchmark.commands import CommandError
from selfmis_plugin.benchmark.folder import about_run, claim_folder, read_json
from selfmis_plugin.benchmark.graph import Step, run_steps
from selfmis_plugin.benchmark.host_methods import lacking
from selfmis_plugin.benchmark.settings import (
    SIZES,
    Cell,
    InfarctionError,
    Settings,
    cell_file,
    given_file,
    source_of,
    stage_checkpoint,
    stage_file,
    stage_name,
)
from selfmis_plugin.benchmark.stages import export_folder, run_stage, write_stage_export
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.contract import Classifies
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import SPLITS, StoreError
from selfmis_plugin.data.store.format import ALL_TRAINING
from selfmis_plugin.evaluation.evaluate import fitting_split
from selfmis_plugin.methods.method import LABELLED, Stage

__all__ = [
    "Cell",
    "CommandError",
    "InfarctionError",
    "Settings",
    "run_infarction",
    "stage_checkpoint",
]


def run_infarction(settings: Settings) -> dict[str, Any]:
    """Run what is not done yet.

    Returns
    -------
    dict
        JSON-ready: ``cells`` (figures of each finished one), ``stages`` (seconds, retrieval),
        ``failed`` (what went wrong, by step), ``left_out`` (why the head of a given file cannot be
        judged, by cell), ``lacking`` (why the host cannot train a method and what would bring it),
        and what the figures were measured on.

    Raises
    ------
    InfarctionError
        If the folder holds a benchmark of other data or settings, or data are missing.
    """
    lacks = lacking(settings.methods, SIZES[settings.size])
    asked = settings
    settings = dataclasses.replace(
        asked, methods=[method for method in asked.methods if method.name not in lacks]
    )
    cells, left_out = _cells(settings)
    stages = {stage.name: stage for method in settings.methods for stage in method.stages()}
    _check(settings, stages)
    claim_folder(settings)
    for seed in settings.seeds:
        for fraction in settings.fractions:
            write_labelled(settings, fraction, seed)
    steps: dict[str, Step] = {}
    for seed in settings.seeds:
        for stage in stages.values():
            if not given_file(settings, stage):
                name = stage_name(stage, seed)
                needs = [
                    stage_name(source, seed)
                    for source in stage.starts_from.values()
                    if not given_file(settings, source)
                ]
                if stage.export is not None:
                    files = export_folder(settings, stage)
                    steps[files.name] = Step(
                        [], functools.partial(write_stage_export, settings, stage)
                    )
                    needs.append(files.name)
                steps[name] = Step(needs, functools.partial(run_stage, settings, stage, seed))
    for cell in with_sources(cells):
        encoder, source = cell.method.encoder, source_of(cell)
        needs = (
            []
            if encoder is None or given_file(settings, encoder)
            else [stage_name(encoder, cell.seed)]
        )
        needs += [source.name] if source else []
        steps[cell.name] = Step(needs, functools.partial(run_cell, settings, cell))
    failed = run_steps(steps, settings.workers)
    return {
        **about_run(settings),
        "cells": [
            read_json(path) for path in (cell_file(settings, c) for c in cells) if path.exists()
        ],
        "stages": [
            read_json(path)
            for seed in settings.seeds
            for path in (stage_file(settings, stage, seed) for stage in stages.values())
            if path.exists()
        ],
        "failed": {name: str(error) for name, error in failed.items()},
        "left_out": left_out,
        "lacking": lacks,
    }


def _cells(settings: Settings) -> tuple[list[Cell], dict[str, str]]:
    """Return the cells that are asked for, and why some of these cannot be."""
    cells: list[Cell] = []
    left_out: dict[str, str] = {}
    for seed in settings.seeds:
        for method in settings.methods:
            for mode in (mode for mode in settings.modes if mode in method.modes):
                if method.modes[mode].config is not None:
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


def _check(settings: Settings, stages: Mapping[str, Stage]) -> None:
    for stage in stages.values():
        if not given_file(settings, stage) and stage.data not in settings.data:
            instead = (
                f", or a file with --{stage.given_by.replace('_', '-')}" if stage.given_by else ""
            )
            raise InfarctionError(
                f"{stage.name} is trained on {stage.data} records: give them with "
                f"--{stage.data}{instead}"
            )
    for path in settings.given.values():
        if not path.is_file():
            raise InfarctionError(f"{path}: no such file")
    for split in SPLITS:
        open_split(settings.data[LABELLED], split)
    if (settings.data[LABELLED] / f"{ALL_TRAINING}.tsv").is_file():
        raise InfarctionError(
            f"{settings.data[LABELLED]}: train.tsv lists only a fraction of the training records "
            f"({ALL_TRAINING}.tsv has them all). The benchmark takes fractions itself: rename "
            f"{ALL_TRAINING}.tsv to train.tsv, or give a folder of manifests of your own"
        )
