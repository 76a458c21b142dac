"""The demo: cohort, stores, trainings, figures; every step only if it is not done already."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from selfmis_plugin import __version__, toolkit
from selfmis_plugin.data.store import Store, write_manifest
from selfmis_plugin.demo.plan import RETRIEVALS, ROWS, TRAININGS, Sizes, Training
from selfmis_plugin.demo.report import write_report
from selfmis_plugin.evaluation.evaluate import evaluate
from selfmis_plugin.files import write_json

COHORT_SEED = 2025
CURVE_RANKS = (1, 2, 5, 10, 20, 50, 100)
#: Folds of the study's cohort: a pool of which a few records count as labelled, one fold to choose
#: checkpoints by, and the rest to test on. PTB-XL's own split (8/1/1) would leave a test split
#: of a few hundred records here.
FEW_FOLDS, VALID_FOLDS, TEST_FOLDS = (1, 2, 3, 4), (5,), (6, 7, 8, 9, 10)


class DemoError(RuntimeError):
    """A step of the demo failed."""


def run_demo(dest: Path, seeds: int, scale: float, workers: int) -> dict[str, Any]:
    """Run the demo and write ``report.json``, ``report.md`` and ``report.png`` into *dest*.

    Parameters
    ----------
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
        If a step fails; the message names the step's log.
    """
    if seeds < 1 or workers < 1:
        raise DemoError("--seeds and --workers must be at least 1")
    started = time.monotonic()
    dest = dest.resolve()
    dest.mkdir(parents=True, exist_ok=True)
    sizes = Sizes().scaled(scale)
    _claim(dest, sizes)
    _make_data(dest, sizes, workers)
    cells = [_run_seed(dest, seed, sizes, workers) for seed in range(1, seeds + 1)]
    seconds = time.monotonic() - started
    return write_report(dest, cells, sizes, seconds)


def _claim(dest: Path, sizes: Sizes) -> None:
    """Refuse a folder in which another demo has been started: its figures would pass for ours."""
    path = dest / "demo.json"
    about = {
        "sizes": asdict(sizes),
        "cohort_seed": COHORT_SEED,
        "host": toolkit.host_version(),
        "selfmis_plugin": __version__,
    }
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != about:
            raise DemoError(
                f"{dest} holds a demo with other settings ({path}). Choose another folder with "
                "--dest, or delete this one"
            )
    else:
        write_json(path, about)


def _make_data(dest: Path, sizes: Sizes, workers: int) -> None:
    """Write the three cohorts as WFDB files and prepare a store of each."""
    for name, layout, database, records, extra in (
        ("archive", "ptbxl", "ptbxl", sizes.archive, ()),
        (
            "unlabelled",
            "mimic-iv-ecg",
            "mimic-iv-ecg",
            sizes.unlabelled,
            ("--valid-records", str(sizes.unlabelled_valid)),
        ),
        ("study", "ptbxl", "ptbxl", sizes.study, ()),
    ):
        store = dest / "stores" / name
        if (store / "store.json").is_file():
            continue
        # Patients of the archive and of the study must differ, so their seeds do.
        seed = COHORT_SEED + (name == "study")
        wfdb = dest / "wfdb" / name
        _selfmis(
            dest,
            f"synthesise-{name}",
            ["prepare", "synthetic", str(wfdb), "--layout", layout, "--records", str(records)]
            + ["--seed", str(seed), "--workers", str(workers)],
        )
        _selfmis(
            dest,
            f"prepare-{name}",
            ["prepare", database, str(wfdb), "--dest", str(store), "--workers", str(workers)]
            + list(extra),
        )


def _run_seed(dest: Path, seed: int, sizes: Sizes, workers: int) -> dict[str, Any]:
    """Train and evaluate everything for one seed; return its figures."""
    folder = dest / f"seed{seed}"
    done = folder / "figures.json"
    if done.is_file():
        return dict(json.loads(done.read_text(encoding="utf-8")))
    study = _study_manifests(dest, folder, seed, sizes.few_labels)
    data = {
        "archive": dest / "stores" / "archive",
        "unlabelled": dest / "stores" / "unlabelled",
        "study": study,
    }
    seconds = _train_all(folder, data, seed, sizes, workers)
    figures = {
        "seed": seed,
        "rows": {row: evaluate(_best(folder, row), study, "test") for row in ROWS},
        "retrieval": {
            name: evaluate(_best(folder, training), study, "test", ranks=CURVE_RANKS)
            for name, training in RETRIEVALS.items()
        },
        "training_seconds": seconds,
    }
    write_json(done, figures)
    return figures


def _train_all(
    folder: Path, data: dict[str, Path], seed: int, sizes: Sizes, workers: int
) -> dict[str, float]:
    """Run the trainings, as many at a time as there are workers; return the seconds of each.

    Small encoders gain little from a second thread and lose much when something else runs on the
    machine, so each training gets its share of the cores and no more.
    """
    threads = max(1, (os.cpu_count() or 1) // workers)
    seconds: dict[str, float] = {}

    def train_one(training: Training) -> None:
        began = time.monotonic()
        _train(folder, training, data[training.data], seed, sizes, threads)
        seconds[training.name] = time.monotonic() - began

    waiting = list(TRAININGS)
    running: dict[Future[None], Training] = {}
    with ThreadPoolExecutor(workers) as pool:
        while waiting or running:
            ready = [t for t in waiting if set(t.starts_from.values()) <= seconds.keys()]
            for training in ready[: workers - len(running)]:
                waiting.remove(training)
                running[pool.submit(train_one, training)] = training
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                del running[future]
                future.result()
    return seconds


def _study_manifests(dest: Path, folder: Path, seed: int, few: int) -> Path:
    """Write the study's manifests: few labelled records, a validation and a test split."""
    manifests = folder / "study"
    root = dest / "stores" / "study"
    store = Store.open(root)
    records = store.records
    pool = np.flatnonzero(records["strat_fold"].isin(FEW_FOLDS).to_numpy())
    chosen = np.sort(np.random.default_rng(seed).permutation(pool)[:few])
    manifests.mkdir(parents=True, exist_ok=True)
    for split, rows in (
        ("train", chosen),
        ("valid", np.flatnonzero(records["strat_fold"].isin(VALID_FOLDS).to_numpy())),
        ("test", np.flatnonzero(records["strat_fold"].isin(TEST_FOLDS).to_numpy())),
    ):
        write_manifest(
            manifests / f"{split}.tsv",
            records["record_id"].iloc[rows].tolist(),
            [store.info.samples] * len(rows),
            root=os.path.relpath(root, manifests),
        )
    return manifests


