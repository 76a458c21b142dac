"""A demo on few labels: cohort, stores, trainings, figures; every step only if it is not done."""

from __future__ import annotations

import functools
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from selfmis_plugin import toolkit
from selfmis_plugin._version import __version__
from selfmis_plugin.benchmark.cohort import (
    COHORT_SEED,
    POOL_FOLDS,
    STUDY,
    make_cohort,
    rows_of_folds,
    write_study,
)
from selfmis_plugin.benchmark.commands import best_checkpoint, train
from selfmis_plugin.benchmark.graph import Step, run_steps
from selfmis_plugin.data.store import Store
from selfmis_plugin.demo.demo import DemoError, claim
from selfmis_plugin.demo.few_labels_report import write_report
from selfmis_plugin.demo.steps import Steps
from selfmis_plugin.evaluation.evaluate import evaluate
from selfmis_plugin.methods.demo_plan import FewLabels, FewLabelsSizes, Training
from selfmis_plugin.training.configs import config_file
from selfmis_plugin.training.known_configs import title_of
from selfmis_plugin.utils.files import write_json
from selfmis_plugin.utils.parallel import usable_cores

__all__ = ["run_demo"]

CURVE_RANKS = (1, 2, 5, 10, 20, 50, 100)


def run_demo(plan: FewLabels, dest: Path, seeds: int, scale: float, workers: int) -> dict[str, Any]:
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
    claim(
        dest,
        {
            "sizes": asdict(sizes),
            "cohort_seed": COHORT_SEED,
            "host": toolkit.host_version(),
            "selfmis_plugin": __version__,
        },
    )
    make_cohort(dest, sizes.archive, sizes.unlabelled, sizes.unlabelled_valid, sizes.study, workers)
    steps = Steps(seeds * len(plan.trainings))
    cells = [_run_seed(plan, dest, seed, sizes, workers, steps) for seed in range(1, seeds + 1)]
    seconds = time.monotonic() - started
    report = write_report(plan, dest, cells, sizes, seconds)
    print("\n".join(next_commands(plan, dest)))
    return report


def next_commands(plan: FewLabels, dest: Path) -> list[str]:
    """Return what to try next with the classifier that the demo is about."""
    row = plan.name if plan.name in plan.rows else next(iter(plan.rows))
    model, study = _best(dest / "seed1", row), dest / "seed1" / "study"
    return [
        "next:",
        f"  selfmis evaluate --checkpoint {model} --data {study}",
        f"  selfmis report --checkpoint {model} --data {study} --dest {dest / 'model-report'}",
        f"  selfmis export --checkpoint {model} --data {study} --dest {dest / 'model'}",
        f"  selfmis predict --model {dest / 'model'} RECORDING",
    ]


def _run_seed(
    plan: FewLabels, dest: Path, seed: int, sizes: FewLabelsSizes, workers: int, steps: Steps
) -> dict[str, Any]:
    """Train and evaluate everything for one seed; return its figures."""
    folder = dest / f"seed{seed}"
    done = folder / "figures.json"
    if done.is_file():
        print(f"seed {seed}: done before", flush=True)
        steps.skip(len(plan.trainings))
        return dict(json.loads(done.read_text(encoding="utf-8")))
    study = _study_manifests(dest, folder, seed, sizes.few_labels)
    data = {
        "archive": dest / "stores" / "archive",
        "unlabelled": dest / "stores" / "unlabelled",
        "study": study,
    }
    seconds = _train_all(plan, folder, data, seed, sizes, workers, steps)
    figures = {
        "seed": seed,
        "rows": {row: evaluate(_best(folder, row), study, "test") for row in plan.rows},
        "retrieval": {
            name: evaluate(_best(folder, training), study, "test", ranks=CURVE_RANKS)
            for name, training in plan.retrievals.items()
        },
        "training_seconds": seconds,
    }
    write_json(done, figures)
    return figures


def _train_all(
    plan: FewLabels,
    folder: Path,
    data: dict[str, Path],
    seed: int,
    sizes: FewLabelsSizes,
    workers: int,
    told: Steps,
) -> dict[str, float]:
    """Run the trainings, as many at a time as there are workers; return the seconds of each.

    Each training gets its share of the cores and no more; a small encoder takes one.
    """
    threads = max(1, usable_cores() // workers)
    seconds: dict[str, float] = {}

    def train_one(training: Training) -> None:
        overrides = {
            "task.data": data[training.data],
            "common.seed": seed,
            "optimization.max_epoch": getattr(sizes, training.epochs),
            **{key: _best(folder, name) for key, name in training.starts_from.items()},
            **training.overrides,
        }
        log = folder / "logs" / f"{training.name}.log"
        run = folder / training.name
        title = title_of(config_file(training.config))
        with told.step(f"{training.name}, seed {seed}: {title}"):
            seconds[training.name] = train(run, training.config, overrides, log, threads).seconds

    steps = {
        training.name: Step(
            tuple(training.starts_from.values()), functools.partial(train_one, training)
        )
        for training in plan.trainings
    }
    for error in run_steps(steps, workers).values():
        raise error
    return seconds


def _study_manifests(dest: Path, folder: Path, seed: int, few: int) -> Path:
    """Write the study's manifests: few labelled records, a validation and a test split."""
    root = dest / "stores" / STUDY
    pool = rows_of_folds(Store.open(root), POOL_FOLDS)
    chosen = np.sort(np.random.default_rng(seed).permutation(pool)[:few])
    return write_study(folder / "study", root, chosen)


def _best(folder: Path, training: str) -> Path:
    return best_checkpoint(folder / training)
