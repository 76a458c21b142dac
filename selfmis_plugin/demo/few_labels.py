"""A demo on few labels: a few labelled records for each seed, and the benchmark's rows on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from selfmis_plugin.benchmark.cohort import (
    ARCHIVE,
    POOL_FOLDS,
    STUDY,
    UNLABELLED,
    rows_of_folds,
    write_study,
)
from selfmis_plugin.benchmark.commands import best_checkpoint
from selfmis_plugin.benchmark.settings import Cell, Settings, cell_run, stage_checkpoint
from selfmis_plugin.data.store import Store
from selfmis_plugin.demo.few_labels_report import write_report
from selfmis_plugin.demo.recipe import Begun, Told, begin, judge, settings_of
from selfmis_plugin.evaluation.evaluate import evaluate
from selfmis_plugin.methods import method
from selfmis_plugin.methods.demo_plan import FewLabels
from selfmis_plugin.methods.method import Mode
from selfmis_plugin.utils.files import write_json

__all__ = ["run_demo"]

CURVE_RANKS = (1, 2, 5, 10, 20, 50, 100)


def run_demo(
    plan: FewLabels, dest: Path, seeds: int, scale: float, workers: int, version: int
) -> dict[str, Any]:
    """Run the demo and write ``report.json``, ``report.md`` and ``report.png`` into *dest*.

    Parameters
    ----------
    plan
        What is trained and compared.
    dest
        Folder of the demo. A demo of another scale in it is refused.
    seeds
        Number of seeds. A seed sets the initial weights, the order of the records and which
        records count as labelled; the cohort is the same.
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
    settings = [_settings(plan, begun, seed, workers) for seed in range(1, seeds + 1)]
    told = Told(runs=seeds)
    cells = [_figures(plan, of_seed, told) for of_seed in settings]
    report = write_report(plan, begun.dest, cells, begun.sizes, begun.seconds, version)
    print("\n".join(_next_commands(plan, begun.dest, settings[0])))
    return report


def _settings(plan: FewLabels, begun: Begun, seed: int, workers: int) -> Settings:
    """Return the benchmark of a seed: its labelled records are its own, so its folder is."""
    folder = begun.dest / f"draw{seed}"
    root = begun.stores[STUDY]
    pool = rows_of_folds(Store.open(root), POOL_FOLDS)
    chosen = np.random.default_rng(seed).permutation(pool)[: begun.sizes.few_labels]
    data = {
        method.LABELLED: write_study(folder / "study", root, np.sort(chosen)),
        method.UNLABELLED: begun.stores[UNLABELLED],
        method.ARCHIVE: begun.stores[ARCHIVE],
    }
    judged = [row.judged for row in plan.rows.values()]
    return settings_of(plan, begun, folder, judged, data, [seed], workers)


def _figures(plan: FewLabels, settings: Settings, told: Told) -> dict[str, Any]:
    """Train and judge everything for one seed; return its figures."""
    (seed,) = settings.seeds
    report = judge(settings, told)
    cells = {Mode(cell["method"], cell["mode"]): cell for cell in report["cells"]}
    return {
        "seed": seed,
        "rows": {name: cells[row.judged] for name, row in plan.rows.items()},
        "retrieval": {name: _retrieval(plan, settings, name) for name in plan.retrievals},
        "training_seconds": {
            **{stage["stage"]: stage["seconds"] for stage in report["stages"]},
            **{name: cells[row.judged]["seconds"] for name, row in plan.rows.items()},
        },
    }


def _retrieval(plan: FewLabels, settings: Settings, row: str) -> dict[str, Any]:
    """Return how well the pre-training that a row is made of finds the test records."""
    done = settings.dest / f"retrieval-{row}.json"
    if not done.is_file():
        known = settings.known(plan.rows[row].judged.method)
        assert known is not None and known.encoder is not None
        best = stage_checkpoint(settings, known.encoder, settings.seeds[0])
        study = settings.data[method.LABELLED]
        write_json(done, evaluate(best, study, "test", ranks=CURVE_RANKS))
    return dict(json.loads(done.read_text(encoding="utf-8")))


def _next_commands(plan: FewLabels, dest: Path, settings: Settings) -> list[str]:
    """Return what to try next with the classifier that the demo is about."""
    row = plan.rows.get(plan.name) or next(iter(plan.rows.values()))
    known = settings.known(row.judged.method)
    assert known is not None
    cell = Cell(known, row.judged.mode, settings.fractions[0], settings.seeds[0])
    model, study = best_checkpoint(cell_run(settings, cell)), settings.data[method.LABELLED]
    return [
        "next:",
        f"  selfmis evaluate --checkpoint {model} --data {study}",
        f"  selfmis report --checkpoint {model} --data {study} --dest {dest / 'model-report'}",
        f"  selfmis export --checkpoint {model} --data {study} --dest {dest / 'model'}",
        f"  selfmis predict --model {dest / 'model'} RECORDING",
    ]
