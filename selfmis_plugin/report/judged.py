"""What a report is about: what a classifier says of a split, judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints.facts import read_facts
from selfmis_plugin.checkpoints.operation import read_operation
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.provenance import Provenance
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.data.trained_people import SeenInTraining, seen_in_training
from selfmis_plugin.evaluation.any_infarction import and_any, any_figures, predictions_of_any
from selfmis_plugin.evaluation.calibrating import (
    Fitted,
    calibration_of,
    measured,
    perhaps_fitted_here,
)
from selfmis_plugin.evaluation.evaluate import figures_of, predict_split
from selfmis_plugin.metrics.any_infarction import ANY
from selfmis_plugin.metrics.defaults import DRAWS
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.metrics.statistics import Report, judge
from selfmis_plugin.utils.hub import on_this_machine

__all__ = ["Judged", "Request", "judge_request"]

#: Of a model without infarction types as many labels have panels.
_MOST_SHOWN = 9


@dataclass(frozen=True)
class Request:
    """What to report on.

    Attributes
    ----------
    checkpoint
        A classifier's checkpoint, or ``hf:ORG/NAME``.
    data, split
        Folder of a store or of manifests, and the manifest's name.
    dest
        Folder for ``report.html``, its PNGs, ``figures.json`` and ``predictions.parquet``.
    pretraining
        Checkpoint of the pre-training, for retrieval and the map of embeddings.
    draws
        Bootstrap draws.
    worst
        Records to draw that the model gets most wrong.
    labels
        Of a fine-tuned ECGFounder file: see :func:`selfmis_plugin.load_trained`.
    batch_size
        Records computed at once.
    """

    checkpoint: Path
    data: Path
    split: str
    dest: Path
    pretraining: Path | None = None
    draws: int = DRAWS
    worst: int = 6
    labels: Sequence[str] | None = None
    batch_size: int = 128


@dataclass(frozen=True)
class Judged:
    """A classifier's figures, and what they are of.

    Attributes
    ----------
    request
        With the checkpoint's place on this machine.
    typed
        The checkpoint as it was given.
    part
        The records.
    predictions, with_any
        What it says of them; and with any infarction after the others, where it is derived.
    by_record, by_patient
        Figures of the labels.
    every
        Those by record, and any infarction's.
    provenance, seen
        Its trainings, and whom of these people they read.
    perhaps_fitted_here
        Whether what it brings may have been fitted to these records.
    fitted
        Its calibration.
    any_infarction
        JSON-ready figures of it; None where it is not derived.
    """

    request: Request
    typed: str
    part: Split
    predictions: Predictions
    with_any: Predictions
    by_record: Report
    by_patient: Report
    every: Report
    provenance: Provenance
    seen: SeenInTraining | None
    perhaps_fitted_here: bool
    fitted: Fitted
    any_infarction: dict[str, Any] | None

    @property
    def shown(self) -> list[str]:
        """Labels that have a panel of their own where they can be judged."""
        types = [label for label in INFARCTION_TYPES if label in self.predictions.labels]
        return types or list(self.predictions.labels)[:_MOST_SHOWN]

    @property
    def drawn(self) -> list[str]:
        """Those of them that some records have, not all."""
        labels = self.by_record.labels
        return [label for label in self.shown if labels[label].auc.value is not None]

    @property
    def lacks(self) -> list[str]:
        """Infarction types of the data that the model has no output for."""
        known, own = self.part.store.info.labels, self.predictions.labels
        return [name for name in INFARCTION_TYPES if name in known and name not in own]

    @property
    def derives_any(self) -> bool:
        """Whether any infarction is derived of its types."""
        return self.any_infarction is not None and ANY not in self.predictions.labels

    def figures(self) -> dict[str, Any]:
        """Return all of it, JSON-ready."""
        return {
            "checkpoint": self.typed,
            "data": str(self.request.data),
            "split": self.request.split,
            **figures_of(self.predictions, draws=0),
            "any_infarction": self.any_infarction,
            "trained_on": [step.to_dict() for step in self.provenance],
            "seen_in_training": None if self.seen is None else self.seen.to_dict(),
            "calibrated": measured(self.fitted, self.predictions),
            "perhaps_fitted_here": self.perhaps_fitted_here,
            "record": self.by_record.to_dict(),
            "patient": self.by_patient.to_dict(),
        }


def judge_request(request: Request) -> Judged:
    """Compute what a classifier says, and judge it; raises as
    :func:`~selfmis_plugin.report.build.write_report`."""
    typed = str(request.checkpoint)
    request = replace(request, checkpoint=on_this_machine(request.checkpoint))
    place = request.data, request.split, request.batch_size
    predictions = predict_split(request.checkpoint, *place, request.labels)
    part = open_split(request.data, request.split)
    by_record = every = judge(predictions, request.draws)
    either = predictions_of_any(predictions, part)
    if either is not None:
        every = replace(by_record, labels=by_record.labels | judge(either, request.draws).labels)
    provenance = read_facts(request.checkpoint).provenance
    brought = read_operation(request.checkpoint)
    return Judged(
        request=request,
        typed=typed,
        part=part,
        predictions=predictions,
        with_any=and_any(predictions, part.store, part.rows),
        by_record=by_record,
        by_patient=judge(predictions.by_patient(), request.draws),
        every=every,
        provenance=provenance,
        seen=seen_in_training(provenance, part),
        perhaps_fitted_here=perhaps_fitted_here(brought, part, request.split),
        fitted=calibration_of(
            request.checkpoint,
            request.data,
            predictions,
            brought,
            request.split,
            request.batch_size,
            request.labels,
        ),
        any_infarction=None if either is None else any_figures(either, request.draws),
    )
