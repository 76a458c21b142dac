"""What a folder of the benchmark takes to be the same benchmark."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from selfmis_plugin.benchmark.cross_validation import Folds, run_folds
from selfmis_plugin.benchmark.settings import InfarctionError
from selfmis_plugin.methods import known_methods
from tests.fold_runs import Run, folds_settings, own_folds, runs

__all__ = ["own_folds", "runs"]  # fixtures


def test_a_folder_of_other_labels_or_weights_is_another_benchmark(
    own_folds: Path, tmp_path: Path, runs: list[Run]
) -> None:
    own = tmp_path / "own"
    shutil.copytree(own_folds, own)
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own)
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"one")

    def run(*names: str, **changes: Any) -> None:
        methods = [known_methods()[name] for name in names]
        asked = folds_settings(tmp_path / "a", data, methods=methods, seeds=(1,), **changes)
        assert run_folds(asked, Folds(held_out=(9, 10)))["failed"] == {}

    run("random_encoder", given={"unused_checkpoint": weights})
    moved = shutil.copy(weights, tmp_path / "moved.pt")
    run("random_encoder", given={"unused_checkpoint": Path(moved)})
    weights.write_bytes(b"two")
    with pytest.raises(InfarctionError, match="other given"):
        run("random_encoder", given={"unused_checkpoint": weights})
    records = pd.read_parquet(own / "records.parquet")
    records["labels"] = records["labels"].iloc[::-1].to_numpy()
    records.to_parquet(own / "records.parquet", index=False)
    with pytest.raises(InfarctionError, match="other data"):
        run("random_encoder", given={"unused_checkpoint": Path(moved)})


def test_rows_join_and_leave_a_folder_of_trials(
    own_folds: Path, tmp_path: Path, runs: list[Run]
) -> None:
    data = dict.fromkeys(("labelled", "unlabelled", "archive"), own_folds)

    def run(*names: str, **changes: Any) -> None:
        methods = [known_methods()[name] for name in names]
        values = {"methods": methods, "modes": ("finetune",), "seeds": (1,), **changes}
        asked = folds_settings(tmp_path / "a", data, **values)
        assert run_folds(asked, Folds(3, trials=True))["failed"] == {}

    run("without_alignment")
    run("without_alignment", "twelve_lead_labels")
    runs.clear()
    run("twelve_lead_labels")
    run("without_alignment", "twelve_lead_labels")
    assert runs == []
    # A rate of one's own is another training, where that one is there.
    with pytest.raises(InfarctionError, match="was trained with other settings"):
        run("without_alignment", overrides={"finetune": {"optimization.lr": [0.5]}})
