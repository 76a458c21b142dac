"""The infarction benchmark's cells: classifiers trained, and judged on the test records."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from selfmis_plugin.benchmark.commands import Spent, best_checkpoint
from selfmis_plugin.benchmark.folder import read_json
from selfmis_plugin.benchmark.recipes import stamp
from selfmis_plugin.benchmark.settings import (
    Cell,
    InfarctionError,
    Settings,
    brought,
    cell_file,
    cell_run,
    further_keys,
    labelled_folder,
    stage_file,
)
from selfmis_plugin.benchmark.sources import (
    source_checkpoint,
    source_files,
    sources_of,
    stages_of,
    with_sources,
)
from selfmis_plugin.benchmark.tested_people import SEEN, seen_of
from selfmis_plugin.benchmark.timed_training import train_timed
from selfmis_plugin.checkpoints.facts import read_facts
from selfmis_plugin.data.fraction_manifests import write_fraction
from selfmis_plugin.data.provenance import Provenance
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.trained_people import trained_on
from selfmis_plugin.evaluation.evaluate import figures_of, predict_split
from selfmis_plugin.methods.makers import maker_of, predictor_of
from selfmis_plugin.methods.method import LABELLED, UNLABELLED, Classifier, list_of_key
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.utils.files import write_json

__all__ = ["run_cell", "write_labelled"]


def run_cell(settings: Settings, cell: Cell, recipe: str) -> None:
    """Train and judge one classifier, and write its recipe's digest beside its figures; a cell that
    is done stays."""
    done = cell_file(settings, cell)
    if done.exists():
        return
    made = _made(settings, cell)
    predictions = made.predictions
    if predictions is None:
        predictions = predict_split(made.checkpoint, settings.data[LABELLED], "test")
    provenance = made.provenance or read_facts(made.checkpoint).provenance
    done.parent.mkdir(parents=True, exist_ok=True)
    predictions.write(done.parent / "predictions.parquet")
    write_json(
        done,
        {
            "method": cell.method.name,
            "mode": cell.mode,
            "fraction": cell.fraction,
            "seed": cell.seed,
            "seconds": round(made.spent.seconds, 1),
            **_processor_time(settings, cell, made.spent),
            **stamp(recipe, source_files(settings, sources_of(settings, cell).values(), cell.seed)),
            "train_records": made.records,
            SEEN: seen_of(provenance, open_split(settings.data[LABELLED], "test")),
            **figures_of(predictions, settings.draws),
        },
    )


@dataclass(frozen=True)
class _Made:
    """What a cell's classifier is.

    Attributes
    ----------
    checkpoint
        Where it lies; not asked where there are *predictions*.
    spent
        What its own training took.
    records
        That it was trained on, with labels.
    predictions
        Of what leaves no checkpoint.
    provenance
        What that was trained on; of others their checkpoint says it.
    """

    checkpoint: Path
    spent: Spent
    records: int
    predictions: Predictions | None = None
    provenance: Provenance = ()


def _made(settings: Settings, cell: Cell) -> _Made:
    """Train a cell's classifier, or take it as it is."""
    classifier: Classifier = cell.method.modes[cell.mode]
    checkpoints = {
        key: source_checkpoint(settings, source, cell.seed)
        for key, source in sources_of(settings, cell).items()
    }
    data = labelled_folder(settings, cell.fraction, cell.seed)
    checkpoint = best_checkpoint(cell_run(settings, cell))
    began, cpu = time.monotonic(), time.process_time()
    if classifier.predictor is not None:
        known, asked = open_split(data, "train"), open_split(settings.data[LABELLED], "test")
        predictions = predictor_of(classifier.predictor)(known, asked)
        spent = _spent_here(began, cpu)
        of = (trained_on(classifier.predictor, known.store, known.rows),)
        return _Made(checkpoint, spent, len(known.rows), predictions, of)
    if classifier.maker is not None:
        make = maker_of(classifier.maker)
        make(checkpoints, settings.data.get(UNLABELLED, data), checkpoint)
        spent = _spent_here(began, cpu)
        return _Made(checkpoint, spent, len(open_split(data, "train").rows))
    if classifier.config is None:
        # Judged as it is.
        if classifier.encoder_key not in checkpoints:
            raise InfarctionError(f"{cell.name}: no encoder, so no head that could be judged")
        return _Made(checkpoints[classifier.encoder_key], Spent(0.0, None), 0)
    overrides = {
        "task.data": data,
        "common.seed": cell.seed,
        # An encoder with weights of its own; who names sources may have no such key.
        **({} if classifier.sources() else {classifier.encoder_key: None}),
        **_by_key(checkpoints),
        **{
            key: settings.data[role]
            for key, role in classifier.reads.items()
            if role in settings.data
        },
        **({"model.bias_from_prevalence": False} if settings.former_heads else {}),
        **classifier.overrides,
        **further_keys(settings, cell.mode, f"{cell.method.name}/{cell.mode}"),
    }
    run = cell_run(settings, cell)
    spent = train_timed(settings, run, classifier.config, overrides, cell.name)
    return _Made(checkpoint, spent, len(open_split(data, "train").rows))


def _spent_here(began: float, cpu: float) -> Spent:
    """Return what work in this process took since these moments, seconds of both clocks."""
    return Spent(time.monotonic() - began, None, time.process_time() - cpu)


def _by_key(checkpoints: Mapping[str, Path]) -> dict[str, object]:
    """Return checkpoints by config key, several of one key as its list."""
    found: dict[str, object] = {}
    lists: dict[str, list[Path]] = {}
    for name, path in checkpoints.items():
        key = list_of_key(name)
        if key is None:
            found[name] = path
        else:
            found[key] = lists.setdefault(key, [])
            lists[key].append(path)
    return found


def _processor_time(settings: Settings, cell: Cell, spent: Spent) -> dict[str, float | None]:
    """Return the processor time of a cell's own training, and that of all which its checkpoint
    needed, without what was there before; None if one is not known."""
    own = spent.cpu_seconds if spent.seconds else 0.0
    whole = with_sources(settings, [cell])
    stages = {stage.name: stage for one in whole for stage in stages_of(settings, one)}
    took = [own]
    for stage in stages.values():
        if not brought(settings, stage, cell.seed):
            took.append(read_json(stage_file(settings, stage, cell.seed)).get("cpu_seconds"))
    for one in whole:
        if one != cell:
            took.append(read_json(cell_file(settings, one)).get("own_cpu_seconds"))
    known = [seconds for seconds in took if seconds is not None]
    return {
        "own_cpu_seconds": own,
        "cpu_seconds": round(sum(known), 1) if len(known) == len(took) else None,
    }


def write_labelled(settings: Settings, fraction: float, seed: int) -> None:
    """Choose the labelled records of a fraction, once for all methods."""
    folder = labelled_folder(settings, fraction, seed)
    if not folder.exists():
        write_fraction(settings.data[LABELLED], folder, fraction, seed)
