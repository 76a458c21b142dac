"""All that is to be known of one checkpoint on one split: what ``selfmis evaluate`` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints.contract import Classifies, Trained, lacks
from selfmis_plugin.checkpoints.facts import read_facts
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.checkpoints.operation import read_operation
from selfmis_plugin.data.labels import ANY_INFARCTION, INFARCTION_TYPES
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.data.trained_people import seen_in_training
from selfmis_plugin.evaluation.any_infarction import any_figures, is_derived, predictions_of_any
from selfmis_plugin.evaluation.calibrating import (
    calibration_of,
    line_of_any,
    measured,
    perhaps_fitted_here,
)
from selfmis_plugin.evaluation.evaluate import (
    coverage,
    difference_of,
    evaluate,
    figures_of,
    fitting_split,
    predict_any,
    predict_split,
)
from selfmis_plugin.evaluation.own_thresholds import threshold_figures
from selfmis_plugin.evaluation.subgroups import figures_by, refuse_unrecorded
from selfmis_plugin.metrics.defaults import DRAWS
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.utils.hub import on_this_machine

__all__ = ["Request", "judge_checkpoint"]


@dataclass(frozen=True)
class Request:
    """What is asked of a checkpoint.

    Attributes
    ----------
    checkpoint
        A classifier or two towers, a file, a folder or ``hf:ORG/NAME``.
    data
        Folder of a store, or of manifests of one.
    split
        Name of the manifest: ``test`` for ``test.tsv``.
    batch_size
        Records computed at once.
    labels
        Of a fine-tuned ECGFounder file: see :func:`selfmis_plugin.load_trained`.
    against, against_labels
        A second classifier, for the differences, and its labels.
    by_patient
        Whether patients are to be counted, of which towers have no figures.
    draws
        Bootstrap draws of the intervals; 0 leaves them out.
    by
        Names in :data:`~selfmis_plugin.data.person.GROUPINGS`.
    prevalence
        How common labels are where the predictive values are to be; under the empty name, all.
    predictions
        Parquet file for each record's logits.
    any_infarction
        Name of the data's label of an infarction of whatever type; None: it is known by its types.
    """

    checkpoint: Path
    data: Path
    split: str = "test"
    batch_size: int = 128
    labels: Sequence[str] | None = None
    against: Path | None = None
    against_labels: Sequence[str] | None = None
    by_patient: bool = False
    draws: int = DRAWS
    by: Sequence[str] = ()
    prevalence: Mapping[str, float] = field(default_factory=dict)
    predictions: Path | None = None
    any_infarction: str | None = None


@dataclass(frozen=True)
class _Said:
    """What a classifier says of a split's records: of its labels, and of any infarction.

    Where the data tell any infarction alone, it stands for a label.
    """

    predictions: Predictions
    either: Predictions | None


def judge_checkpoint(request: Request) -> dict[str, Any]:
    """Return every figure that a checkpoint is asked for.

    Returns
    -------
    dict
        JSON-ready: what :func:`~selfmis_plugin.evaluation.evaluate.evaluate` returns (its
        ``checkpoint`` as it was given), ``trained_on`` and ``seen_in_training``. Of a classifier
        also ``any_infarction``, ``any_infarction_label``, ``calibrated``, ``perhaps_fitted_here``,
        ``own_thresholds``; with *by* ``by``, and with *against* ``against``, ``difference`` and
        ``against_seen_in_training``. What is of any infarction stands under ``any_infarction``.

    Raises
    ------
    CheckpointError
        If a checkpoint cannot be read, or not do what is asked of it.
    StoreError
        If the data cannot be read, or lack what they are to be grouped by.
    ValueError
        If a prevalence is of a label of which there is no figure.
    """
    checkpoint = on_this_machine(request.checkpoint)
    trained: Trained = load_trained(checkpoint, request.labels)
    if isinstance(trained, Classifies):
        figures = _classifier(request, checkpoint, trained)
    else:
        figures = _towers(request, checkpoint, trained)
    # As it was given, in the place of the file that it stands for.
    return figures | {"checkpoint": str(request.checkpoint)}


def _towers(request: Request, checkpoint: Path, trained: Trained) -> dict[str, Any]:
    needless = (
        request.against,
        request.predictions,
        request.by,
        request.prevalence,
        request.any_infarction,
    )
    if any(needless) or request.by_patient:
        lacks(
            trained,
            "predicts no label",
            "--against, --predictions, --by, --prevalence, --any-infarction and --level patient "
            "need a classifier's checkpoint",
        )
    figures = evaluate(checkpoint, request.data, request.split, request.batch_size)
    return {**figures, **_facts(checkpoint, open_split(request.data, request.split))}


def _classifier(request: Request, checkpoint: Path, trained: Classifies) -> dict[str, Any]:
    against = on_this_machine(request.against) if request.against else None
    if against is not None:
        load_trained(against, request.against_labels)  # refused before anything is computed
    part = fitting_split(trained, request.data, request.split)
    prevalence, of_any = _prevalences(request, trained, part)
    refuse_unrecorded(part, request.by)
    said = _said(request, checkpoint, request.labels, part)
    if request.predictions:
        said.predictions.write(request.predictions)
    figures = {
        "kind": "classifier",
        "checkpoint": str(checkpoint),
        "data": str(request.data),
        "split": request.split,
        "records": len(said.predictions),
        **figures_of(said.predictions, request.draws, prevalence),
        **coverage(trained, request.data, request.split),
        **_facts(checkpoint, part),
        "any_infarction": None,
        "any_infarction_label": request.any_infarction,
    }
    if said.either is not None:
        figures["any_infarction"] = any_figures(said.either, request.draws, of_any)
    figures |= _in_use(request, checkpoint, trained, said, figures["any_infarction"], part)
    if request.by:
        figures["by"] = figures_by(said.predictions, part, request.by, request.draws, prevalence)
        if said.either is not None:
            by_any = figures_by(said.either, part, request.by, request.draws, of_any)
            figures["any_infarction"]["by"] = by_any
    if against is not None:
        other = _said(request, against, request.against_labels, part)
        figures["against"] = str(request.against)
        figures["difference"] = difference_of(said.predictions, other.predictions)
        figures["against_seen_in_training"] = _facts(against, part)["seen_in_training"]
        if said.either is not None and other.either is not None:
            figures["any_infarction"]["difference"] = {
                level: found["labels"][ANY_INFARCTION]
                for level, found in difference_of(said.either, other.either).items()
            }
    return figures


def _said(request: Request, checkpoint: Path, labels: Sequence[str] | None, part: Split) -> _Said:
    if request.any_infarction is not None:
        told = request.any_infarction
        own, either = predict_any(checkpoint, part, told, request.batch_size, labels)
        return _Said(either, None) if own is None else _Said(own, either)
    predictions = predict_split(checkpoint, request.data, request.split, request.batch_size, labels)
    return _Said(predictions, predictions_of_any(predictions, part))


def _facts(checkpoint: Path, part: Split) -> dict[str, Any]:
    """What the checkpoint was trained on, and how many of the split's patients were among it."""
    provenance = read_facts(checkpoint).provenance
    seen = seen_in_training(provenance, part)
    return {
        "trained_on": [step.to_dict() for step in provenance],
        "seen_in_training": None if seen is None else seen.to_dict(),
    }