def _best(folder: Path, training: str) -> Path:
    return folder / training / "checkpoints" / "checkpoint_best.pt"


def _train(
    folder: Path, training: Training, data: Path, seed: int, sizes: Sizes, threads: int
) -> None:
    run = folder / training.name
    overrides = [
        f"hydra.run.dir={run}",
        f"task.data={data}",
        f"common.seed={seed}",
        f"optimization.max_epoch={getattr(sizes, training.epochs)}",
        *(f"{key}={_best(folder, name)}" for key, name in training.starts_from.items()),
        *training.overrides,
    ]
    arguments = ["--config-name", training.config, *overrides]
    # The host's own command. 'selfmis train' is the same, for a host that must be adapted to
    # this Python first.
    command = Path(sys.executable).with_name("fairseq-hydra-train")
    if command.is_file() and not toolkit.ADAPTATIONS:
        _run(folder, training.name, [str(command), *arguments], threads)
    else:
        _selfmis(folder, training.name, ["train", *arguments], threads)


def _selfmis(folder: Path, step: str, arguments: Sequence[str], threads: int = 1) -> None:
    _run(folder, step, [sys.executable, "-m", "selfmis_plugin.cli.main", *arguments], threads)


def _run(folder: Path, step: str, command: Sequence[str], threads: int) -> None:
    """Run a command with its output in a log, and say on one line what it was and took."""
    log = folder / "logs" / f"{step}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"$ {shlex.join(command)}", flush=True)
    began = time.monotonic()
    with log.open("a", encoding="utf-8") as output:
        status = subprocess.run(
            command,
            stdout=output,
            stderr=output,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            check=False,
        ).returncode
    if status != 0:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        raise DemoError(
            f"{step} failed with status {status}; its log is {log}, which ends:\n" + "\n".join(tail)
        )
    print(f"  {step}: {time.monotonic() - began:.0f} s", flush=True)
