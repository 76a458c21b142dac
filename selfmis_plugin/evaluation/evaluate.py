"""Figures of a trained checkpoint on a split of a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.contract import (
    Classifies,
    EmbedsPairs,
    Trained,
    lacks,
    require,
)
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.data.labels import ANY_INFARCTION, INFARCTION_TYPES
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.metrics.auc import auc_report
from selfmis_plugin.metrics.defaults import DRAWS, SPECIFICITY
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.metrics.predictive_values import predictive_values
from selfmis_plugin.metrics.retrieval import retrieval
from selfmis_plugin.metrics.statistics import compare, judge


def evaluate(
    checkpoint: str | Path,
    data: str | Path,
    split: str = "test",
    batch_size: int = 128,
    ranks: Sequence[int] = (1, 5, 10),
    draws: int = DRAWS,
    labels: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Evaluate a checkpoint of this plugin, or an ECGFounder file by its own head.

    Parameters
    ----------
    checkpoint
        A classifier's checkpoint gives AUCs, a pre-training checkpoint of pairs gives retrieval.
    data
        Folder of a store, or of manifests of one.
    split
        Name of the manifest: ``test`` for ``test.tsv``.
    batch_size
        Records computed at once.
    ranks
        The k of R@k.
    draws
        Bootstrap draws of the intervals; 0 leaves them out.
    labels
        Of a fine-tuned ECGFounder file: see :func:`selfmis_plugin.load_trained`.

    Returns
    -------
    dict
        JSON-ready. A classifier: see :func:`figures_of` and :func:`coverage`; towers: ``r1``, ...
        and ``median_rank``. Both: ``kind``, ``checkpoint``, ``data``, ``split`` and ``records``.

    Raises
    ------
    CheckpointError
        If the checkpoint cannot be read, can do neither, or was trained on data prepared in another
        way.
    StoreError
        If the data cannot be read.
    """
    trained: Trained = load_trained(checkpoint, labels)
    part = fitting_split(trained, data, split)
    about = {
        "kind": trained.kind,
        "checkpoint": str(checkpoint),
        "data": str(data),
        "split": split,
        "records": len(part.rows),
    }
    if isinstance(trained, Classifies):
        figures = figures_of(_predictions(trained, part, batch_size, labels is not None), draws)
        return about | figures | coverage(trained, data, split)
    if isinstance(trained, EmbedsPairs):
        return about | _retrieval(trained, part, batch_size, ranks)
    lacks(
        trained,
        "neither predicts labels nor embeds pairs, so there is nothing to evaluate on records",
        "give a classifier's checkpoint, such as a linear probe's on it",
    )


def predict_split(
    checkpoint: str | Path,
    data: str | Path,
    split: str = "test",
    batch_size: int = 128,
    labels: Sequence[str] | None = None,
) -> Predictions:
    """Return what a classifier's checkpoint says of every record of a split.

    Labels that the data do not have are left out.

    Raises
    ------
    CheckpointError
        If it is no classifier's, cannot be read, was trained on data prepared in another way, or
        the data have none of its labels.
    StoreError
        If the data cannot be read.
    """
    trained = classifier_in(checkpoint, labels)
    part = fitting_split(trained, data, split)
    return _predictions(trained, part, batch_size, labels is not None)


def classifier_in(checkpoint: str | Path, labels: Sequence[str] | None = None) -> Classifies:
    """Return what a classifier's checkpoint holds.

    Raises
    ------
    CheckpointError
        If it cannot be read, or predicts no label.
    """
    return require(
        load_trained(checkpoint, labels),
        Classifies,
        "predicts no label",
        "give a classifier's checkpoint, such as a linear probe's on it",
    )


def coverage(trained: Classifies, data: str | Path, split: str = "test") -> dict[str, Any]:
    """Return what a classifier and the data do not share.

    Returns
    -------
    dict
        JSON-ready: ``not_in_data``, labels of the classifier that the data do not have;
        ``not_covered``, infarction types of the data that are none of the classifier's labels;
        ``not_predicted``, all labels of the data that are none of them.
    """
    known = open_split(data, split).store.info.labels
    return {
        "not_in_data": [label for label in trained.labels if label not in known],
        "not_covered": [
            name for name in INFARCTION_TYPES if name in known and name not in trained.labels
        ],
        "not_predicted": [name for name in known if name not in trained.labels],
    }


