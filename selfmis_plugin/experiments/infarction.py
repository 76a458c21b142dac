"""The infarction benchmark: methods, label fractions and seeds, through the host's trainer."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfmis_plugin import __version__, toolkit
from selfmis_plugin.checkpoints import CheckpointError, read_checkpoint
from selfmis_plugin.data.fraction_manifests import write_fraction
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import SPLITS, StoreError
from selfmis_plugin.data.store_format import ALL_TRAINING
from selfmis_plugin.evaluation.evaluate import (
    evaluate,
    figures_of,
    fitting_split,
    predict_split,
)
from selfmis_plugin.experiments.commands import (
    CommandError,
    Spent,
    best_checkpoint,
    last_checkpoint,
    train,
)
from selfmis_plugin.experiments.graph import Step, run_steps
from selfmis_plugin.experiments.host_methods import export_name, lacking, write_export
from selfmis_plugin.files import write_json
from selfmis_plugin.loading import LoadedClassifier, load_trained
from selfmis_plugin.methods.method import LABELLED, UNLABELLED, Classifier, Method, Stage

#: What a config's name ends with at each size.
SIZES: Mapping[str, str] = {"full": "", "small": "_small"}


__all__ = [
    "Cell",
    "CommandError",
    "InfarctionError",
    "Settings",
    "run_infarction",
    "stage_checkpoint",
]


class InfarctionError(RuntimeError):
    """The benchmark cannot be run as asked; the message says what to do."""


@dataclass(frozen=True)
class Settings:
    """What to run.

    Attributes
    ----------
    dest
        Folder of the benchmark. Finished cells in it are not run again.
    methods
        The rows.
    data
        Folder of a store, or of manifests, by role.
    fractions
        Shares of the labelled training records.
    seeds
        A seed sets weights, order of records, and which records a fraction takes.
    modes
        How methods are judged: ``probe``, ``finetune`` and what methods add. A mode that another
        starts from is run for it, and reported where it is asked for.
    size
        ``full`` or ``small``: which configs.
    given
        Checkpoints of the user in place of stages, by the stage's ``given_by``.
    overrides
        Further config keys: for every training (``""``), or one stage or mode, by its name.
    workers
        Trainings at a time.
    """

    dest: Path
    methods: Sequence[Method]
    data: Mapping[str, Path]
    fractions: Sequence[float] = (1.0,)
    seeds: Sequence[int] = (1,)
    modes: Sequence[str] = ("probe", "finetune")
    size: str = "full"
    given: Mapping[str, Path] = field(default_factory=dict)
    overrides: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    workers: int = 1


@dataclass(frozen=True)
class Cell:
    """One classifier: a method, judged in one way, on a fraction of the labels, for one seed.

    The fraction is 0 where nothing is trained on the labels.
    """

    method: Method
    mode: str
    fraction: float
    seed: int

    @property
    def name(self) -> str:
        """Name of the cell, and its place below the benchmark's folder."""
        return f"seed{self.seed}/{self.method.name}/{self.mode}/{self.fraction:g}"


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
    _claim(settings)
    for seed in settings.seeds:
        for fraction in settings.fractions:
            _write_labelled(settings, fraction, seed)
    steps: dict[str, Step] = {}
    for seed in settings.seeds:
        for stage in stages.values():
            if not _given(settings, stage):
                name = _stage_name(stage, seed)
                needs = [
                    _stage_name(source, seed)
                    for source in stage.starts_from.values()
                    if not _given(settings, source)
                ]
                if stage.export is not None:
                    files = _export_folder(settings, stage)
                    steps[files.name] = Step([], functools.partial(_export, settings, stage))
                    needs.append(files.name)
                steps[name] = Step(needs, functools.partial(_run_stage, settings, stage, seed))
    for cell in _with_sources(cells):
        encoder, source = cell.method.encoder, _source(cell)
        needs = (
            []
            if encoder is None or _given(settings, encoder)
            else [_stage_name(encoder, cell.seed)]
        )
        needs += [source.name] if source else []
        steps[cell.name] = Step(needs, functools.partial(_run_cell, settings, cell))
    failed = run_steps(steps, settings.workers)
    return {
        **_about(settings),
        "cells": [
            _read(path) for path in (_cell_file(settings, c) for c in cells) if path.exists()
        ],
        "stages": [
            _read(path)
            for seed in settings.seeds
            for path in (_stage_file(settings, stage, seed) for stage in stages.values())
            if path.exists()
        ],
        "failed": {name: str(error) for name, error in failed.items()},
        "left_out": left_out,
        "lacking": lacks,
    }


# -- what is asked for -------------------------------------------------------------------------


