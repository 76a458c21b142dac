"""The infarction benchmark's cells: classifiers trained, and judged on the test records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from selfmis_plugin.benchmark.commands import Spent, best_checkpoint
from selfmis_plugin.benchmark.settings import (
    Cell,
    InfarctionError,
    Settings,
    cell_file,
    cell_run,
    further_keys,
    labelled_folder,
    source_of,
    stage_checkpoint,
)
from selfmis_plugin.benchmark.timed_training import train_timed
from selfmis_plugin.data.fraction_manifests import write_fraction
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.evaluation.evaluate import figures_of, predict_split
from selfmis_plugin.methods.method import LABELLED, Classifier
from selfmis_plugin.utils.files import write_json

__all__ = ["run_cell", "with_sources", "write_labelled"]


def with_sources(cells: Iterable[Cell]) -> list[Cell]:
    """Return *cells* once each, those that others start from before them."""
    ordered: dict[str, Cell] = {}
    for cell in cells:
        source = source_of(cell)
        for one in with_sources([source]) if source else []:
            ordered.setdefault(one.name, one)
        ordered.setdefault(cell.name, cell)
    return list(ordered.values())


def run_cell(settings: Settings, cell: Cell) -> None:
    """Train and judge one classifier; a cell that is done stays."""
    done = cell_file(settings, cell)
    if done.exists():
        return
    classifier: Classifier = cell.method.modes[cell.mode]
    encoder = _encoder(settings, cell)
    if classifier.config is None:
        if encoder is None:
            raise InfarctionError(f"{cell.name}: no encoder, so no head that could be judged")
        checkpoint, spent, records = encoder, Spent(0.0, None), 0
    else:
        data = labelled_folder(settings, cell.fraction, cell.seed)
        run = cell_run(settings, cell)
        overrides = {
            "task.data": data,
            "common.seed": cell.seed,
            classifier.encoder_key: encoder,
            **classifier.overrides,
            **further_keys(settings, cell.mode),
        }
        spent = train_timed(settings, run, classifier.config, overrides, cell.name)
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
    source = source_of(cell)
    if source is not None:
        return best_checkpoint(cell_run(settings, source))
    encoder = cell.method.encoder
    return None if encoder is None else stage_checkpoint(settings, encoder, cell.seed)


def write_labelled(settings: Settings, fraction: float, seed: int) -> None:
    """Choose the labelled records of a fraction, once for all methods."""
    folder = labelled_folder(settings, fraction, seed)
    if not folder.exists():
        write_fraction(settings.data[LABELLED], folder, fraction, seed)
