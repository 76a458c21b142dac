"""Small stores in folds, and a benchmark over them whose trainings are written, not trained."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfmis_plugin.benchmark import timed_training
from selfmis_plugin.benchmark.commands import Spent
from selfmis_plugin.benchmark.settings import Settings
from selfmis_plugin.data.splits import open_splits
from selfmis_plugin.data.store import Store, StoreWriter
from selfmis_plugin.methods import known_methods
from tests.checkpoint_files import write_run
from tests.support import LABELS

TYPES = LABELS[1:]


SPLITS = ("train", "valid", "test")


def write_patients(
    path: Path,
    patients: Sequence[int | str],
    folds: Sequence[int | None],
    database: str = "ptbxl",
    without: Collection[int] = (),
) -> Path:
    """Write a store of short records of these patients, in these folds of their own; those in the
    folds *without* have no infarction."""
    sets = {"diagnostic": LABELS, "infarction": TYPES}
    rng = np.random.default_rng(0)
    with StoreWriter(path, database=database, label_sets=sets, seconds=1) as writer:
        for number, (patient, fold) in enumerate(zip(patients, folds, strict=True)):
            labels = [name for name in LABELS if rng.random() < 0.4]
            labels = ["NORM"] if fold in without else labels
            writer.append(
                rng.integers(-500, 500, (12, 500)).astype(np.int16),
                {
                    "record_id": f"{number:05d}",
                    "patient_id": str(patient),
                    "source": f"r{number}",
                    "split": "valid" if number % 5 == 0 else "train",
                    "repaired": "",
                    "lead_mask": 2**12 - 1,
                    "labels": labels,
                    "strat_fold": fold,
                },
            )
    return path


@pytest.fixture(scope="module")
def own_folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty records of forty patients, in ten folds that keep patients together."""
    rng = np.random.default_rng(1)
    patients = [*range(40), *range(20)]
    fold_of = rng.permutation(np.arange(40) % 10 + 1)
    folder = tmp_path_factory.mktemp("folds")
    return write_patients(folder / "own", patients, [int(fold_of[p]) for p in patients])


def patients_of(store: Store, rows: np.ndarray) -> set[str]:
    return set(store.records["patient_id"].to_numpy()[rows])


class Run:
    """A training that was asked for, and the patients that it and its validation read."""

    def __init__(self, run: Path, overrides: dict[str, Any]) -> None:
        self.fold = next(p for p in run.parts if p == "trials" or re.fullmatch(r"fold\d", p))
        self.checkpoints = [p for p in overrides.values() if isinstance(p, Path) and p.is_file()]
        self.splits = open_splits(overrides["task.data"])
        self.patients = {
            name: patients_of(split.store, split.rows) for name, split in self.splits.items()
        }


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    seen: list[Run] = []

    def trained(run: Path, config: str, overrides: dict[str, Any], *_: object) -> Spent:
        seen.append(Run(run, overrides))
        pairs = config.startswith("selfmis_pretrain")
        seed = sum(map(ord, str(run.relative_to(run.parents[5]))))
        write_run(run, pairs, seed, seconds=1, leads=overrides.get("task.leads", ("I",)))
        return Spent(1.0, None, 0.5)

    monkeypatch.setattr(timed_training, "train", trained)
    return seen


def folds_settings(dest: Path, data: dict[str, Path], **changes: Any) -> Settings:
    methods = known_methods()
    values: dict[str, Any] = {
        "dest": dest,
        "methods": [methods[name] for name in ("selfmis", "random_encoder", "twelve_lead")],
        "data": data,
        "modes": ("probe",),
        "seeds": (1, 2),
        "size": "small",
        "others": list(methods.values()),
        **changes,
    }
    return Settings(**values)
