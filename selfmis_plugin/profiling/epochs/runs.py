"""Whole trainings, each in processes of its own: the plain program, and this plugin's commands."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from selfmis_plugin.data.filter_names import ECGFOUNDER, NO_FILTER
from selfmis_plugin.profiling.epochs.plain import PlainSettings
from selfmis_plugin.profiling.page_cache import forget
from selfmis_plugin.profiling.process_tree import Spent, run_watched
from selfmis_plugin.profiling.step_ways import CONFIGS
from selfmis_plugin.training.run_log import epoch_times
from selfmis_plugin.utils.files import write_json
from selfmis_plugin.utils.parallel import usable_cores
from selfmis_plugin.utils.threads import environment_of

__all__ = ["Plan", "Run", "run_ours", "run_plain"]

#: Hz that the encoders of a size see.
RATES = {"full": 500, "small": 100}
_CONFIGS = {"full": "selfmis_pretrain", "small": "selfmis_pretrain_small"}
_WORKERS = 2
_PROGRAM = "selfmis_plugin.profiling.epochs.plain"


@dataclass(frozen=True)
class Plan:
    """What both sides are to train.

    Attributes
    ----------
    size
        Key of :data:`RATES`.
    database
        Folder of the records, in MIMIC-IV-ECG's layout.
    work
        Folder for all that the trainings write.
    filtered
        Whether records are filtered as ECGFounder's authors do.
    bfloat16
        Whether the encoders compute in bfloat16, as under autocast.
    batch, threads
        Records of a batch, and threads of PyTorch.
    forced
        Whether our commands are told the threads too, and do not choose them.
    """

    size: str
    database: Path
    work: Path
    filtered: bool
    bfloat16: bool
    batch: int
    threads: int
    forced: bool = False

    @property
    def rate(self) -> int:
        """Hz that the encoders see."""
        return RATES[self.size]

    @property
    def workers(self) -> int:
        """Processes that read for the plain training."""
        return _WORKERS

    @property
    def filter(self) -> str:
        """What ``prepare --filter`` is told."""
        return ECGFOUNDER if self.filtered else NO_FILTER

    def environment(self) -> dict[str, str]:
        """Return the environment of a process of either side."""
        count = {"OMP_NUM_THREADS": str(self.threads)} if self.forced else {}
        return {**environment_of(usable_cores()), **count}

    def files(self) -> Iterator[Path]:
        """Yield the files of the records."""
        for suffix in (".hea", ".dat"):
            yield from self.database.glob(f"files/*/*/*/*{suffix}")


@dataclass(frozen=True)
class Run:
    """A training from its files to the loss of its last epoch.

    Attributes
    ----------
    epochs
        How many.
    spent
        What all its commands took, from the start of the first to the end of the last.
    each
        Seconds of every epoch; of ours the first has the embeddings that are kept, and neither has
        the start of a process.
    losses
        Mean loss of a record of every epoch.
    """

    epochs: int
    spent: Spent
    each: tuple[float, ...]
    losses: tuple[float, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the figures for a JSON file."""
        return dataclasses.asdict(self)


def run_plain(plan: Plan, epochs: int) -> Run:
    """Train as people write it, from files that are on the disk alone.

    Raises
    ------
    BenchmarkError
        If it fails.
    """
    folder = _fresh(plan.work / "plain")
    settings = PlainSettings(
        database=str(plan.database),
        result=str(folder / "result.json"),
        checkpoint=str(folder / "checkpoint.pt"),
        encoder=dataclasses.asdict(CONFIGS[plan.size]),
        rate=plan.rate,
        filtered=plan.filtered,
        epochs=epochs,
        batch=plan.batch,
        workers=plan.workers,
        threads=plan.threads,
        bfloat16=plan.bfloat16,
    )
    write_json(folder / "settings.json", dataclasses.asdict(settings))
    forget(plan.files())
    command = [sys.executable, "-m", _PROGRAM, str(folder / "settings.json")]
    spent = run_watched(command, folder / "log.txt", plan.environment())
    found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return Run(epochs, spent, tuple(found["seconds"]), tuple(found["losses"]))


def run_ours(plan: Plan, epochs: int) -> Run:
    """Prepare a store and train on it, as users do, from files that are on the disk alone.

    Nothing is validated, as by the plain training.

    Raises
    ------
    BenchmarkError
        If it fails.
    """
    folder = _fresh(plan.work / "ours")
    store, run = folder / "store", folder / "run"
    selfmis = [sys.executable, "-m", "selfmis_plugin.cli.main"]
    prepare = ["prepare", "mimic-iv-ecg", str(plan.database), "--dest", str(store)]
    prepare += ["--valid-records", "0", "--filter", plan.filter]
    train = ["train", _CONFIGS[plan.size], f"task.data={store}", f"hydra.run.dir={run}"]
    train += [
        f"dataset.batch_size={plan.batch}",
        "dataset.disable_validation=true",
        f"model.precision={'bfloat16' if plan.bfloat16 else 'float32'}",
        # As many operations as with weights of somebody's.
        "model.allow_untrained_tower=true",
        f"optimization.max_epoch={epochs}",
        "lr_scheduler.warmup_updates=0",
    ]
    forget(plan.files())
    prepared = run_watched([*selfmis, *prepare], folder / "prepare.txt", plan.environment())
    trained = run_watched([*selfmis, *train], folder / "train.txt", plan.environment())
    times = epoch_times(run)
    return Run(epochs, prepared.then(trained), tuple(times.seconds), tuple(times.losses))


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