def _given(settings: Settings, stage: Stage) -> Path | None:
    return settings.given.get(stage.given_by) if stage.given_by else None


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
                given = method.encoder and _given(settings, method.encoder)
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
        if not isinstance(trained, LoadedClassifier):
            return f"{file} is of pre-training and has no head of its own"
        fitting_split(trained, data, "test")
    except (CheckpointError, StoreError) as error:
        return str(error)
    return None


def _check(settings: Settings, stages: Mapping[str, Stage]) -> None:
    for stage in stages.values():
        if not _given(settings, stage) and stage.data not in settings.data:
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


def _about(settings: Settings) -> dict[str, Any]:
    return {
        "data": {role: _describe_data(path) for role, path in settings.data.items()},
        "given": {name: str(path) for name, path in settings.given.items()},
        "size": settings.size,
        "overrides": {name: dict(keys) for name, keys in settings.overrides.items()},
        "host": toolkit.host_version(),
        "selfmis_plugin": __version__,
    }


def _describe_data(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    records: dict[str, int] = {}
    database = ""
    for split in SPLITS:
        manifest = path / f"{split}.tsv"
        if manifest.is_file():
            part = open_split(path, split)
            records[split] = len(part.rows)
            database = part.store.info.database
            digest.update(json.dumps(part.store.info.to_dict(), sort_keys=True).encode())
            digest.update("\n".join(part.store.records["record_id"].iloc[part.rows]).encode())
    return {
        "folder": str(path),
        "database": database,
        "records": records,
        "digest": digest.hexdigest()[:16],
    }


def _claim(settings: Settings) -> None:
    """Refuse a folder in which something else was measured: its cells would pass for these."""
    path = settings.dest / "benchmark.json"
    about = _about(settings)
    if not path.is_file():
        settings.dest.mkdir(parents=True, exist_ok=True)
        write_json(path, about)
        return
    before = _read(path)
    other = [key for key in about if _identity(key, before.get(key)) != _identity(key, about[key])]
    if other:
        raise InfarctionError(
            f"{settings.dest} holds a benchmark with other {', '.join(other)} ({path}). Choose "
            "another folder with --dest, or delete this one"
        )


def _identity(key: str, value: Any) -> Any:
    # A moved folder of the same records is the same data.
    if key == "data" and isinstance(value, dict):
        return {role: described["digest"] for role, described in value.items()}
    return value


# -- stages ------------------------------------------------------------------------------------


def _stage_name(stage: Stage, seed: int) -> str:
    return f"seed{seed}/{stage.name}"


def _stage_run(settings: Settings, stage: Stage, seed: int) -> Path:
    return settings.dest / f"seed{seed}" / "stages" / stage.name


def _stage_file(settings: Settings, stage: Stage, seed: int) -> Path:
    return _stage_run(settings, stage, seed) / "stage.json"


def stage_checkpoint(settings: Settings, stage: Stage, seed: int) -> Path:
    """Return where a stage's checkpoint is, or the file that takes its place."""
    given = _given(settings, stage)
    return given or _stage_run(settings, stage, seed) / "checkpoints" / stage.checkpoint


def _export_folder(settings: Settings, stage: Stage) -> Path:
    export, config = stage.export, stage.config + SIZES[settings.size]
    if export is None:
        raise ValueError(f"{stage.name} reads the store itself")
    name = export_name(export, config, _extra(settings, stage.name))
    return settings.dest / "exports" / f"{stage.data}-{name}"


def _export(settings: Settings, stage: Stage) -> None:
    if stage.export is not None:
        config, extra = stage.config + SIZES[settings.size], _extra(settings, stage.name)
        folder = _export_folder(settings, stage)
        write_export(settings.data[stage.data], folder, stage.export, config, extra)


def _run_stage(settings: Settings, stage: Stage, seed: int) -> None:
    done = _stage_file(settings, stage, seed)
    if done.exists():
        return
    run = _stage_run(settings, stage, seed)
    data = settings.data[stage.data]
    overrides = {
        "task.data": data if stage.export is None else _export_folder(settings, stage),
        "common.seed": seed,
        **{key: stage_checkpoint(settings, s, seed) for key, s in stage.starts_from.items()},
        **stage.overrides,
        **_extra(settings, stage.name),
    }
    spent = _train(settings, run, stage.config, overrides, _stage_name(stage, seed))
    about: dict[str, Any] = {
        "stage": stage.name,
        "seed": seed,
        "seconds": round(spent.seconds, 1),
        "peak_memory": spent.peak_memory,
        "checkpoint": last_checkpoint(run).relative_to(settings.dest).as_posix(),
        "records_seen": _records_seen(last_checkpoint(run), len(open_split(data, "train").rows)),
    }
    # The host's own validate nothing.
    if stage.data == UNLABELLED and stage.export is None:
        best = best_checkpoint(run)
        about["retrieval"] = evaluate(best, data, "valid")
        about["valid_loss"] = read_checkpoint(best)["extra_state"].get("best")
    write_json(done, about)


def _records_seen(checkpoint: Path, records: int) -> int:
    """Return how many records a training has read, those of all epochs together."""
    trained = read_checkpoint(checkpoint)
    cfg, place = trained["cfg"], trained["extra_state"]["train_iterator"]
    processes = cfg["distributed_training"]["distributed_world_size"]
    batch = (cfg["dataset"]["batch_size"] or records) * processes
    in_epoch = min(records, place["iterations_in_epoch"] * batch)
    return int((place["epoch"] - 1) * records + in_epoch)


# -- cells -------------------------------------------------------------------------------------


def _source(cell: Cell) -> Cell | None:
    """Return the cell whose classifier *cell* starts from, if it does."""
    mode = cell.method.modes[cell.mode].starts_from
    return dataclasses.replace(cell, mode=mode) if mode else None


def _with_sources(cells: Iterable[Cell]) -> list[Cell]:
    """Return *cells* once each, those that others start from before them."""
    ordered: dict[str, Cell] = {}
    for cell in cells:
        source = _source(cell)
        for one in _with_sources([source]) if source else []:
            ordered.setdefault(one.name, one)
        ordered.setdefault(cell.name, cell)
    return list(ordered.values())


def _cell_file(settings: Settings, cell: Cell) -> Path:
    return settings.dest / cell.name / "cell.json"


def _cell_run(settings: Settings, cell: Cell) -> Path:
    return settings.dest / cell.name / "run"


def _run_cell(settings: Settings, cell: Cell) -> None:
    done = _cell_file(settings, cell)
    if done.exists():
        return
    classifier: Classifier = cell.method.modes[cell.mode]
    encoder = _encoder(settings, cell)
    if classifier.config is None:
        if encoder is None:
            raise InfarctionError(f"{cell.name}: no encoder, so no head that could be judged")
        checkpoint, spent, records = encoder, Spent(0.0, None), 0
    else:
        data = _labelled(settings, cell.fraction, cell.seed)
        run = _cell_run(settings, cell)
        overrides = {
            "task.data": data,
            "common.seed": cell.seed,
            classifier.encoder_key: encoder,
            **classifier.overrides,
            **_extra(settings, cell.mode),
        }
        spent = _train(settings, run, classifier.config, overrides, cell.name)
        checkpoint, records = best_checkpoint(run), len(open_split(data, "train").rows)
    predictions = predict_split(checkpoint, settings.data[LABELLED], "test")
    done.parent.mkdir(parents=True, exist_ok=True)
    predictions.write(done.parent / "predictions.parquet")
    write_json(
        done,
        {
            "method": cell.method.name,
            "mode": cell.mode,
            "fraction": cell.fraction,
            "seed": cell.seed,
            "seconds": round(spent.seconds, 1),
            "train_records": records,
            **figures_of(predictions),
        },
    )


def _encoder(settings: Settings, cell: Cell) -> Path | None:
    source = _source(cell)
    if source is not None:
        return best_checkpoint(_cell_run(settings, source))
    encoder = cell.method.encoder
    return None if encoder is None else stage_checkpoint(settings, encoder, cell.seed)


def _labelled(settings: Settings, fraction: float, seed: int) -> Path:
    """Return the folder of manifests; a part of the training records has its own."""
    if fraction == 1:
        return settings.data[LABELLED]
    return settings.dest / f"seed{seed}" / "labels" / f"{fraction:g}"


def _write_labelled(settings: Settings, fraction: float, seed: int) -> None:
    folder = _labelled(settings, fraction, seed)
    if not folder.exists():
        write_fraction(settings.data[LABELLED], folder, fraction, seed)


# -- both --------------------------------------------------------------------------------------


def _extra(settings: Settings, name: str) -> dict[str, object]:
    return {**settings.overrides.get("", {}), **settings.overrides.get(name, {})}


def _train(
    settings: Settings, run: Path, config: str, overrides: Mapping[str, object], name: str
) -> Spent:
    """Train; return the seconds of all attempts together, interrupted ones too."""
    log = settings.dest / "logs" / f"{name.replace('/', '-')}.log"
    threads = max(1, (os.cpu_count() or 1) // settings.workers)
    file = run.parent / f"{run.name}-seconds.json"
    before = _read(file)["seconds"] if file.exists() else 0.0
    began = time.monotonic()
    try:
        spent = train(run, config + SIZES[settings.size], overrides, log, threads)
    finally:
        seconds = before + time.monotonic() - began
        write_json(file, {"seconds": seconds})
    return Spent(seconds, spent.peak_memory)


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))