def figures_of(
    predictions: Predictions, draws: int = DRAWS, prevalence: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Return a classifier's figures.

    Parameters
    ----------
    predictions
        Logits beside the truth.
    draws
        Bootstrap draws of the intervals; 0 leaves them out.
    prevalence
        How common labels are where the predictive values are to be, by label; others have none.

    Returns
    -------
    dict
        JSON-ready: ``macro_auc``, ``mi_auc``, ``per_label``, ``positives``, ``undefined``; and,
        with *draws*, ``record`` and ``patient``: every figure with its interval
        (:func:`~selfmis_plugin.metrics.statistics.judge`) by record and by patient, a label whose
        *prevalence* is stated with ``predictive_values`` at 90 % specificity.
    """
    report = auc_report(
        predictions.targets, predictions.logits, predictions.labels, INFARCTION_TYPES
    )
    figures = report.to_dict()
    if draws:
        figures |= by_record_and_patient(predictions, draws, prevalence)
    return figures


def by_record_and_patient(
    predictions: Predictions, draws: int = DRAWS, prevalence: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Return ``record`` and ``patient`` of :func:`figures_of`.

    Raises
    ------
    ValueError
        If a prevalence is of a label that there is not, or not between 0 and 1.
    """
    if unknown := [name for name in prevalence or {} if name not in predictions.labels]:
        raise ValueError(
            f"the prevalence of {', '.join(unknown)} is stated, of which there is no figure; "
            f"labels: {', '.join(predictions.labels)}"
        )
    found = {}
    for level, units in (("record", predictions), ("patient", predictions.by_patient())):
        report = judge(units, draws)
        found[level] = report.to_dict()
        for label, share in (prevalence or {}).items():
            values = predictive_values(report.labels[label].sensitivity, SPECIFICITY, share)
            found[level]["labels"][label]["predictive_values"] = values.to_dict()
    return found


def difference_of(first: Predictions, second: Predictions) -> dict[str, Any]:
    """Return AUCs of the first minus the second's, by record and by patient, JSON-ready.

    Raises
    ------
    PredictionsError
        If the two are of different records or share no label.
    """
    return {
        "record": compare(first, second).to_dict(),
        "patient": compare(first.by_patient(), second.by_patient()).to_dict(),
    }


def fitting_split(trained: Trained, data: str | Path, split: str) -> Split:
    """Open a split after checking that it is prepared as *trained* needs it.

    Raises
    ------
    CheckpointError
        If it is not.
    StoreError
        If the data cannot be read, or leads are absent.
    """
    part = open_split(data, split)
    refuse_other_data(trained.path, trained.preprocessing, part)
    part.require_leads(trained.required_leads)
    return part


def refuse_other_data(checkpoint: Path, trained: Preprocessing, part: Split) -> None:
    """Refuse a split that is prepared in another way than *trained*; raises CheckpointError."""
    info = part.store.info
    reasons = []
    if missing := [lead for lead in trained.leads if lead not in info.leads]:
        reasons.append(f"it has no lead {', '.join(missing)}")
    if info.sample_rate < trained.sample_rate:
        reasons.append(f"its rate is {info.sample_rate:g} Hz, not {trained.sample_rate:g} or more")
    reasons += [
        f"its {name} is {have!r}, not {want!r}"
        for name, have, want in (
            ("length in seconds", info.seconds, trained.seconds),
            ("filter", info.filter, trained.filter),
            ("unit", info.units, trained.units),
        )
        if have != want
    ]
    if reasons:
        raise CheckpointError(
            f"{checkpoint} needs data that {part.store.path} does not hold: {'; '.join(reasons)}. "
            "Prepare the records as the checkpoint was trained"
            + (f" (--filter {trained.filter})" if info.filter != trained.filter else "")
        )


@torch.inference_mode()
def outputs(
    compute: Callable[[torch.Tensor], Any],
    module: nn.Module,
    part: Split,
    leads: Sequence[str],
    batch_size: int,
    title: str | None = "computing",
) -> Iterator[Any]:
    """Yield what *compute* returns for each batch of a split's raw signals; *title* is what the
    progress bar says is running, None for no bar."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device).eval()
    starts = range(0, len(part.rows), batch_size)
    bar = f"{title} {part.manifest.name}"
    for start in starts if title is None else tqdm(starts, desc=bar, unit="batch"):
        signal = part.store.read(part.rows[start : start + batch_size], leads)
        yield compute(torch.from_numpy(signal).to(device))


def rows_of(
    trained: Trained, network: nn.Module, part: Split, batch_size: int, progress: bool = True
) -> torch.Tensor:
    """Return what a network says of every record of a split, float32 (records, values).

    Raises
    ------
    CheckpointError
        If that is not one row a record.
    """
    leads = trained.preprocessing.leads
    title = f"{trained.path.name} on" if progress else None
    batches = list(outputs(network, network, part, leads, batch_size, title))
    return joined_rows(trained, batches, len(part.rows))


def joined_rows(trained: Trained, batches: Sequence[Any], records: int) -> torch.Tensor:
    """Return the rows of batches one after the other, float32 (records, values).

    Raises
    ------
    CheckpointError
        If they are not one row a record: another record's figures would pass for its.
    """
    if not all(isinstance(batch, torch.Tensor) and batch.dim() == 2 for batch in batches) or (
        sum(len(batch) for batch in batches) != records
    ):
        raise CheckpointError(
            f"{trained.path}: its network does not return one row a record, (batch, values): its "
            "reader does not fit it"
        )
    return torch.cat([batch.float().cpu() for batch in batches])


def embed_pairs(
    trained: EmbedsPairs, part: Split, batch_size: int = 128
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both embeddings of every record of a split, (records, dim) each; the whole records'
    are centred where the loss compared them so.

    Raises
    ------
    CheckpointError
        If its network does not return two rows a record.
    """
    towers = trained.pair_network(part.store.info.sample_rate)
    title = f"both towers of {trained.path.name} on"
    pairs = list(outputs(towers, towers, part, trained.preprocessing.leads, batch_size, title))
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise CheckpointError(
            f"{trained.path}: what should embed pairs does not return two embeddings: its reader "
            "does not fit it"
        )
    single, multi = (
        joined_rows(trained, [pair[side] for pair in pairs], len(part.rows)) for side in (0, 1)
    )
    return single, multi if trained.center is None else multi - trained.center


def _predictions(trained: Classifies, part: Split, batch_size: int, renamed: bool) -> Predictions:
    # renamed: whether the labels' names are the user's, who can give others.
    known = part.store.info.labels
    labels = tuple(label for label in trained.labels if label in known)
    if not labels:
        raise CheckpointError(_other_labels(trained, part, renamed))
    found = _every_output(trained, part, batch_size).select(labels)
    return replace(found, targets=part.store.targets(part.rows, labels).astype(bool))


def predict_any(
    checkpoint: str | Path,
    part: Split,
    infarction: str,
    batch_size: int = 128,
    labels: Sequence[str] | None = None,
) -> tuple[Predictions | None, Predictions]:
    """Return what a classifier says of every record of a split whose labels do not tell the types
    of infarction apart.

    Parameters
    ----------
    checkpoint, batch_size, labels
        As of :func:`predict_split`.
    part
        The split.
    infarction
        Name of the data's label of an infarction of whatever type.

    Returns
    -------
    Predictions or None
        Of the labels that both have, as :func:`predict_split`; None where there is none.
    Predictions
        Of any infarction, by all types that the classifier knows. A record has one if it has that
        label, or a type that the data know.

    Raises
    ------
    CheckpointError
        As of :func:`predict_split`, or if it knows none of the types.
    ValueError
        If the data have no such label.
    """
    trained = classifier_in(checkpoint, labels)
    known = part.store.info.labels
    if infarction not in known:
        raise ValueError(
            f"{part.store.path} has no label {infarction!r}, which any infarction is to be: it has "
            f"{_first(list(known)) or 'no labels'}"
        )
    types = [name for name in trained.labels if name in INFARCTION_TYPES]
    if not types:
        raise CheckpointError(
            f"{trained.path} predicts {_first(trained.labels)}, and no type of infarction, of "
            "which any infarction is made: give another classifier"
        )
    said = _every_output(trained, part, batch_size)
    either = said.with_any(ANY_INFARCTION, types).select([ANY_INFARCTION])
    telling = [infarction, *(name for name in INFARCTION_TYPES if name in known)]
    has = np.asarray(part.store.targets(part.rows, telling).astype(bool).any(axis=1))[:, None]
    shared = tuple(label for label in trained.labels if label in known)
    own = None
    if shared:
        truth = part.store.targets(part.rows, shared).astype(bool)
        own = replace(said.select(shared), targets=truth)
    return own, replace(either, targets=has)


def _every_output(trained: Classifies, part: Split, batch_size: int) -> Predictions:
    """Return the logits of every label of a classifier; no truth."""
    network = trained.network(part.store.info.sample_rate)
    logits = rows_of(trained, network, part, batch_size)
    if logits.shape[1] != len(trained.labels):
        raise CheckpointError(
            f"{trained.path} names {len(trained.labels)} labels, and its network has "
            f"{logits.shape[1]} outputs: its reader does not fit it"
        )
    records = part.store.records.iloc[part.rows]
    return Predictions(
        tuple(records["record_id"]),
        tuple(records["patient_id"]),
        tuple(trained.labels),
        np.zeros(logits.shape, dtype=bool),
        logits.numpy(),
    )


def _other_labels(trained: Classifies, part: Split, renamed: bool) -> str:
    found = dict.fromkeys(name for names in part.store.info.label_sets.values() for name in names)
    return (
        f"{trained.path} predicts {_first(trained.labels)}, and no label of that name is in "
        f"{part.store.path}, which has {_first(list(found)) or 'no labels'}: give a store whose "
        "labels have these names, or say with --any-infarction which label is an infarction of any "
        "type" + (", or name the outputs as the store does, with --labels" if renamed else "")
    )


def _first(names: Sequence[str], most: int = 8) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _retrieval(
    trained: EmbedsPairs, part: Split, batch_size: int, ranks: Sequence[int]
) -> dict[str, Any]:
    single, multi = embed_pairs(trained, part, batch_size)
    return dict(retrieval(single, multi, k=tuple(ranks)))
