"""What a classifier said of every record of a split, kept with the records' names."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import logit
from scipy.stats import rankdata

from selfmis_plugin.metrics.calibration import logit_of_any
from selfmis_plugin.utils.files import whole_file

__all__ = ["Predictions", "PredictionsError"]

_LABELS = b"selfmis_labels"


class PredictionsError(ValueError):
    """Predictions cannot be read, or do not fit together; the message names the file."""


@dataclass(frozen=True)
class Predictions:
    """Logits of a classifier beside the truth.

    Attributes
    ----------
    record_ids, patient_ids
        Names of the records and of their patients.
    labels
        Names of the statements, in the order of the columns.
    targets
        bool, (records, labels).
    logits
        float32, (records, labels). Logits and not probabilities: a float32 sigmoid makes ties.
    """

    record_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    labels: tuple[str, ...]
    targets: npt.NDArray[np.bool_]
    logits: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        shape = (len(self.record_ids), len(self.labels))
        if not (
            self.targets.shape == self.logits.shape == shape
            and len(self.patient_ids) == len(self.record_ids)
        ):
            raise PredictionsError(
                f"{len(self.record_ids)} records, {len(self.patient_ids)} patients and "
                f"{len(self.labels)} labels do not fit targets {self.targets.shape} and logits "
                f"{self.logits.shape}"
            )

    def __len__(self) -> int:
        return len(self.record_ids)

    def rows(self, chosen: npt.NDArray[np.bool_]) -> Predictions:
        """Return some of the records; *chosen* is bool, (records,)."""
        return Predictions(
            tuple(compress(self.record_ids, chosen)),
            tuple(compress(self.patient_ids, chosen)),
            self.labels,
            self.targets[chosen],
            self.logits[chosen],
        )

    def by_patient(self) -> Predictions:
        """Return one row a patient, in the order of first appearance.

        A patient has a statement if any record has it, and the patient's logit is the largest of
        the records': somebody whose infarction shows once has had it.
        """
        index, patients = self.patient_index()
        targets = np.zeros((len(patients), len(self.labels)), dtype=bool)
        logits = np.full((len(patients), len(self.labels)), -np.inf, dtype=np.float32)
        np.logical_or.at(targets, index, self.targets)
        np.maximum.at(logits, index, self.logits)
        return Predictions(patients, patients, self.labels, targets, logits)

    def select(self, labels: Sequence[str]) -> Predictions:
        """Return the columns of *labels*, in their order; raises ValueError for one not there."""
        columns = [self.labels.index(label) for label in labels]
        return Predictions(
            self.record_ids,
            self.patient_ids,
            tuple(labels),
            self.targets[:, columns],
            self.logits[:, columns],
        )

    def ranked(self) -> Predictions:
        """Return it with each logit replaced by that of its rank among the records, column by
        column: rank r of n is the probability (r - 1/2) / n, and equal logits share theirs.

        AUCs stay what they are. Scores of several models, which have scales of their own, can be
        put together afterwards without one model's records all coming before another's.
        """
        if not len(self):
            return self
        shares = (rankdata(self.logits, axis=0) - 0.5) / len(self)
        return replace(self, logits=np.asarray(logit(shares), dtype=np.float32))

    def with_any(self, name: str, labels: Sequence[str]) -> Predictions:
        """Return it with one more column: whether a record has any of *labels*.

        Its probability is that of at least one if each came by itself, 1 - prod(1 - p); the labels
        that it does not have are left out.

        Raises
        ------
        PredictionsError
            If it has none of them.
        """
        own = [label for label in labels if label in self.labels]
        if not own:
            raise PredictionsError(f"no column is one of {', '.join(labels)}")
        chosen = self.select(own)
        logits = logit_of_any(chosen.logits)
        return Predictions(
            self.record_ids,
            self.patient_ids,
            (*self.labels, name),
            np.column_stack([self.targets, chosen.targets.any(axis=1)]),
            np.column_stack([self.logits, logits]),
        )

    @classmethod
    def joined(cls, parts: Sequence[Predictions]) -> Predictions:
        """Return the records of several, one after the other, with the labels that all have.

        Raises
        ------
        PredictionsError
            If a record is in two of them, or they share no label.
        """
        labels = [name for name in parts[0].labels if all(name in part.labels for part in parts)]
        if not labels:
            raise PredictionsError("they share no label, so they cannot be put together")
        chosen = [part.select(labels) for part in parts]
        ids = tuple(name for part in chosen for name in part.record_ids)
        if len(set(ids)) != len(ids):
            raise PredictionsError("a record is in two of them, so they cannot be put together")
        return cls(
            ids,
            tuple(name for part in chosen for name in part.patient_ids),
            tuple(labels),
            np.concatenate([part.targets for part in chosen]),
            np.concatenate([part.logits for part in chosen]),
        )

    def patient_index(self) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
        """Return each record's patient as a number, and the patients' names in that order."""
        index, names = pd.factorize(np.asarray(self.patient_ids, dtype=object))
        return index.astype(np.int64), tuple(names)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write Parquet: record_id, patient_id, and ``true_LABEL`` and ``logit_LABEL`` columns."""
        columns: dict[str, object] = {
            "record_id": pa.array(self.record_ids, pa.string()),
            "patient_id": pa.array(self.patient_ids, pa.string()),
        }
        for column, label in enumerate(self.labels):
            columns[f"true_{label}"] = pa.array(self.targets[:, column])
            columns[f"logit_{label}"] = pa.array(self.logits[:, column])
        table = pa.table(columns).replace_schema_metadata(
            {_LABELS: json.dumps(list(self.labels)).encode()}
        )
        with whole_file(path) as temporary:
            pq.write_table(table, temporary)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Predictions:
        """Read what :meth:`write` wrote.

        Raises
        ------
        PredictionsError
            If the file is no such table.
        """
        file = Path(path)
        try:
            table = pq.read_table(file)
            labels = tuple(json.loads((table.schema.metadata or {})[_LABELS]))
            return cls(
                tuple(table["record_id"].to_pylist()),
                tuple(table["patient_id"].to_pylist()),
                labels,
                _matrix(table, "true", labels, np.dtype(bool)),
                _matrix(table, "logit", labels, np.dtype(np.float32)),
            )
        except FileNotFoundError:
            raise PredictionsError(f"{file}: no such file") from None
        except (
            OSError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
            pa.ArrowException,
        ) as error:
            raise PredictionsError(
                f"{file}: not a table of predictions ({error}); write one with "
                "`selfmis evaluate --predictions`"
            ) from error


def _matrix(table: pa.Table, kind: str, labels: tuple[str, ...], dtype: np.dtype) -> npt.NDArray:
    matrix = np.empty((len(table), len(labels)), dtype=dtype)
    for column, label in enumerate(labels):
        matrix[:, column] = table[f"{kind}_{label}"].to_numpy()
    return matrix
