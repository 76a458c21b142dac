"""The infarction benchmark's pre-trainings, and the files that the host's own ones read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfmis_plugin.benchmark.commands import best_checkpoint, last_checkpoint
from selfmis_plugin.benchmark.host_methods import export_name, write_export
from selfmis_plugin.benchmark.recipes import stamp
from selfmis_plugin.benchmark.settings import (
    SIZES,
    Settings,
    further_keys,
    stage_checkpoint,
    stage_file,
    stage_name,
    stage_run,
)
from selfmis_plugin.benchmark.sources import source_files
from selfmis_plugin.benchmark.timed_training import train_timed
from selfmis_plugin.checkpoints import CheckpointError, read_checkpoint
from selfmis_plugin.checkpoints.contract import EmbedsPairs
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.checkpoints.reading import mapping
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.evaluation.evaluate import evaluate
from selfmis_plugin.methods.method import BEST, UNLABELLED, Stage
from selfmis_plugin.utils.files import write_json

__all__ = ["export_folder", "run_stage", "write_stage_export"]


def run_stage(settings: Settings, stage: Stage, seed: int, recipe: str) -> None:
    """Pre-train, and write down what it took and the recipe's digest; a stage that is done
    stays."""
    done = stage_file(settings, stage, seed)
    if done.exists():
        return
    run = stage_run(settings, stage, seed)
    data = settings.data[stage.data]
    overrides = {
        "task.data": data if stage.export is None else export_folder(settings, stage),
        "common.seed": seed,
        **{key: stage_checkpoint(settings, s, seed) for key, s in stage.starts_from.items()},
        **stage.overrides,
        **_epochs(settings, stage),
        **further_keys(settings, stage.name),
    }
    spent = train_timed(settings, run, stage.config, overrides, stage_name(stage, seed))
    about: dict[str, Any] = {
        "stage": stage.name,
        "seed": seed,
        **stamp(recipe, source_files(settings, stage.starts_from.values(), seed)),
        "seconds": round(spent.seconds, 1),
        "cpu_seconds": spent.cpu_seconds,
        "peak_memory": spent.peak_memory,
        "checkpoint": last_checkpoint(run).relative_to(settings.dest).as_posix(),
        "records_seen": _records_seen(last_checkpoint(run), len(open_split(data, "train").rows)),
    }
    # The host's own validate nothing, nor need a training whose last checkpoint is taken.
    best = best_checkpoint(run)
    if stage.export is None and (best.is_file() or stage.checkpoint == BEST):
        about |= _validated(best, data, stage.data == UNLABELLED)
    write_json(done, about)


def _epochs(settings: Settings, stage: Stage) -> dict[str, object]:
    """Return the epochs that come nearest to the budget of ECGs, at least one."""
    if settings.budget is None:
        return {}
    records = len(open_split(settings.data[stage.data], "train").rows)
    return {"optimization.max_epoch": max(1, round(settings.budget * stage.share / records))}


def _validated(best: Path, data: Path, unlabelled: bool) -> dict[str, Any]:
    """Return what the training measured of its best checkpoint and, where nothing but signals is
    read, how well one lead finds the whole record if it embeds such pairs."""
    checkpoint = read_checkpoint(best)
    figures = mapping(mapping(checkpoint.get("task_state")).get("validation"))
    about: dict[str, Any] = {"figures": dict(figures)}
    if unlabelled:
        if _embeds_pairs(best):
            about["retrieval"] = evaluate(best, data, "valid")
        about["valid_loss"] = checkpoint["extra_state"].get("best")
    return about


def _embeds_pairs(best: Path) -> bool:
    try:
        return isinstance(load_trained(best), EmbedsPairs)
    except CheckpointError:
        return False  # a method whose checkpoints have no reader is judged by its probe alone


def write_stage_export(settings: Settings, stage: Stage) -> None:
    """Write the files that a stage of the host's own reads, if it is one."""
    if stage.export is not None:
        config, extra = stage.config + SIZES[settings.size], further_keys(settings, stage.name)
        folder = export_folder(settings, stage)
        write_export(settings.data[stage.data], folder, stage.export, config, extra)


def export_folder(settings: Settings, stage: Stage) -> Path:
    """Return the folder of the files that a stage of the host's own reads."""
    export, config = stage.export, stage.config + SIZES[settings.size]
    if export is None:
        raise ValueError(f"{stage.name} reads the store itself")
    name = export_name(export, config, further_keys(settings, stage.name))
    return settings.dest / "exports" / f"{stage.data}-{name}"


def _records_seen(checkpoint: Path, records: int) -> int:
    """Return how many records a training has read, those of all epochs together."""
    trained = read_checkpoint(checkpoint)
    cfg, place = trained["cfg"], trained["extra_state"]["train_iterator"]
    processes = cfg["distributed_training"]["distributed_world_size"]
    batch = (cfg["dataset"]["batch_size"] or records) * processes
    in_epoch = min(records, place["iterations_in_epoch"] * batch)
    return int((place["epoch"] - 1) * records + in_epoch)
