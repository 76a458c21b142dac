"""Cells of a cross-validation that lie in files of their own, for who has not their folder.

``cells.csv`` has a line for each finished cell, to read; ``predictions.parquet`` what it said of
each record of its test fold. A run over the same data, by the same version, takes up the cells
whose trainings had the same settings, as if it had trained them; pooled figures and their intervals
need no more. Rows beside a cell do not matter, nor does the host: a line says which it was, and a
table may hold rows of both. Several runs may share such a folder at once.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from selfmis_plugin._version import __version__
from selfmis_plugin.benchmark.folder import (
    MADE_BY,
    RECIPE,
    about_run,
    read_json,
    records_digest,
)
from selfmis_plugin.benchmark.infarction import Plan
from selfmis_plugin.benchmark.recipes import Recipes, digest_of, is_own, made_by
from selfmis_plugin.benchmark.settings import Cell, InfarctionError, Settings, cell_file
from selfmis_plugin.benchmark.tested_people import SEEN
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.data.trained_people import SeenInTraining
from selfmis_plugin.evaluation.any_infarction import types_and_any
from selfmis_plugin.evaluation.evaluate import figures_of
from selfmis_plugin.methods.method import LABELLED
from selfmis_plugin.metrics.any_infarction import ANY
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.utils.files import whole_files, write_json
from selfmis_plugin.utils.temporary import one_at_a_time

__all__ = ["KeptCells", "refuse_unwritable"]

_CELLS, _PREDICTIONS = "cells.csv", "predictions.parquet"
_KEY = ("run", "fold", "method", "mode", "fraction", "seed")


def refuse_unwritable(folder: Path) -> None:
    """Make a folder of kept cells, and refuse it where nothing may be written there; raises
    InfarctionError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InfarctionError(
            f"--keep {folder}: no file can be written there ({error.strerror or error}): give a "
            "folder that may be written to"
        ) from error


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
        self._settings = settings
        about = about_run(settings)
        data = {role: records_digest(path) for role, path in settings.data.items()}
        self._host = about["host"]
        self._digest = data[LABELLED]
        same = {key: about[key] for key in ("size", "budget", "heads")}
        self._about = {**same, **made_by(), "data": data, "folds": dict(folds)}
        self._recipes = Recipes(settings)
        self._written: set[str] = set()
        self._others: set[str] = set()

    @staticmethod
    def are_in(folder: Path) -> bool:
        """Whether some are kept there."""
        return (folder / _CELLS).is_file()

    def run(self, cell: Cell) -> str:
        """Return the digest of all that a cell's figures depend on, but for the code that makes or
        predicts: a version stands for it."""
        return digest_of({**self._about, **self._recipes.of_cell(cell)})

    def take_up(self, plans: Mapping[str, Plan]) -> int:
        """Put what is kept of this run into the folders of cells that are not there; return how
        many that were.

        Raises
        ------
        InfarctionError
            If a file is damaged, or what it holds is of other records.
        """
        if not self.are_in(self.folder):
            return 0
        with one_at_a_time(self.folder):
            cells, predictions = self._read()
        said = dict(iter(predictions.groupby(["run", "cell"], sort=False)))
        lines = {tuple(getattr(line, key) for key in _KEY): line for line in cells.itertuples()}
        found = 0
        for fold, plan in plans.items():
            part = open_split(plan.settings.data[LABELLED], "test")
            for cell in plan.cells:
                run = self.run(cell)
                line = lines.get((run, fold, cell.method.name, cell.mode, cell.fraction, cell.seed))
                file = cell_file(plan.settings, cell)
                if line is None or file.is_file():
                    continue
                name = f"{fold}/{cell.name}"
                if (run, name) not in said:
                    raise InfarctionError(
                        f"{self.folder}: {_CELLS} has a line of {name}, and {_PREDICTIONS} nothing "
                        "of it: they are not of one run, delete both"
                    )
                self._put(file, cell, line, said[run, name], part)
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
        names: set[str] = set()
        for fold, cell, file in _finished(plans):
            name = f"{fold}/{cell.name}"
            if name not in self._written:
                about = read_json(file)
                if not is_own(about) or about[RECIPE] != self._recipes.cell(cell):
                    self._tell_of_other(name, about)
                    continue
                predictions = Predictions.read(file.with_name("predictions.parquet"))
                part = open_split(plans[fold].settings.data[LABELLED], "test")
                lines.append(self._line(fold, cell, about, types_and_any(predictions, part)))
                said.append(self._said(self.run(cell), name, predictions))
                names.add(name)
        if not lines:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        # Another run may be adding its own cells.
        with one_at_a_time(self.folder):
            self._add(pd.DataFrame(lines), pd.concat(said, ignore_index=True))
        self._written |= names

    def _tell_of_other(self, name: str, about: Mapping[str, Any]) -> None:
        """Say once that a cell is not kept."""
        if name not in self._others:
            self._others.add(name)
            version = (about.get(MADE_BY) or {}).get("version", "an older version")
            print(f"{name} is not kept: {version} has made it, or something that it started from")

    def _add(self, cells: pd.DataFrame, records: pd.DataFrame) -> None:
        if self.are_in(self.folder):
            kept, told = self._read()
            # What a killed run has written of cells that have no line is of no cell.
            lined = pd.MultiIndex.from_arrays(
                [kept["run"], [_name(line) for line in kept.itertuples()]]
            )
            told = told[pd.MultiIndex.from_frame(told[["run", "cell"]]).isin(lined)]
            cells = pd.concat([kept, cells]).drop_duplicates(list(_KEY), keep="first")
            old = pd.MultiIndex.from_frame(told[["run", "cell"]])
            new = ~pd.MultiIndex.from_frame(records[["run", "cell"]]).isin(old)
            records = pd.concat([told, records[new]], ignore_index=True)
        # Predictions first: those without a line do no harm where a kill comes between.
        with whole_files(self.folder / _PREDICTIONS, self.folder / _CELLS) as (table, text):
            cells.to_csv(text, index=False)
            # Bytes of like meaning side by side: half the size of what Parquet does by itself.
            records.to_parquet(
                table,
                index=False,
                compression="zstd",
                use_dictionary=["run", "cell", "record_id"],
                use_byte_stream_split=[n for n in records if records[n].dtype == np.float32],
            )

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
        either = figures_of(predictions.select([ANY]), 0)
        return {
            "run": self.run(cell),
            "version": __version__,
            "host": self._host,
            "data": self._digest,
            "fold": fold,
            "method": cell.method.name,
            "mode": cell.mode,
            "fraction": cell.fraction,
            "seed": cell.seed,
            "train_records": about["train_records"],
            "records": about["records"],
            "seconds": about["seconds"],
            "cpu_seconds": about.get("cpu_seconds"),
            "positives": either["positives"][ANY],
            "auc_any": either["per_label"][ANY],
            **{f"auc_{name}": about["per_label"].get(name) for name in INFARCTION_TYPES},
            # The last column: files of versions that did not ask have none, and are taken up too.
            SEEN: None if about.get(SEEN) is None else json.dumps(about[SEEN]),
        }

    def _seen(self, line: Any) -> dict[str, Any] | None:
        text = getattr(line, SEEN, None)
        if not isinstance(text, str):
            return None
        try:
            return SeenInTraining.from_dict(json.loads(text)).to_dict()
        except (KeyError, TypeError, ValueError) as error:
            raise InfarctionError(
                f"{self.folder / _CELLS}: {SEEN} of {_name(line)} cannot be read ({error}): delete "
                "the line"
            ) from error

    def _said(self, run: str, cell: str, predictions: Predictions) -> pd.DataFrame:
        types = [name for name in INFARCTION_TYPES if name in predictions.labels]
        logits = predictions.select(types).logits
        return pd.DataFrame(
            {
                "run": run,
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
                "cpu_seconds": None if math.isnan(line.cpu_seconds) else float(line.cpu_seconds),
                RECIPE: self._recipes.cell(cell),
                MADE_BY: made_by(),
                "train_records": int(line.train_records),
                SEEN: self._seen(line),
                **figures_of(predictions, 0),
            },
        )


def _name(line: Any) -> str:
    """Return what a line's cell is called beside its predictions."""
    return f"{line.fold}/seed{line.seed}/{line.method}/{line.mode}/{line.fraction:g}"


def _finished(plans: Mapping[str, Plan]) -> Iterator[tuple[str, Cell, Path]]:
    for fold, plan in plans.items():
        cells: Sequence[Cell] = plan.cells
        for cell in cells:
            file = cell_file(plan.settings, cell)
            if file.is_file():
                yield fold, cell, file
