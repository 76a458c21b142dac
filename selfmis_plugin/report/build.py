"""What the report of a classifier holds."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from selfmis_plugin._version import __version__
from selfmis_plugin.checkpoints import CheckpointError, read_checkpoint
from selfmis_plugin.checkpoints.contract import Classifies, EmbedsPairs, require
from selfmis_plugin.checkpoints.facts import PROVENANCE, read_facts
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.checkpoints.operation import read_operation
from selfmis_plugin.checkpoints.reading import mapping
from selfmis_plugin.data.exported import CONFIG, ONNX_SUFFIX
from selfmis_plugin.data.labels import INFARCTION_TYPES, in_words, infarctions_first
from selfmis_plugin.data.provenance import headline
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.data.trained_people import SeenInTraining, seen_in_training
from selfmis_plugin.evaluation.any_infarction import and_any, any_figures, predictions_of_any
from selfmis_plugin.evaluation.calibrating import (
    OWN,
    PERHAPS_FITTED_HERE,
    VALID,
    Fitted,
    calibration_of,
    calibration_text,
    measured,
    perhaps_fitted_here,
)
from selfmis_plugin.evaluation.evaluate import (
    embed_pairs,
    evaluate,
    figures_of,
    fitting_split,
    predict_split,
)
from selfmis_plugin.metrics.any_infarction import ANY
from selfmis_plugin.metrics.bootstrap import Estimate
from selfmis_plugin.metrics.calibration import probabilities
from selfmis_plugin.metrics.defaults import DRAWS, FEW_PATIENTS
from selfmis_plugin.metrics.operation import Operation
from selfmis_plugin.metrics.predictions import Predictions
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
from selfmis_plugin.report.page import PICTURE_DPI, Picture, Section, render
from selfmis_plugin.training.run_log import learning_curves
from selfmis_plugin.utils.files import require_folder, whole_files, write_json
from selfmis_plugin.utils.hub import on_this_machine
from selfmis_plugin.visualization.ecg import draw_ecg
from selfmis_plugin.visualization.learning import draw_learning

__all__ = ["Request", "write_report"]

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
#: What the first lines say of a calibration, by what it was fitted to.
_CALIBRATION = {
    OWN: "The calibration is the one that the model brings.",
    VALID: "The calibration is fitted to the validation split.",
    None: "Probabilities are as the network gives them: there is no calibration, and below is why.",
}
_VERSIONS = ("torch", "numpy", "scipy", "scikit-learn", "hydra-core", "omegaconf")


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


def write_report(request: Request) -> Path:
    """Write the report; return the page's path.

    Raises
    ------
    CheckpointError
        If a checkpoint cannot be read, is of the wrong kind, or needs data prepared otherwise.
    StoreError
        If the data cannot be read.
    NotADirectoryError
        If a file is where the folder is to be.
    HubError
        If the hub does not give the model.
    """
    require_folder(request.dest)
    typed = str(request.checkpoint)
    request = replace(request, checkpoint=on_this_machine(request.checkpoint))
    place = request.data, request.split, request.batch_size
    predictions = predict_split(request.checkpoint, *place, request.labels)
    part = open_split(request.data, request.split)
    by_record = judge(predictions, request.draws)
    by_patient = judge(predictions.by_patient(), request.draws)
    either = predictions_of_any(predictions, part)
    with_any = and_any(predictions, part.store, part.rows)
    every = by_record
    if either is not None:
        every = replace(by_record, labels=by_record.labels | judge(either, request.draws).labels)
    provenance = read_facts(request.checkpoint).provenance
    seen = seen_in_training(provenance, part)
    brought = read_operation(request.checkpoint)
    fitted = calibration_of(
        request.checkpoint,
        request.data,
        predictions,
        brought,
        request.split,
        request.batch_size,
        request.labels,
    )
    figures = {
        "checkpoint": typed,
        "data": str(request.data),
        "split": request.split,
        **figures_of(predictions, draws=0),
        "any_infarction": None if either is None else any_figures(either, request.draws),
        "trained_on": [step.to_dict() for step in provenance],
        "seen_in_training": None if seen is None else seen.to_dict(),
        "calibrated": measured(fitted, predictions),
        "perhaps_fitted_here": perhaps_fitted_here(brought, request.split),
        "record": by_record.to_dict(),
        "patient": by_patient.to_dict(),
    }
    kinds = [label for label in INFARCTION_TYPES if label in predictions.labels]
    shown = kinds or list(predictions.labels)[:9]
    drawn = [label for label in shown if by_record.labels[label].auc.value is not None]
    undrawn = [in_words(label) for label in shown if label not in drawn]
    without = f"Without a positive or without a negative: {', '.join(undrawn)}." if undrawn else ""
    curved = [label for label in every.labels if label == ANY and label not in drawn] + drawn
    curved = [label for label in curved if every.labels[label].auc.value is not None]
    bands = roc_bands(with_any, every, curved)
    sections = [
        Section(
            "Figures by label",
            (
                "95 % intervals by patient, as wide as few positives demand: where they are few, "
                "read the interval and not the figure. A dash: no record has the label, or all "
                "have it.",
            ),
            table=_table(every),
            pictures=(
                Picture.of(
                    "auc", "AUC of each label with its interval and positives",
                    draw_intervals(every, with_any.labels),
                    draw_intervals(every, with_any.labels, short=True),
                ),
            ),
        ),
        Section(
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
                    draw_roc(bands, every),
                    draw_roc(bands, every, columns=1),
                )
                for _ in curved[:1]
            ),
        ),
        _calibration(predictions, by_record, fitted, drawn),
        *_learning(request),
        *_pretraining(request, predictions, figures),
        *_worst(request, predictions, part, shown),
        _about(request, part),
    ]  # fmt: skip
    text = render(
        "SelfMIS report",
        _summary(request, typed, part, seen, fitted, brought, every, by_patient),
        tuple(sections),
    )
    pictures = {f"{p.name}.png": p.png for section in sections for p in section.pictures}
    figures["pictures"] = list(pictures)
    former = _former_pictures(request.dest)
    names = ("predictions.parquet", "figures.json", *pictures, "report.html")
    with whole_files(*(request.dest / name for name in names)) as paths:
        written = dict(zip(names, paths, strict=True))
        predictions.write(written["predictions.parquet"])
        write_json(written["figures.json"], figures)
        for name, png in pictures.items():
            written[name].write_bytes(png)
        # A file's name need not be text.
        written["report.html"].write_text(text, encoding="utf-8", errors="replace")
    # What an earlier report drew and this one does not would be taken for a picture of this one.
    for name in former - set(pictures):
        (request.dest / name).unlink(missing_ok=True)
    return request.dest / "report.html"


def _former_pictures(folder: Path) -> set[str]:
    """Names of the pictures that an earlier report says it has written into *folder*."""
    try:
        said = json.loads((folder / "figures.json").read_text(encoding="utf-8"))["pictures"]
    except (OSError, ValueError, LookupError, TypeError):
        return set()
    if not isinstance(said, list):
        return set()
    return {
        name
        for name in said
        if isinstance(name, str) and name.endswith(".png") and Path(name).name == name
    }


def _summary(
    request: Request,
    typed: str,
    part: Split,
    seen: SeenInTraining | None,
    fitted: Fitted,
    brought: Operation,
    record: Report,
    patient: Report,
) -> tuple[str, ...]:
    """The first lines: model, data, protocol, the main figures, and how to read them."""
    reads = load_trained(request.checkpoint, request.labels).preprocessing
    leads = f"lead{'' if len(reads.leads) == 1 else 's'} {', '.join(reads.leads)}"
    origins = "; ".join(map(str, part.store.info.origins)) or "origin not recorded"
    return (
        f"Model: {typed}, which reads {leads} at {reads.sample_rate:g} Hz. "
        f"{headline(read_facts(request.checkpoint).provenance)}",
        f"Data: {record.units:,} records of {record.patients:,} patients, split {request.split} of "
        f"{request.data}; {origins}.",
        *([] if seen is None else [f"{seen}."]),
        *([f"{PERHAPS_FITTED_HERE}."] if perhaps_fitted_here(brought, request.split) else []),
        "Protocol: the model is as it was saved, and nothing is fitted to these records"
        + ("; whether it has seen them is a matter of its training" if seen is None else "")
        + f". {_CALIBRATION[fitted.on if fitted.labels else None]} Intervals are of 95 %, by "
        "patient.",
        _means(record, patient) + _rarest(record),
        "How to read it: the AUC (area under the ROC curve) is how often a record with a label is "
        "given a higher probability than one without: 0.5 is chance, 1 is never wrong. Its "
        "interval says how much of it may be due to these very patients. Average precision is the "
        "mean share of right ones among the records called; by chance it is the share of "
        "positives. The Brier score is the mean squared error of the probability, the calibration "
        "error the mean distance of probabilities from what came true: 0 is best for both.",
    )


def _means(record: Report, patient: Report) -> str:
    """The main figures; a model without infarction types has no mean over them."""
    either = ""
    if ANY in record.labels and ANY not in patient.labels:  # derived, and no label of the model
        either = (
            f"{ANY.capitalize()} (at least one of the types): AUC "
            f"{_interval(record.labels[ANY].auc)}, {record.labels[ANY].positives:,} positives. "
        )
    number = len(record.macro_auc.labels)
    over, every = f"over {number} label{'' if number == 1 else 's'}", record.macro_auc.estimate
    if not record.mi_auc.labels:
        return (
            f"Macro AUC {over} {_interval(every)} by record, "
            f"{_interval(patient.macro_auc.estimate)} by patient."
        )
    return (
        f"{either}Mean AUC of the infarction types {_interval(record.mi_auc.estimate)} by record, "
        f"{_interval(patient.mi_auc.estimate)} by patient; macro AUC {over} {_interval(every)}."
    )


def _rarest(report: Report) -> str:
    fewest = report.macro_auc.fewest
    if not 0 < fewest < FEW_PATIENTS:
        return ""
    return (
        f" The rarest label has {fewest} positive patient{'s' if fewest > 1 else ''}: how little "
        "that says is in the means' intervals."
    )


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
                _interval,
                (figures.auc, figures.average_precision, figures.sensitivity, figures.brier),
            ),
            f"{figures.calibration.error:.3f}",
        )
        for label in infarctions_first(report.labels)
        for figures in (report.labels[label],)
    ]
    return head, *rows


def _calibration(
    predictions: Predictions, by_record: Report, fitted: Fitted, shown: Sequence[str]
) -> Section:
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


def _learning(request: Request) -> list[Section]:
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


def _pretraining(
    request: Request, predictions: Predictions, figures: dict[str, Any]
) -> list[Section]:
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


def _worst(
    request: Request, predictions: Predictions, part: Split, shown: Sequence[str]
) -> list[Section]:
    """Records whose probability is farthest from the truth, over the labels shown."""
    columns = [predictions.labels.index(label) for label in shown]
    chance = probabilities(predictions.logits[:, columns])
    error = np.abs(chance - predictions.targets[:, columns])
    # One label a record: a record that is wrong about everything fills the page otherwise.
    label_of = error.argmax(axis=1)
    order = np.argsort(-error.max(axis=1), kind="stable")[: request.worst]
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


def _about(request: Request, part: Split) -> Section:
    config = _config(request.checkpoint)
    versions = [f"selfmis-plugin {__version__}", f"Python {platform.python_version()}"]
    for name in _VERSIONS:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    store = json.dumps(part.store.info.to_dict(), indent=2)
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


def _interval(figure: Estimate) -> str:
    if figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} ({figure.low:.3f}, {figure.high:.3f})"
