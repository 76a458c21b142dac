"""Cells of a cross-validation that lie in files of their own, for who has not their folder.

``cells.csv`` has a line for each finished cell, to read; ``predictions.parquet`` what it said of
each record of its test fold. A run over the same data with the same settings, by the same version,
takes them up as if it had trained them; pooled figures and their intervals need no more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from selfmis_plugin._version import __version__
from selfmis_plugin.benchmark.any_infarction import ANY, with_any
from selfmis_plugin.benchmark.folder import about_run, read_json
from selfmis_plugin.benchmark.infarction import Plan
from selfmis_plugin.benchmark.settings import Cell, InfarctionError, Settings, cell_file
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.evaluation.evaluate import figures_of
from selfmis_plugin.methods.method import LABELLED
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.utils.files import whole_files, write_json

__all__ = ["KeptCells"]

_CELLS, _PREDICTIONS = "cells.csv", "predictions.parquet"
_KEY = ("run", "fold", "method", "mode", "fraction", "seed")


class KeptCells:
    """The files of a folder, and which of their lines are of this run.

    Parameters
    ----------
    folder
        Where they lie; it need not be there.
    settings
        Of the whole cross-validation.
    folds
        What else its figures depend on, JSON-ready.

    Raises
    ------
    InfarctionError
        If a file is damaged.
    """

    def __init__(self, folder: Path, settings: Settings, folds: Mapping[str, Any]) -> None:
        self.folder = folder
        about = about_run(settings)
        data = {role: described["digest"] for role, described in about.pop("data").items()}
        about.pop("selfmis_plugin")
        depends = {**about, "data": data, "folds": dict(folds), "version": __version__}
        text = json.dumps(depends, sort_keys=True, default=str)
        self.run = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.digest = data[LABELLED]

    def take_up(self, plans: Mapping[str, Plan]) -> int:
        """Put what is kept of this run into the folders of cells that are not there; return how
        many that were.

        Raises
        ------
        InfarctionError
            If a file is damaged, or what it holds is of other records.
        """
        if not (self.folder / _CELLS).is_file():
            return 0
        cells, predictions = self._read()
        own = cells[cells["run"] == self.run]
        said = dict(iter(predictions[predictions["run"] == self.run].groupby("cell", sort=False)))
        lines = {
            (line.fold, line.method, line.mode, line.fraction, line.seed): line
            for line in own.itertuples()
        }
        found = 0
        for fold, plan in plans.items():
            part = open_split(plan.settings.data[LABELLED], "test")
            for cell in plan.cells:
                line = lines.get((fold, cell.method.name, cell.mode, cell.fraction, cell.seed))
                file = cell_file(plan.settings, cell)
                if line is None or file.is_file():
                    continue
                name = f"{fold}/{cell.name}"
                if name not in said:
                    raise InfarctionError(
                        f"{self.folder}: {_CELLS} has a line of {name}, and {_PREDICTIONS} nothing "
                        "of it: they are not of one run, delete both"
                    )
                self._put(file, cell, line, said[name], part)
                found += 1
        return found

    def keep(self, plans: Mapping[str, Plan]) -> None:
        """Add what is finished; lines of other runs stay.

        Raises
        ------
        InfarctionError
            If a file is damaged.
        WriteError
            If the disk is full, or nothing may be written there.
        """
        lines: list[dict[str, Any]] = []
        said: list[pd.DataFrame] = []
        for fold, cell, file in _finished(plans):
            predictions = Predictions.read(file.with_name("predictions.parquet"))
            lines.append(self._line(fold, cell, read_json(file), predictions))
            said.append(self._said(f"{fold}/{cell.name}", predictions))
        if not lines:
            return
        cells, records = pd.DataFrame(lines), pd.concat(said, ignore_index=True)
        if (self.folder / _CELLS).is_file():
            kept, told = self._read()
            cells = pd.concat([kept, cells]).drop_duplicates(list(_KEY), keep="last")
            again = (told["run"] == self.run) & told["cell"].isin(records["cell"].unique())
            records = pd.concat([told[~again], records], ignore_index=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_files(self.folder / _CELLS, self.folder / _PREDICTIONS) as (text, table):
            cells.to_csv(text, index=False)
            records.to_parquet(table, index=False)

    def _read(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        try:
            cells = pd.read_csv(self.folder / _CELLS, dtype={"run": str, "fold": str})
            predictions = pd.read_parquet(self.folder / _PREDICTIONS)
            missing = {*_KEY} - {*cells} | {"run", "cell", "record_id"} - {*predictions}
            if missing:
                raise ValueError(f"no column {', '.join(sorted(missing))}")
        except (OSError, ValueError) as error:
            raise InfarctionError(
                f"{self.folder}: its {_CELLS} and {_PREDICTIONS} cannot be read ({error}): give "
                "another folder with --keep, or delete them"
            ) from error
        return cells, predictions

    def _line(
        self, fold: str, cell: Cell, about: Mapping[str, Any], predictions: Predictions
    ) -> dict[str, Any]:
        either = figures_of(with_any(predictions).select([ANY]), 0)
        return {
            "run": self.run,
            "version": __version__,
            "data": self.digest,
            "fold": fold,
            "method": cell.method.name,
            "mode": cell.mode,
            "fraction": cell.fraction,
            "seed": cell.seed,
            "train_records": about["train_records"],
            "records": about["records"],
            "seconds": about["seconds"],
            "positives": either["positives"][ANY],
            "auc_any": either["per_label"][ANY],
            **{f"auc_{name}": about["per_label"].get(name) for name in INFARCTION_TYPES},
        }

    def _said(self, cell: str, predictions: Predictions) -> pd.DataFrame:
        types = [name for name in INFARCTION_TYPES if name in predictions.labels]
        logits = predictions.select(types).logits
        return pd.DataFrame(
            {
                "run": self.run,
                "cell": cell,
                "record_id": predictions.record_ids,
                **{name: logits[:, column] for column, name in enumerate(types)},
            }
        )

    def _put(self, file: Path, cell: Cell, line: Any, said: pd.DataFrame, part: Split) -> None:
        records = part.store.records.iloc[part.rows]
        if list(said["record_id"]) != list(records["record_id"]):
            raise InfarctionError(
                f"{self.folder}: what it holds of {cell.name} is of other records than the test "
                "fold's: delete its files"
            )
        types = [name for name in INFARCTION_TYPES if name in said and said[name].notna().all()]
        predictions = Predictions(
            tuple(records["record_id"]),
            tuple(records["patient_id"]),
            tuple(types),
            part.store.targets(part.rows, types).astype(bool),
            said[types].to_numpy(np.float32),
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        predictions.write(file.with_name("predictions.parquet"))
        write_json(
            file,
            {
                "method": cell.method.name,
                "mode": cell.mode,
                "fraction": cell.fraction,
                "seed": cell.seed,
                "seconds": float(line.seconds),
                "train_records": int(line.train_records),
                **figures_of(predictions, 0),
            },
        )


def _finished(plans: Mapping[str, Plan]) -> Iterator[tuple[str, Cell, Path]]:
    for fold, plan in plans.items():
        cells: Sequence[Cell] = plan.cells
        for cell in cells:
            file = cell_file(plan.settings, cell)
            if file.is_file():
                yield fold, cell, file