def _in_use(
    request: Request,
    checkpoint: Path,
    trained: Classifies,
    said: _Said,
    any_infarction: dict[str, Any] | None,
    part: Split,
) -> dict[str, Any]:
    """Return figures of calibration and thresholds; that of any infarction goes into its own."""
    brought = read_operation(checkpoint)
    fitted = calibration_of(
        checkpoint,
        request.data,
        said.predictions,
        brought,
        request.split,
        request.batch_size,
        request.labels,
    )
    # The model's own line and threshold are of all the types that it knows.
    types = {name for name in trained.labels if name in INFARCTION_TYPES}
    by_all_types = request.any_infarction or types <= set(said.predictions.labels)
    own = said.either if by_all_types else None
    line = brought.calibration.get(ANY_INFARCTION)
    if own is not None and any_infarction is not None and line is not None:
        any_infarction["calibrated"] = line_of_any(line, own)
    return {
        "calibrated": measured(fitted, said.predictions),
        "perhaps_fitted_here": perhaps_fitted_here(brought, part, request.split),
        "own_thresholds": threshold_figures(brought, said.predictions, own),
    }


def _prevalences(
    request: Request, trained: Classifies, part: Split
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the prevalence of each label for which it was stated, of those that a classifier and
    the data share; and that of any infarction, which is another, and has to be named."""
    stated, told = request.prevalence, request.any_infarction is not None
    judged = [name for name in trained.labels if name in part.store.info.labels]
    if not judged and not told:
        return {}, {}  # what the two lack is said by who computes
    # Where it is all that the data tell, it stands for a label.
    judged = judged or [ANY_INFARCTION]
    derived = ANY_INFARCTION not in judged and (told or is_derived(judged))
    known = [*judged, *([ANY_INFARCTION] if derived else [])]
    if unknown := [name for name in stated if name and name not in known]:
        raise ValueError(
            f"--prevalence names {', '.join(unknown)}, of which there is no figure; labels: "
            f"{', '.join(known)}"
        )
    if "" in stated:
        return dict.fromkeys(judged, stated[""]), {}
    return (
        {name: share for name, share in stated.items() if name in judged},
        {name: share for name, share in stated.items() if name not in judged},
    )
