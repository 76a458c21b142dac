"""The sections of a report."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selfmis_plugin._version import __version__
from selfmis_plugin.checkpoints import CheckpointError, read_checkpoint
from selfmis_plugin.checkpoints.contract import Classifies, EmbedsPairs, require
from selfmis_plugin.checkpoints.facts import PROVENANCE
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.checkpoints.reading import mapping
from selfmis_plugin.data.exported import CONFIG, ONNX_SUFFIX
from selfmis_plugin.data.labels import INFARCTION_TYPES, in_words, infarctions_first
from selfmis_plugin.evaluation.calibrating import OWN, calibration_text, measured
from selfmis_plugin.evaluation.evaluate import embed_pairs, evaluate, fitting_split
from selfmis_plugin.metrics.any_infarction import ANY
from selfmis_plugin.metrics.calibration import probabilities
from selfmis_plugin.metrics.recalibration import recalibrated
from selfmis_plugin.metrics.statistics import Report, judge
from selfmis_plugin.report.figures import (
    draw_calibration,
    draw_intervals,
    draw_map,
    draw_retrieval,
    draw_roc,
    places_of_pairs,
    roc_bands,
)
from selfmis_plugin.report.judged import Judged
from selfmis_plugin.report.page import PICTURE_DPI, Picture, Section
from selfmis_plugin.report.summary import interval
from selfmis_plugin.training.run_log import learning_curves
from selfmis_plugin.visualization.ecg import draw_ecg
from selfmis_plugin.visualization.learning import draw_learning

__all__ = ["sections_of"]

_CURVE_RANKS = (1, 2, 5, 10, 20, 50, 100)
#: What the map of embeddings shows, and does not.
_MAP = (
    "The map puts embeddings that point in similar directions near each other (t-SNE, "
    "t-distributed stochastic neighbour embedding). The two kinds may lie far apart: the loss asks "
    "that a record's own pair be more alike than pairs of different records, not that both point "
    "in one direction, and a difference that all pairs share costs it little. Retrieval compares a "
    "single-lead embedding with all-lead ones alone, among which such a difference hardly changes "
    "the order, so that the nearest is found all the same. Look at what lies together within a "
    "kind, such as infarctions on the right, and not at the distance between the kinds."
)
_LEARNING = (
    "By epoch, one pass over the training records: the loss that training lowers, on these (train) "
    "and on records that it does not learn from (valid), and the figures of these. Where the "
    "training loss falls while that of validation rises, the model learns its records by heart; "
    "where both still fall at the end, it was stopped early; where both rise, the learning rate is "
    "too high. The checkpoint that is judged above "
    "is, if it is called checkpoint_best, that of the best validation."
)
_VERSIONS = ("torch", "numpy", "scipy", "scikit-learn", "hydra-core", "omegaconf")


def sections_of(judged: Judged, figures: dict[str, Any]) -> list[Section]:
    """Return the sections of a page; what is computed for one is added to *figures*.

    Raises
    ------
    CheckpointError
        If the pre-training's checkpoint cannot be read, or is of the wrong kind.
    """
    return [
        _labels(judged),
        _curves(judged),
        _calibration(judged),
        *_learning(judged),
        *_pretraining(judged, figures),
        *_worst(judged),
        _about(judged),
    ]


def _labels(judged: Judged) -> Section:
    return Section(
        "Figures by label",
        (
            "95 % intervals by patient, as wide as few positives demand: where they are few, "
            "read the interval and not the figure. A dash: no record has the label, or all "
            "have it.",
        ),
        table=_table(judged.every),
        pictures=(
            Picture.of(
                "auc", "AUC of each label with its interval and positives",
                draw_intervals(judged.every, judged.with_any.labels),
                draw_intervals(judged.every, judged.with_any.labels, short=True),
            ),
        ),
    )  # fmt: skip


def _curves(judged: Judged) -> Section:
    labels = judged.every.labels
    first = [ANY] if judged.derives_any and labels[ANY].auc.value is not None else []
    bands = roc_bands(judged.with_any, judged.every, [*first, *judged.drawn])
    undrawn = [in_words(label) for label in judged.shown if label not in judged.drawn]
    without = f"Without a positive or without a negative: {', '.join(undrawn)}." if undrawn else ""
    return Section(
        "ROC curves",
        (
            "Receiver operating characteristic: the sensitivity (share of the records with the "
            "label that are found) against the share of the others that are called too, at "
            "every threshold; chance is the dotted line, a model that is never wrong the "
            "dashed one. The band is a 95 % interval of the sensitivity at each specificity by "
            "itself, as wide as few positives demand.",
            *([without] if without else []),
        ),
        pictures=tuple(
            Picture.of(
                "roc", "ROC curves with 95 % bands, AUC with its interval, and positives",
                draw_roc(bands, judged.every),
                draw_roc(bands, judged.every, columns=1),
            )
            for _ in list(bands)[:1]
        ),
    )  # fmt: skip


def _table(report: Report) -> tuple[tuple[str, ...], ...]:
    head = (
        "label", "positives (patients)", "AUC", "average precision",
        "sensitivity at 90 % specificity", "Brier score", "calibration error",
    )  # fmt: skip
    rows = [
        (
            in_words(label),
            f"{figures.positives} ({figures.positive_patients})",
            *map(
                interval,
                (figures.auc, figures.average_precision, figures.sensitivity, figures.brier),
            ),
            f"{figures.calibration.error:.3f}",
        )
        for label in infarctions_first(report.labels)
        for figures in (report.labels[label],)
    ]
    return head, *rows


def _calibration(judged: Judged) -> Section:
    predictions, by_record, fitted = judged.predictions, judged.by_record, judged.fitted
    shown = judged.drawn
    said = [
        f"{line[0].upper()}{line[1:]}." for line in calibration_text(measured(fitted, predictions))
    ]
    pictures = [
        _reliability("calibration", "As the network gives it", by_record, shown) for _ in shown[:1]
    ]
    if fitted.labels and shown:
        after = judge(recalibrated(predictions, fitted.labels), draws=0)
        title = "Calibrated on the validation split"
        if fitted.on == OWN:
            title = "By the calibration that the model brings"
        pictures.append(_reliability("calibrated", title, after, shown))
    about = (
        "Whether probabilities come true: of records that are given 10 %, a tenth should have the "
        "label. Each point is a tenth of the records, at their mean probability and the share of "
        "them that has the label, with a 95 % interval of that share by record; on the dotted line "
        "both are equal, below it the model says too much. A share rests on its records alone: a "
        "point whose interval reaches the line does not show that the model is wrong. An AUC asks "
        "for the order alone and is the same before and after calibration; who reads a probability "
        "as one needs calibration too."
    )
    return Section("Calibration", (about, *said), pictures=tuple(pictures))


def _reliability(name: str, caption: str, report: Report, shown: Sequence[str]) -> Picture:
    return Picture.of(
        name, caption, draw_calibration(report, shown), draw_calibration(report, shown, columns=1)
    )


def _learning(judged: Judged) -> list[Section]:
    request = judged.request
    pictures = []
    for name, title, checkpoint, figures in (
        ("learning", "Classifier", request.checkpoint, ("loss", "macro_auc", "mi_auc")),
        ("learning_pretraining", "Pre-training", request.pretraining, ("loss", "r1", "r10")),
    ):
        # An exported folder lies anywhere, perhaps in another run's.
        known = checkpoint is not None and checkpoint.is_file()
        curves = learning_curves(checkpoint) if checkpoint is not None and known else {}
        figure, narrow = draw_learning(curves, figures), draw_learning(curves, figures, columns=1)
        if figure is not None:
            pictures.append(Picture.of(name, f"{title} by epoch", figure, narrow))
    return [Section("Learning curves", (_LEARNING,), pictures=tuple(pictures))] if pictures else []


def _pretraining(judged: Judged, figures: dict[str, Any]) -> list[Section]:
    request, predictions = judged.request, judged.predictions
    if request.pretraining is None:
        return []
    trained: Any = load_trained(request.pretraining)
    if isinstance(trained, Classifies):
        raise CheckpointError(
            f"{request.pretraining} is a classifier's: --pretraining wants the checkpoint of the "
            "pre-training that it started from"
        )
    trained = require(trained, EmbedsPairs, "embeds no pairs", "leave out --pretraining")
    shares = evaluate(
        request.pretraining, request.data, request.split, request.batch_size, _CURVE_RANKS
    )
    figures["retrieval"] = shares
    part = fitting_split(trained, request.data, request.split)
    pair = embed_pairs(trained, part, request.batch_size)
    kinds = [predictions.labels.index(k) for k in INFARCTION_TYPES if k in predictions.labels]
    marked = np.asarray(predictions.targets[:, kinds].any(axis=1))
    chosen, places = places_of_pairs(*(embeddings.numpy() for embeddings in pair))
    records = int(shares["records"])
    # Of fewer records than ranks each is among the nearest.
    chance = [f"{min(100.0, 100 * rank / records):.1f} %" for rank in (1, 5, 10)]
    return [
        Section(
            "Embeddings",
            (
                "Retrieval: of all records' all-lead embeddings, which is nearest to a record's "
                "single-lead one. R@k is how often the record's own is among the k nearest: R@1 "
                f"{100 * shares['r1']:.1f} %, R@5 {100 * shares['r5']:.1f} %, R@10 "
                f"{100 * shares['r10']:.1f} %, median rank {shares['median_rank']:g}; by chance "
                f"{chance[0]}, {chance[1]} and {chance[2]}.",
                _MAP,
            ),
            pictures=(
                Picture.of(
                    "retrieval",
                    "A record's all-lead embedding found by its single-lead one",
                    draw_retrieval(shares, records),
                ),
                Picture.of(
                    "map",
                    "Both embeddings of the same records, in a plane",
                    draw_map(places, marked[chosen]),
                    draw_map(places, marked[chosen], columns=1),
                ),
            ),
        )
    ]


def _worst(judged: Judged) -> list[Section]:
    """Records whose probability is farthest from the truth, over the labels shown."""
    predictions, part, shown = judged.predictions, judged.part, judged.shown
    columns = [predictions.labels.index(label) for label in shown]
    chance = probabilities(predictions.logits[:, columns])
    error = np.abs(chance - predictions.targets[:, columns])
    # One label a record: a record that is wrong about everything fills the page otherwise.
    label_of = error.argmax(axis=1)
    order = np.argsort(-error.max(axis=1), kind="stable")[: judged.request.worst]
    pictures = []
    for place, row in enumerate(order.tolist(), start=1):
        label = shown[int(label_of[row])]
        column = int(label_of[row])
        has = bool(predictions.targets[row, columns[column]])
        record = part.store.records.iloc[int(part.rows[row])]
        state = f"{'present' if has else 'absent'}, probability {chance[row, column]:.2f}"
        caption = (
            f"Record {predictions.record_ids[row]}: {in_words(label)} {state}. Statements: "
            f"{', '.join(record['labels']) or 'none'}"
        )
        mask = int(record["lead_mask"])
        absent = [lead for k, lead in enumerate(part.store.info.leads) if not mask >> k & 1]
        signal = part.store.read(part.rows[row : row + 1])[0].astype(np.float64)
        info = part.store.info
        figure = draw_ecg(
            signal,
            info.sample_rate,
            info.leads,
            absent=absent,
            title=f"Record {predictions.record_ids[row]}",
            subtitle=f"{in_words(label)}: {state}",
            dpi=PICTURE_DPI,
        )
        pictures.append(Picture.of(f"worst_{place}", caption, figure, paper=True))
    return (
        [
            Section(
                "Most wrong",
                ("25 mm/s, 10 mm/mV; all stored leads, also those that the model does not see.",),
                pictures=tuple(pictures),
            )
        ]
        if pictures
        else []
    )


def _about(judged: Judged) -> Section:
    config = _config(judged.request.checkpoint)
    versions = [f"selfmis-plugin {__version__}", f"Python {platform.python_version()}"]
    for name in _VERSIONS:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    store = json.dumps(judged.part.store.info.to_dict(), indent=2)
    return Section(
        "Run",
        (", ".join(versions),),
        code=f"# config\n{json.dumps(config, indent=2, default=str)}\n\n# store\n{store}",
    )


def _config(checkpoint: Path) -> Any:
    """What a checkpoint says of its run, or an exported folder of itself; nothing where none is."""
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    if checkpoint.is_dir() or checkpoint.suffix == ONNX_SUFFIX:
        file = folder / CONFIG
        said = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        for step in mapping(mapping(said).get("training")).get(PROVENANCE, []):
            step.pop("people", None)  # thousands of digests, for no reader
        return said
    return read_checkpoint(checkpoint).get("cfg", {})
